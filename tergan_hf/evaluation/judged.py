"""What independent judges see in edited photos of held-out people: is it still them, and which expression is it?"""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..data.framing import decode
from ..face_alignment_tergan import crop_face, similarity_framing
from ..pipeline_tergan import TerGanPipeline
from .contact_sheet import save_contact_sheet
from .judges import ExpressionJudge, IdentityJudge
from .metrics import expression_gain


def judge_edits(
    pipe: TerGanPipeline,
    photos,
    identity: IdentityJudge,
    expression: ExpressionJudge,
    columns: list[str],
    output: Path,
) -> dict:
    """
    Edit every person's neutral photo to every label, and transfer to it another person's happy one.

    Args:
        photos: with `identity` and `expression`, `neutral` and maybe `happiness`.
        columns: further columns to break the numbers down by (`gender`, `ethnicity`, …).
        output: folder for the contact sheet.

    Returns:
        per label the mean SFace cosine to the original (and the lowest), and the share in which the expression judge
        reads the label; the same judges on the real photos (their ceiling); the cosine between strangers; the leak:
        the cosine of a transfer's result to its source.
    """
    people = _by_person(photos)
    names = [name for name, own in people.items() if "neutral" in own]
    neutral = {name: people[name]["neutral"] for name in names}
    faces = {name: pipe.faces(neutral[name])[0] for name in names}
    own = {name: identity.features(neutral[name], faces[name]) for name in names}
    results: dict = {"people": len(names), "edits": {}, "real": {}, "groups": {}}
    rows, sheet = {name: [neutral[name]] for name in names}, []
    measured: dict[str, dict[str, tuple[float, bool]]] = {name: {} for name in names}
    for label in tqdm(pipe.labels, desc="edits", dynamic_ncols=True):
        for name in names:
            edited = pipe.edit(neutral[name], label)
            rows[name].append(edited)
            # The original's landmarks: the judge must see the same crop, not one that follows the new mouth.
            cosine = float(identity.features(edited, faces[name]) @ own[name])
            scores = expression.scores(edited, faces[name])
            measured[name][label] = (cosine, max(scores, key=scores.get) == label)
        found = [measured[name][label] for name in names]
        results["edits"][label] = _summary(found)
    for label in ("neutral", "happiness"):
        real = [(name, people[name][label]) for name in names if label in people[name]]
        scores = [expression.scores(photo) for _, photo in real]
        cosines = [float(identity.features(photo) @ own[name]) for name, photo in real]
        results["real"][label] = {
            "cosine": float(np.mean(cosines)),
            "judged": float(np.mean([max(s, key=s.get) == label for s in scores])),
        }
    results["strangers"], results["leak"] = _leak(pipe, people, names, identity, own)
    if gains := _own_smiles(pipe, people, names):
        results["own_smile_gain"] = float(np.mean(gains))
    by_row = {photo["identity"]: photo for photo in photos}
    for column in columns:
        for value in sorted({str(by_row[name][column]) for name in names}):
            members = [name for name in names if str(by_row[name][column]) == value]
            found = [measured[name][label] for name in members for label in pipe.labels if label != "neutral"]
            results["groups"][f"{column}={value}"] = {"people": len(members), **_summary(found)}
    for name in names[:10]:
        sheet.append([_face_of(image, faces[name].box) for image in rows[name]])
    save_contact_sheet(sheet, output / "judged_edits.png", ["photo", *pipe.labels], side=256)
    return results


def _summary(found: list[tuple[float, bool]]) -> dict[str, float]:
    cosines, judged = zip(*found)
    return {"cosine": float(np.mean(cosines)), "lowest": float(np.min(cosines)), "judged": float(np.mean(judged))}


def _leak(pipe, people, names, identity, own) -> tuple[float, float]:
    """Mean cosine between strangers, and between a transfer's result and its source."""
    strangers, leaks = [], []
    for at, name in enumerate(names):
        other = names[(at + 1) % len(names)]
        if "happiness" not in people[other]:
            continue
        source = people[other]["happiness"]
        feature = identity.features(source)
        result = pipe.transfer(source, people[name]["neutral"])
        strangers.append(float(feature @ own[name]))
        leaks.append(float(feature @ identity.features(result)))
    return float(np.mean(strangers)), float(np.mean(leaks))


def _own_smiles(pipe, people, names) -> list[float]:
    """Gain of giving the neutral photo the same person's smile, against the smile aligned by its landmarks."""
    gains, size = [], pipe.model.config.image_size
    for name in names:
        if "happiness" not in people[name]:
            continue
        neutral, smile = people[name]["neutral"], people[name]["happiness"]
        crops = [
            crop_face(photo, similarity_framing(pipe.faces(photo)[0].landmarks), size) for photo in (neutral, smile)
        ]
        result = pipe.transfer(smile, neutral, paste_back=False)
        arrays = [np.asarray(image, np.float32)[None] for image in (result, *crops)]
        gains.append(float(expression_gain(*arrays)[0]))
    return gains


def _by_person(photos) -> dict[str, dict[str, Image.Image]]:
    people: dict[str, dict[str, Image.Image]] = {}
    for photo in photos:
        people.setdefault(photo["identity"], {})[photo["expression"]] = decode(photo["image"])
    return people


def _face_of(image: Image.Image, box: np.ndarray) -> Image.Image:
    left, top, right, bottom = box
    middle, half = ((left + right) / 2, (top + bottom) / 2), 0.75 * max(right - left, bottom - top)
    return image.crop(
        tuple(round(v) for v in (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half))
    )
