"""Settings of the set `clips`."""

from dataclasses import dataclass

from ..data.building import BuildError, PictureLimits, require_positive, require_seed
from .clip_file import RATE


PICTURES = PictureLimits(multiple=8, smallest=64, largest=1024)
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class ClipSettings:
    """
    Settings of the set.

    Args:
        people: number of people or heads of each source; None for all.
        only: people and heads to show; () for all. The smile statistics leave out all of them.
        exclude: people and heads who are not shown unless `only` names them. The smile statistics leave them out.
        clips: clips per person. The first is a range of motion.
        seconds: length of the other clips.
        size: side of the frames in pixels. margin: side / side of the aligned face.
        seed: seed of all random choices.
    """

    people: int | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    clips: int = 2
    seconds: float = 4.0
    size: int = 480
    margin: float = 2.0
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "clips", "people")
        require_seed(self.seed)
        if not 1 / RATE <= self.seconds <= MAX_SECONDS:
            raise BuildError(f"--seconds must be from {1 / RATE} to {MAX_SECONDS:g}, not {self.seconds:g}")
        PICTURES.check(self.size, self.margin)
