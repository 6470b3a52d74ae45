"""Hugging Face's ZeroGPU Spaces lend a GPU to the functions that ask for one through the package `spaces`."""

try:
    from spaces import GPU as on_gpu
except ImportError:

    def on_gpu(function):
        """Not on such a Space: the function as it is."""
        return function


__all__ = ["on_gpu"]
