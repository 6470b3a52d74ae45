"""A rendered head as a performer."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.seeds import name_seed
from ..rendering.people import Person, blend_heads, read_head
from ..rendering.scene import Camera, Session, draw_session


class HeadPerformer:
    """
    A `Performer` made from a head.

    Args:
        person: the head with its hair.
        session: light and background. Its head is upright and looks straight ahead.
        size: side of the frames in pixels. margin: side / side of the aligned face.
    """

    def __init__(self, person: Person, session: Session, size: int, margin: float):
        self.person, self.session, self.size = person, session, size
        self._still = Camera(person, session, size, margin)

    def possible(self, vector: np.ndarray) -> np.ndarray:
        """The vector: the heads can show every blendshape."""
        return vector

    def render(self, vector: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
        """(size, size, 3) uint8, the head in an expression and view."""
        camera = self._turned(yaw, pitch) if yaw or pitch else self._still
        return camera.take(vector).pixels

    def _turned(self, yaw: float, pitch: float) -> Camera:
        """The same crop of the turned head. A positive pitch of a session is down."""
        session = replace(self.session, yaw=np.deg2rad(yaw), pitch=-np.deg2rad(pitch))
        return Camera(self.person, session, self.size, crop_transform=self._still.crop_transform)


@dataclass(frozen=True)
class HeadLoader:
    """
    A `PerformerLoader` for a head.

    Args:
        identity: name of the head. path: its file.
        size: side of the frames in pixels. margin: side / side of the aligned face.
        seed: of the set.
    """

    identity: str
    path: Path
    size: int
    margin: float
    seed: int

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.path.name

    def load(self) -> HeadPerformer:
        """
        Read the head, and draw light and background from its name.

        Raises:
            GltfError, MissingPackageError: as `read_head`.
        """
        person = blend_heads([read_head(self.path)], np.ones(1))
        session = draw_session(np.random.default_rng(name_seed(self.seed, self.identity)), self.size)
        return HeadPerformer(person, replace(session, yaw=0.0, pitch=0.0, roll=0.0), self.size, self.margin)
