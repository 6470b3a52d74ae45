"""Editing and transfer on photos of real people.

No exact truth exists for them. Independent judges say whose face a result shows, and with which expression.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..data.crops import to_range, to_unit_range
from ..data.ground_truth import confine_truth, expression_gain
from ..data.image_cells import decode
from ..data.registration import register_faces
from ..model.errors_tergan import NoFaceFoundError
from ..model.face_alignment_tergan import compose_transforms, crop_face, invert_transform
from ..model.pipeline_tergan import TerGanPipeline
from .judges import Judges


NEUTRAL = "neutral"

Default = TypeVar("Default")


def group_by_person(photos) -> dict[str, dict[str, Image.Image]]:
    """identity → expression → photo, of people with a neutral photo. The last photo of an expression counts."""
    people: dict[str, dict[str, Image.Image]] = {}
    for photo in photos:
        people.setdefault(photo["identity"], {})[photo["expression"]] = decode(photo["image"])
    return {name: own for name, own in people.items() if NEUTRAL in own}


def measure_editing(
    systems: dict[str, TerGanPipeline], people: dict[str, dict[str, Image.Image]], labels: list[str], judges: Judges
) -> dict:
    """
    Edit every person's neutral photo to every label with every system. A photo without a detected face stays as it is.

    Returns:
        `systems`: system → label → `cosine` (mean SFace cosine to the photo before the edit), `lowest` (cosine) and
        `judged` (share in which the judge recognises the label); `all` is over all labels but neutral.
        `real`: label → the same for the people's own photos with that label, the ceiling of the judges.
        `people`: name → the same for the first system, over all labels but neutral.
    """
    answers: dict[str, dict[str, list]] = {name: {label: [] for label in labels} for name in systems}
    real: dict[str, list] = {}
    for own in tqdm(people.values(), desc="editing", dynamic_ncols=True, leave=False):
        photo = own[NEUTRAL]
        for label in labels:
            judge = judges.for_pair(photo, photo, label)
            for name, pipe in systems.items():
                answers[name][label].append(judge(result_or(photo, pipe.edit, photo, label)))
            if label in own:
                real.setdefault(label, []).append(judge(own[label]))
    expressive = [label for label in labels if label != NEUTRAL]
    first = next(iter(systems))
    return {
        "systems": {
            name: {
                **{label: _summary(rows) for label, rows in by_label.items()},
                "all": _summary([row for label in expressive for row in by_label[label]]),
            }
            for name, by_label in answers.items()
        },
        "real": {label: _summary(rows) for label, rows in real.items()},
        "people": {
            name: _summary([answers[first][label][number] for label in expressive])
            for number, name in enumerate(people)
        },
    }


def measure_strangers(
    systems: dict[str, TerGanPipeline], people: dict[str, dict[str, Image.Image]], label: str, judges: Judges
) -> dict[str, dict]:
    """
    Give each person's neutral photo the next person's expression `label`.

    Returns:
        system → `judged`, `to_target` and `to_source`, means over the people. The row `real` is the target's own photo
        with that expression, the ceiling of the judges.
    """
    names = [name for name in people if label in people[name]]
    answers: dict[str, list] = {name: [] for name in (*systems, "real")}
    neighbours = tqdm(names[1:] + names[:1], desc="strangers", dynamic_ncols=True, leave=False)
    for name, neighbour in zip(names, neighbours):
        source, target = people[neighbour][label], people[name][NEUTRAL]
        judge = judges.for_pair(source, target, label)
        for system, pipe in systems.items():
            answers[system].append(judge(result_or(target, pipe.transfer, source, target)))
        answers["real"].append(judge(people[name][label]))
    return {
        system: {key: _mean(rows, key) for key in ("judged", "to_target", "to_source")}
        for system, rows in answers.items()
    }


def own_expression_gain(
    pipe: TerGanPipeline, people: dict[str, dict[str, Image.Image]], label: str
) -> dict[str, float]:
    """
    Expression gain of giving a neutral photo the same person's own expression, between aligned crops.

    Handing the photo back scores 0. A score of 1 is out of reach, because the two photos differ in more than the
    expression.

    Returns:
        `crop`: over the whole crop.
        `face`: against the truth of `confine_truth`, which differs from the photo in the face only, in its light.
        `registered`: the same with the truth registered to the photo first, as in training (`register_faces`). Five
        landmarks leave an error of a pixel, as much as a smile moves the eyes.
    """
    crops, size = [], pipe.model.config.image_size
    for own in people.values():
        if label not in own:
            continue
        photos = own[NEUTRAL], own[label]
        detected = [pipe.detector.detect(photo) for photo in photos]
        if all(detected):
            transforms = [faces[0].crop_transform for faces in detected]
            target, truth = (crop_face(photo, transform, size) for photo, transform in zip(photos, transforms))
            registered = crop_face(own[label], _registered_transform(transforms[1], truth, target), size)
            crops.append((target, truth, registered, pipe.transfer(truth, target, detect=False)))
    if not crops:
        return {}
    target, truth, registered, result = map(_batch, zip(*crops))
    upright = torch.eye(2, 3).expand(len(crops), 2, 3)
    truths = {
        "crop": truth,
        "face": confine_truth(target, truth, upright),
        "registered": confine_truth(target, registered, upright),
    }
    return {name: float(expression_gain(result, target, images).mean()) for name, images in truths.items()}


def _registered_transform(crop_transform: np.ndarray, crop: Image.Image, reference: Image.Image) -> np.ndarray:
    """The crop transform that registers a photo's crop to a reference crop."""
    registration = register_faces(_batch([crop]), _batch([reference]))[0].double().numpy()
    to_crop = to_unit_range(registration)
    return compose_transforms(invert_transform(to_crop), crop_transform)


def _batch(images) -> torch.Tensor:
    """(B, 3, S, S) in [-1, 1]."""
    return to_range(torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2))


def result_or(default: Default, method: Callable[..., Image.Image], *arguments) -> Image.Image | Default:
    """The result of a pipeline's method, or `default` if it finds no face."""
    try:
        return method(*arguments)
    except NoFaceFoundError:
        return default


def _summary(answers: list[dict[str, float]]) -> dict[str, float]:
    cosines = [answer["to_target"] for answer in answers if "to_target" in answer]
    summary = {"cosine": float(np.mean(cosines)), "lowest": float(np.min(cosines))} if cosines else {}
    judged = _mean(answers, "judged")
    return summary | ({} if judged is None else {"judged": judged})


def _mean(answers: list[dict[str, float]], key: str) -> float | None:
    values = [answer[key] for answer in answers if key in answer]
    return float(np.mean(values)) if values else None
