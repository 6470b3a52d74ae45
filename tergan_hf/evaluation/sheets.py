"""Pictures of the report, like the paper's figures 3 (transfer) and 4 (editing)."""

from itertools import chain
from pathlib import Path

from ..data.contact_sheet import crop_around_faces, save_contact_sheet
from ..data.image_cells import decode
from ..model.pipeline_tergan import TerGanPipeline
from .editing import NEUTRAL, result_or
from .metrics import INTENSITIES
from .transfer import Pair, load_pairs, transfer_or_target


SHOWN_PEOPLE = 8
SHOWN_LABELS = ("happiness", "surprise")
SHOWN_MISSES, MISSES_PER_ROW = 40, 8


def draw_transfers(pipe: TerGanPipeline, photos, pairs: list[Pair], detect: bool, path: Path):
    """Draw figure 3 for rendered people: source, target, result and truth of each pair, two pairs per row."""
    sources, targets, truths = load_pairs(photos, pairs)
    results = transfer_or_target(pipe, sources, targets, detect)
    quadruples = list(zip(sources, targets, results, truths))
    rows = [list(chain(*quadruples[start : start + 2])) for start in range(0, len(quadruples), 2)]
    save_contact_sheet(rows, path, ["source", "target", "TER-GAN", "truth"] * 2, side=150)


def draw_transfers_between_people(pipe: TerGanPipeline, photos, detect: bool, path: Path, people: int = SHOWN_PEOPLE):
    """
    Draw figure 3 for any set with identities: the top row has one person's photo of each expression, each row below
    another person and what the sources above make of them. A target shows its person's first expression, neutral if
    the set has it.
    """
    shown = _one_of_each(photos)
    labels = _labels_of(photos)
    complete = [name for name, own in shown.items() if set(labels) <= set(own)]
    if not complete or len(shown) < 2:
        return
    sources = [decode(photos[shown[complete[0]][label]]["image"]) for label in labels]
    rows: list[list] = [[None, *sources]]
    for name in [other for other in shown if other != complete[0]][:people]:
        first = next(label for label in labels if label in shown[name])
        target = decode(photos[shown[name][first]]["image"])
        rows.append([target, *transfer_or_target(pipe, sources, [target] * len(sources), detect)])
    save_contact_sheet(rows, path, ["target", *labels], side=150)


def draw_edits_by_example(pipe: TerGanPipeline, photos, detect: bool, path: Path, people: int = 4):
    """
    Draw figure 4: editing a photo by other photos of the same person.

    The upper row of a person has the photo, which is neutral if the set has that label and else shows its first label,
    and the person's own photo of each other expression. The lower row has the results of editing the photo by these
    examples.
    """
    first, *labels = _labels_of(photos)
    rows: list[list] = []
    captions: list[list[str]] = []
    for own in _one_of_each(photos).values():
        if not {first, *labels} <= set(own) or len(rows) >= 2 * people:
            continue
        target, *sources = (decode(photos[own[label]]["image"]) for label in (first, *labels))
        results = transfer_or_target(pipe, sources, [target] * len(sources), detect)
        rows += [[target, *sources], [None, *results]]
        captions += [["input", *["source"] * len(labels)], ["", *["TER-GAN"] * len(labels)]]
    if rows and labels:
        save_contact_sheet(rows, path, [first, *labels], captions, side=150)


def _labels_of(photos) -> list[str]:
    """The labels of a set, `neutral` first."""
    return sorted(set(photos["expression"]), key=lambda label: (label != NEUTRAL, label))


def _one_of_each(photos) -> dict[str, dict[str, int]]:
    """identity → expression → the first row with both, people in alphabetical order."""
    found: dict[str, dict[str, int]] = {}
    for row, (identity, expression) in enumerate(zip(photos["identity"], photos["expression"])):
        found.setdefault(identity, {}).setdefault(expression, row)
    return dict(sorted(found.items()))


def draw_edits(pipe: TerGanPipeline, people: dict, path: Path):
    """Draw figure 4 for photos: each person's neutral photo, edited to every label."""
    rows = [
        [own[NEUTRAL], *(result_or(None, pipe.edit, own[NEUTRAL], label) for label in pipe.labels)]
        for own in list(people.values())[:SHOWN_PEOPLE]
    ]
    save_contact_sheet(crop_around_faces(pipe.detector, rows), path, ["photo", *pipe.labels], side=200)


def draw_strangers(pipe: TerGanPipeline, people: dict, label: str, path: Path):
    """Draw figure 3 for photos: the next person's expression, the neutral photo and the result, two people per row."""
    with_label = [own for own in people.values() if label in own][: 2 * SHOWN_PEOPLE]
    triples = []
    for own, neighbour in zip(with_label, with_label[1:] + with_label[:1]):
        result = result_or(None, pipe.transfer, neighbour[label], own[NEUTRAL])
        source, target = crop_around_faces(pipe.detector, [[neighbour[label]], [own[NEUTRAL], result]])
        triples.append([*source, *target])
    if triples:
        rows = [list(chain(*triples[start : start + 2])) for start in range(0, len(triples), 2)]
        save_contact_sheet(rows, path, ["source", "target", "TER-GAN"] * 2, side=200)


def draw_intensities(pipe: TerGanPipeline, people: dict, path: Path):
    """Draw neutral photos edited to `SHOWN_LABELS` at growing intensity."""
    labels = [label for label in SHOWN_LABELS if label in pipe.labels]
    rows, captions = [], []
    for own in list(people.values())[:3]:
        for label in labels:
            rows.append([result_or(None, pipe.edit, own[NEUTRAL], label, alpha) for alpha in (*INTENSITIES, 1.5)])
            captions.append([f"{label}, intensity {alpha:g}" for alpha in (*INTENSITIES, 1.5)])
    if rows:
        save_contact_sheet(crop_around_faces(pipe.detector, rows), path, captions=captions, side=200)


def draw_misses(photos, missed: list[tuple[int, str]], path: Path):
    """
    Draw the first photos whose expression was not recognised, with the true and the predicted label.

    Args:
        missed: rows and predicted labels.
    """
    shown = [
        (decode(photos[row]["image"]), f"{photos[row]['expression']} > {predicted}")
        for row, predicted in missed[:SHOWN_MISSES]
    ]
    if not shown:
        return
    lines = [shown[start : start + MISSES_PER_ROW] for start in range(0, len(shown), MISSES_PER_ROW)]
    rows = [[image for image, _ in line] for line in lines]
    captions = [[caption for _, caption in line] for line in lines]
    save_contact_sheet(rows, path, captions=captions, side=150)
