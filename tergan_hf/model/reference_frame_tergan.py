"""The calmest face at the beginning of a driving clip, from which changes are counted."""

from typing import NamedTuple

import torch


SECONDS = 1.5  # after the face is seen first, in which the calmest frame is looked for
TINY = 1e-9  # seconds; times are sums of intervals
NEUTRAL = "neutral"


class ReferenceFrame:
    """
    Choose the reference frame of a driving face, and whether to carry only what changes since then.

    Args:
        model: a `TerGanModel`.
        relative: carry what changes since the calmest frame, `False` the expression itself, `None` the former if that
            frame is calm.

    Attributes:
        relative: the choice; until it is made, as given.
        seconds: when the reference frame is shown, since the first frame. `None` before the choice or without one.
        waits: whether the face was seen and the choice needs more frames.
    """

    def __init__(self, model, relative: bool | None):
        self.model, self.relative = model, relative
        self.seconds: float | None = None
        self.waits = False
        self._decided = relative is False
        self._now: float | None = None
        self._since: float | None = None
        self._calmest: _Seen | None = None

    def add(self, expression: torch.Tensor, interval: float):
        """Take the next frame's f(e), (1, D), which comes `interval` seconds after the last one."""
        self._advance(interval)
        if self._decided:
            return
        assert self._now is not None
        self._since = self._now if self._since is None else self._since
        calmness, calm = measure_calmness(self.model, expression)
        if self._calmest is None or calmness > self._calmest.calmness:
            self._calmest = _Seen(expression, self._now, calmness, calm)
        self._settle()

    def skip(self, interval: float):
        """Take a frame in which the face is not seen."""
        self._advance(interval)
        self._settle()

    def carry(self, expression: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """
        The f(e) to show, (1, D).

        Args:
            expression: f(e) of the driving face, (1, D). own: of the photo's face, (1, D).
        """
        if not self._decided:  # the clip ended early
            self._decide()
        if not self.relative:
            return expression
        assert self._calmest is not None
        return own + expression - self._calmest.expression

    def _advance(self, interval: float):
        self._now = 0.0 if self._now is None else self._now + interval

    def _settle(self):
        if self._decided or self._since is None or self._now is None:
            return
        self.waits = self._now - self._since < SECONDS - TINY
        if not self.waits:
            self._decide()

    def _decide(self):
        assert self._calmest is not None
        if self.relative is None:
            self.relative = self._calmest.calm
        self.seconds = self._calmest.seconds if self.relative else None
        self._decided, self.waits = True, False


class _Seen(NamedTuple):
    """f(e) of a frame (1, D), when it is shown, how calm it is, and whether it counts as calm."""

    expression: torch.Tensor
    seconds: float
    calmness: float
    calm: bool


def measure_calmness(model, expression: torch.Tensor) -> tuple[float, bool]:
    """
    Measure how calm a face is by the classifier's probability of `neutral`.

    The distance of f(e) from the prototype of `neutral` depends more on the person and the light, and the sum of the
    blendshapes separates no better.

    Args:
        model: a `TerGanModel`. expression: f(e), (1, D).

    Returns:
        the probability, and whether `neutral` is the likeliest label. 0 and `False` for a model without that label.
    """
    labels = [label.lower() for label in model.config.expressions]
    if NEUTRAL not in labels:
        return 0.0, False
    scores = model.classify(expression).float().softmax(1)[0]
    neutral = labels.index(NEUTRAL)
    return float(scores[neutral]), int(scores.argmax()) == neutral
