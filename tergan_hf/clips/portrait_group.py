"""Portraits as the performers of a set."""

from dataclasses import replace
from pathlib import Path

from ..portraits.assets import donor_credit, list_files, prepare_assets
from ..portraits.people import PortraitPerson, description_of
from ..portraits.portrait_set import DESCRIPTION
from .clip_settings import ClipSettings
from .performer import PerformerGroup
from .portrait_performer import PortraitLoader


def prepare_portraits(
    people: list[PortraitPerson], teaching: list[PortraitPerson], ict: Path, landmarker: Path, settings: ClipSettings
) -> PerformerGroup:
    """
    Prepare portraits as performers, and learn the smile prior unless it is cached.

    Args:
        people: who performs. teaching: from whom smiles are learnt.
        ict: folder of the face model. landmarker: MediaPipe's file.

    Raises:
        BuildError: the face model or the landmarker is missing.
    """
    assets = prepare_assets(teaching, ict, landmarker)
    description = description_of([*people, *teaching], DESCRIPTION)
    return PerformerGroup(
        [PortraitLoader(one, assets, settings.size, settings.margin, settings.seed) for one in people],
        list_files([*teaching, *people], ict, landmarker),
        replace(description, attribution=description.attribution + donor_credit(assets)),
        [
            "The smile statistics and teeth come from people who are not in the clips.",
            "Brows do not move behind spectacles, and their values are 0.",
        ],
    )
