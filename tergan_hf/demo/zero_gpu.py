"""Hugging Face's ZeroGPU Spaces lend a GPU to the functions that ask for one through the package `spaces`."""

try:
    from spaces import GPU as on_gpu

    LENT = True  # outside of those functions the model cannot run, so that the page begins without results
except ImportError:
    LENT = False

    def on_gpu(function):
        """Not on such a Space: the function as it is."""
        return function


__all__ = ["LENT", "on_gpu"]
