"""Hugging Face's ZeroGPU Spaces lend a GPU to functions that the package `spaces` decorates."""

try:
    from spaces import GPU as on_gpu

    ON_ZERO_GPU = True  # the model runs in decorated functions only, so the page opens without results
except ImportError:
    ON_ZERO_GPU = False

    def on_gpu(function):
        """Return the function unchanged: this is not a ZeroGPU Space."""
        return function


__all__ = ["ON_ZERO_GPU", "on_gpu"]
