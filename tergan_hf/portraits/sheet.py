"""A contact sheet of portraits with exact expressions, to check how they look."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..data.building import BuildError
from ..data.contact_sheet import check_sheet_name, save_contact_sheet
from ..expressions.blendshapes import BLENDSHAPES, Expression, to_vector
from ..expressions.named import find_expressions
from .assets import PICTURES, PortraitAssets, fit_portrait, prepare_assets
from .people import PortraitPerson, find_people, named_people
from .rendering import Session


DEFAULT_PEOPLE = 8


def draw_portraits(
    source: list[str], ict: str, landmarker: str, output: str, people: list[str], expressions: list[str], size: int,
    margin: float, seed: int,
):  # fmt: skip
    """
    Write a contact sheet with a row for each person and a column for each expression.

    The smile statistics are learnt from all people of the sources who are not shown.

    Args:
        source: folders as for `find_people`.
        ict: folder of the face model. landmarker: MediaPipe's file.
        output: the image file to write.
        people: names as for `named_people`, in the order of the rows. Empty: up to `DEFAULT_PEOPLE` people of the
            first source, spread evenly over it.
        expressions: names of `expressions.named`.
        size: side of the pictures in pixels. margin: side / side of the aligned face.
        seed: as for the set.

    Raises:
        BuildError: a source, the face model or the landmarker is missing, a person is unknown, nobody is left to learn
            from, no face is found, or the size or margin is wrong.
        InvalidInputError: an expression or the extension of `output` is unknown.
        OSError: the file cannot be written.
    """
    check_sheet_name(output)
    PICTURES.check(size, margin)
    wanted = find_expressions(expressions)
    shown, teaching = choose_rows([find_people(Path(one)) for one in source], people)
    assets = prepare_assets(teaching, Path(ict), Path(landmarker))
    cv2.setNumThreads(1)
    rows = [_draw_row(person, wanted, assets, size, margin, seed) for person in shown]
    if not any(rows):
        raise BuildError(f"no face was found in the portraits of {', '.join(person.identity for person in shown)}")
    captions = [
        [person.identity if row else f"{person.identity}: no face", *[""] * (len(wanted) - 1)]
        for person, row in zip(shown, rows)
    ]
    gap = [None] * len(wanted)
    save_contact_sheet([row or gap for row in rows], output, expressions, captions, side=size)


def choose_rows(
    sources: list[list[PortraitPerson]], names: list[str]
) -> tuple[list[PortraitPerson], list[PortraitPerson]]:
    """
    Choose the people to show, and the people from whom smiles are learnt. Nobody is in both lists.

    Args:
        sources: the people of each source.
        names: people to show, or empty for the default.

    Raises:
        BuildError: a name is unknown, or nobody is left to learn from.
    """
    everybody = [one for people in sources for one in people]
    if names:
        shown = list(dict.fromkeys(one for name in names for one in named_people(everybody, (name,), "--people")))
    else:
        count = min(DEFAULT_PEOPLE, len(sources[0]))
        shown = [sources[0][index] for index in np.linspace(0, len(sources[0]) - 1, count).round().astype(int)]
    teaching = [one for one in everybody if one not in shown]
    if not teaching:
        raise BuildError("everybody would be shown, and nobody is left to learn smiles from: show fewer with --people")
    return shown, teaching


def _draw_row(
    person: PortraitPerson, expressions: list[Expression], assets: PortraitAssets, size: int, margin: float, seed: int
) -> list[Image.Image]:
    """A picture of each expression; none without a face or a plausible fit."""
    portrait = fit_portrait(person, assets, size, margin, seed)
    if portrait is None:
        return []
    session = Session(portrait)
    return [
        Image.fromarray(session.render(to_vector(expression)[: len(BLENDSHAPES)]).image) for expression in expressions
    ]
