"""Hugging Face's ZeroGPU Spaces lend a GPU to functions that the package `spaces` decorates."""

import os
from collections.abc import Callable


# How long a call may hold the GPU. A visitor's daily quota must cover it, so it is no longer than needed.
PHOTO_SECONDS = 20
CLIP_SECONDS = 120
# `spaces` is installed on every Gradio Space, ZeroGPU or not. On ZeroGPU the model runs in decorated functions only,
# so the page opens without results.
ON_ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def on_gpu(function: Callable, seconds: int = PHOTO_SECONDS) -> Callable:
    """
    A function that works on a GPU of a ZeroGPU Space, in a process of its own. Elsewhere the function itself.

    Its arguments and its result are pickled. Of the errors that it raises, only `gr.Error` arrives.

    Args:
        seconds: how long a call may take.
    """
    if not ON_ZERO_GPU:
        return function
    import spaces

    return spaces.GPU(duration=seconds)(function)
