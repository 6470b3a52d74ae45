"""Heads as the performers of a set."""

from pathlib import Path

from ..data.building import list_source
from ..rendering.avatar_set import DESCRIPTION
from ..rendering.library import description_of
from ..rendering.people import check_head
from .clip_settings import ClipSettings
from .head_performer import HeadLoader
from .performer import PerformerGroup


def prepare_heads(heads: dict[str, Path], folders: list[Path], settings: ClipSettings) -> PerformerGroup:
    """
    Prepare heads as performers.

    Args:
        heads: name → file. folders: their sources, of which one may hold a licence.

    Raises:
        GltfError: a file is not a head.
    """
    for path in heads.values():
        check_head(path)
    licences = [folder / "LICENSE" for folder in folders]
    return PerformerGroup(
        [HeadLoader(name, path, settings.size, settings.margin, settings.seed) for name, path in heads.items()],
        [line for path in heads.values() for line in list_source(path.parent, [path])],
        description_of(heads, DESCRIPTION),
        licence_file=next((path for path in licences if path.is_file()), None),
    )
