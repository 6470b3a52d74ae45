"""Editing and transfer on photos of real people, for which no exact truth exists: independent judges say whose face it
is and what it shows."""

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..data.crops import to_range
from ..data.ground_truth import confine_truth, expression_gain
from ..data.padded_crops import decode
from ..data.registration import register_faces
from ..data.sampling import FROM_UNIT, TO_UNIT
from ..model.errors_tergan import NoFaceFoundError
from ..model.face_alignment_tergan import compose_transforms, crop_face, invert_transform
from ..model.pipeline_tergan import TerGanPipeline
from .judges import Judges


NEUTRAL = "neutral"


def people_of(photos) -> dict[str, dict[str, Image.Image]]:
    """identity → expression → photo (the last one of each), of people with a neutral photo."""
    people: dict[str, dict[str, Image.Image]] = {}
    for photo in photos:
        people.setdefault(photo["identity"], {})[photo["expression"]] = decode(photo["image"])
    return {name: own for name, own in people.items() if NEUTRAL in own}


def measure_editing(
    systems: dict[str, TerGanPipeline], people: dict[str, dict[str, Image.Image]], labels: list[str], judges: Judges
) -> dict:
    """
    Every person's neutral photo edited to every label by every system. Where no face is found the photo is left alone.

    Returns:
        `systems`: system → label → `cosine` (mean SFace cosine to the photo before), `lowest` and `judged` (share read
        as the label), with `all`, over the labels but neutral; `real`: label → the same of the people's own photos
        with that label, which is the judges' ceiling; `people`: name → label → (cosine, judged) of the first system.
    """
    found: dict[str, dict[str, list]] = {name: {label: [] for label in labels} for name in systems}
    real: dict[str, list] = {}
    for own in tqdm(people.values(), desc="editing", dynamic_ncols=True, leave=False):
        photo = own[NEUTRAL]
        for label in labels:
            read = judges.of_pair(photo, photo, label)
            for name, pipe in systems.items():
                found[name][label].append(read(or_else(photo, pipe.edit, photo, label)))
            if label in own:
                real.setdefault(label, []).append(read(own[label]))
    expressive = [label for label in labels if label != NEUTRAL]
    first = next(iter(systems))
    return {
        "systems": {
            name: {
                **{label: _summary(said) for label, said in by_label.items()},
                "all": _summary([one for label in expressive for one in by_label[label]]),
            }
            for name, by_label in found.items()
        },
        "real": {label: _summary(said) for label, said in real.items()},
        "people": {
            name: _summary([found[first][label][number] for label in expressive]) for number, name in enumerate(people)
        },
    }


def measure_strangers(
    systems: dict[str, TerGanPipeline], people: dict[str, dict[str, Image.Image]], label: str, judges: Judges
) -> dict[str, dict]:
    """
    Each person's neutral photo is given the next person's expression `label`.

    Returns:
        system → `judged`, `to_target`, `to_source`, means over the people; the row `real` has the target's own photo
        with that expression: the judges' ceiling.
    """
    names = [name for name in people if label in people[name]]
    said: dict[str, list] = {name: [] for name in (*systems, "real")}
    neighbours = tqdm(names[1:] + names[:1], desc="strangers", dynamic_ncols=True, leave=False)
    for name, other in zip(names, neighbours):
        source, target = people[other][label], people[name][NEUTRAL]
        read = judges.of_pair(source, target, label)
        for system, pipe in systems.items():
            said[system].append(read(or_else(target, pipe.transfer, source, target)))
        said["real"].append(read(people[name][label]))
    return {
        system: {key: _mean(rows, key) for key in ("judged", "to_target", "to_source")}
        for system, rows in said.items()
    }


def own_expression_gain(
    pipe: TerGanPipeline, people: dict[str, dict[str, Image.Image]], label: str
) -> dict[str, float]:
    """
    Expression gain of giving a neutral photo the same person's own expression, between aligned crops. Handing the
    photo back has 0, and 1 is out of reach: the two photos differ in more than the expression.

    Returns:
        `crop`: over the whole crop. `face`: of `confine_truth`, where only the face differs, in the photo's light.
        `registered`: of the truth that training takes, which is laid over the photo first (`register_faces`): five
        landmarks miss by a pixel, as much as a smile moves the eyes.
    """
    crops, size = [], pipe.model.config.image_size
    for own in people.values():
        if label not in own:
            continue
        photos = own[NEUTRAL], own[label]
        found = [pipe.detector.detect(photo) for photo in photos]
        if all(found):
            crop_transforms = [faces[0].crop_transform for faces in found]
            target, truth = (
                crop_face(photo, crop_transform, size) for photo, crop_transform in zip(photos, crop_transforms)
            )
            laid_over = crop_face(own[label], _laid_over(crop_transforms[1], truth, target), size)
            crops.append((target, truth, laid_over, pipe.transfer(truth, target, detect=False)))
    if not crops:
        return {}
    target, truth, laid_over, result = map(_batch, zip(*crops))
    still = torch.eye(2, 3).expand(len(crops), 2, 3)
    gains = {
        "crop": truth,
        "face": confine_truth(target, truth, still),
        "registered": confine_truth(target, laid_over, still),
    }
    return {name: float(expression_gain(result, target, wanted).mean()) for name, wanted in gains.items()}


def _laid_over(crop_transform: np.ndarray, crop: Image.Image, onto: Image.Image) -> np.ndarray:
    """The crop_transform with which the photo of this crop lies over another crop."""
    registration = register_faces(_batch([crop]), _batch([onto]))[0].double().numpy()
    to_crop = compose_transforms(TO_UNIT, compose_transforms(registration, FROM_UNIT))
    return compose_transforms(invert_transform(to_crop), crop_transform)


def _batch(images) -> torch.Tensor:
    """(B, 3, S, S) in [-1, 1]."""
    return to_range(torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2))


def or_else(otherwise: Image.Image | None, use, *arguments) -> Image.Image | None:
    """A use's result; where no face is found, `otherwise`."""
    try:
        return use(*arguments)
    except NoFaceFoundError:
        return otherwise


def _summary(said: list[dict[str, float]]) -> dict[str, float]:
    cosines = [one["to_target"] for one in said if "to_target" in one]
    summary = {"cosine": float(np.mean(cosines)), "lowest": float(np.min(cosines))} if cosines else {}
    judged = _mean(said, "judged")
    return summary | ({} if judged is None else {"judged": judged})


def _mean(said: list[dict[str, float]], key: str) -> float | None:
    values = [one[key] for one in said if key in one]
    return float(np.mean(values)) if values else None
