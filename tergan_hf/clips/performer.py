"""What a clip needs to know about the person or head in it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..data.dataset_card import SetDescription


class Performer(Protocol):
    """A face that can be rendered in any expression. Every frame of a clip shows the same face in the same light."""

    def possible(self, vector: np.ndarray) -> np.ndarray:
        """
        The part of an expression that this face can show.

        Args:
            vector: (53,) float32 in the order of `COLUMN_NAMES`.

        Returns:
            (53,) float32: what `render` shows for `vector`, and the truth of the frame.
        """

    def render(self, vector: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
        """
        Render an expression.

        Args:
            vector: (53,) float32 in the order of `COLUMN_NAMES`. Zeros give the neutral face.
            yaw, pitch: turn of the head in degrees, to the viewer's right and up.

        Returns:
            (size, size, 3) uint8, RGB.
        """


class PerformerLoader(Protocol):
    """
    A performer that is not loaded yet. It can be hashed and sent to another process.

    Attributes:
        identity: name of the person or head.
        file_name: path of the photo or head in its source.
    """

    def __hash__(self) -> int: ...

    @property
    def identity(self) -> str: ...

    @property
    def file_name(self) -> str: ...

    def load(self) -> Performer | None:
        """Load the performer. None if the source shows no face that can be rendered."""


@dataclass(frozen=True)
class PerformerGroup:
    """
    Performers of one kind, with their part of a set's card.

    Args:
        loaders: the performers.
        source: one line for each file to read, as `Plan.source`.
        description: licence, attribution and citation of what they are made from.
        notes: sentences for the card.
        licence_file: a file to copy beside the set.
    """

    loaders: list[PerformerLoader]
    source: list[str]
    description: SetDescription
    notes: list[str] = field(default_factory=list)
    licence_file: Path | None = None
