"""Pictures of the report, in the style of the paper's figures 3 (transfer) and 4 (editing)."""

from itertools import chain
from pathlib import Path

import numpy as np

from ..data.contact_sheet import save_contact_sheet
from ..data.padded_crops import decode
from ..model.face_alignment_tergan import crop_face, zoom_out
from ..model.pipeline_tergan import TerGanPipeline
from .editing import NEUTRAL, or_else
from .transfer import INTENSITIES, Pair, load_pairs, transfer_or_target


SHOWN_PEOPLE = 8
SHOWN_MARGIN = 1.5  # of what is shown around a face


def draw_transfers(pipe: TerGanPipeline, photos, pairs: list[Pair], detect: bool, path: Path):
    """Fig. 3 for rendered people: source, target, result and truth of each pair, two pairs to a row."""
    sources, targets, truths = load_pairs(photos, pairs)
    results = transfer_or_target(pipe, sources, targets, detect)
    quads = [list(quad) for quad in zip(sources, targets, results, truths)]
    rows = [list(chain(*quads[at : at + 2])) for at in range(0, len(quads), 2)]
    save_contact_sheet(rows, path, ["source", "target", "TER-GAN", "truth"] * 2, side=150)


def draw_edits_by_example(pipe: TerGanPipeline, photos, detect: bool, path: Path, people: int = 4):
    """Fig. 4 for rendered people: a neutral image, the same person's image of each expression as it is (above) and
    made from the neutral one by its example (below)."""
    expressions, identities = np.array(photos["expression"]), np.array(photos["identity"])
    labels = [label for label in sorted(set(expressions)) if label != NEUTRAL]
    rows, captions = [], []
    for identity in sorted(set(identities)):
        own = identities == identity
        found = [np.flatnonzero(own & (expressions == label)) for label in (NEUTRAL, *labels)]
        if not all(len(place) for place in found) or len(rows) >= 2 * people:
            continue
        target, *sources = (decode(photos[int(place[0])]["image"]) for place in found)
        results = transfer_or_target(pipe, sources, [target] * len(sources), detect)
        rows += [[target, *sources], [None, *results]]
        captions += [["input", *["truth"] * len(labels)], ["", *["TER-GAN"] * len(labels)]]
    if rows:
        save_contact_sheet(rows, path, [NEUTRAL, *labels], captions, side=150)


def draw_edits(pipe: TerGanPipeline, people: dict, path: Path):
    """Fig. 4 for photos: each person's neutral photo, and every label."""
    rows = [
        [own[NEUTRAL], *(or_else(None, pipe.edit, own[NEUTRAL], label) for label in pipe.labels)]
        for own in list(people.values())[:SHOWN_PEOPLE]
    ]
    save_contact_sheet(_about_the_face(pipe, rows), path, ["photo", *pipe.labels], side=200)


def draw_strangers(pipe: TerGanPipeline, people: dict, label: str, path: Path):
    """Fig. 3 for photos: the next person's expression, the neutral photo, the result; two people to a row."""
    having = [own for own in people.values() if label in own][: 2 * SHOWN_PEOPLE]
    triples = []
    for own, other in zip(having, having[1:] + having[:1]):
        made = or_else(None, pipe.transfer, other[label], own[NEUTRAL])
        triples.append(_about_the_face(pipe, [[other[label]], [own[NEUTRAL], made]]))
    cells = [[source[0], *shown] for source, shown in triples]
    if cells:
        rows = [list(chain(*cells[at : at + 2])) for at in range(0, len(cells), 2)]
        save_contact_sheet(rows, path, ["source", "target", "TER-GAN"] * 2, side=200)


def draw_intensities(pipe: TerGanPipeline, people: dict, path: Path, wanted=("happiness", "surprise")):
    """A neutral photo with more and more of an expression."""
    labels = [label for label in wanted if label in pipe.labels]
    rows, captions = [], []
    for own in list(people.values())[:3]:
        for label in labels:
            rows.append([or_else(None, pipe.edit, own[NEUTRAL], label, alpha) for alpha in (*INTENSITIES, 1.5)])
            captions.append([f"{label}, intensity {alpha:g}" for alpha in (*INTENSITIES, 1.5)])
    if rows:
        save_contact_sheet(_about_the_face(pipe, rows), path, captions=captions, side=200)


def draw_misses(photos, missed: list[tuple[int, str]], path: Path, most: int = 40, columns: int = 8):
    """The first photos whose expression was not named, with the label and the answer.

    Args:
        missed: row and answer.
    """
    shown = [(decode(photos[row]["image"]), f"{photos[row]['expression']} > {said}") for row, said in missed[:most]]
    if not shown:
        return
    shown += [(None, "")] * (-len(shown) % columns)
    lines = [shown[at : at + columns] for at in range(0, len(shown), columns)]
    rows, captions = ([[cell[part] for cell in line] for line in lines] for part in range(2))
    save_contact_sheet(rows, path, captions=captions, side=150)


def _about_the_face(pipe: TerGanPipeline, rows: list[list]) -> list[list]:
    """Each row's images cut about the face of its first one."""
    cut = []
    for row in rows:
        faces = pipe.detector.detect(row[0]) if row[0] is not None else []
        if not faces:
            cut.append(row)
            continue
        crop_transform = zoom_out(faces[0].crop_transform, SHOWN_MARGIN)
        cut.append([image and crop_face(image, crop_transform, 256) for image in row])
    return cut
