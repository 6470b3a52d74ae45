"""Transfer between rendered people, whose every expression is known exactly."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from ..data.ground_truth import expression_gain
from ..data.image_cells import decode
from ..data.loading import NO_EXPRESSION_ID
from ..model.errors_tergan import InvalidInputError, NoFaceFoundError
from ..model.face_alignment_tergan import crop_face
from ..model.pipeline_tergan import TerGanPipeline
from .judges import Judges
from .metrics import INTENSITIES, progress, psnr
from .perceptual import PerceptualMetrics


SMALLEST_STEP = 0.02  # of the way from target to truth; a smaller step counts as none
TRUTH = "the truth"
BATCH_SIZE = 32
Pair = tuple[int, int, int]


def draw_pairs(photos: Dataset, count: int, seed: int = 0) -> list[Pair]:
    """
    Draw rows (source, target, truth).

    Source and target are different people. The truth is the target's person with the source's expression id, and not
    the target image itself. Every expression that two people share is equally frequent among the sources.

    Raises:
        InvalidInputError: the photos have no expression ids, show one person only, or no two people share an
            expression id.
    """
    identities, expression_ids = np.array(photos["identity"]), np.array(photos["expression_id"])
    expressions = np.array(photos["expression"])
    if (expression_ids == NO_EXPRESSION_ID).any() or len(set(identities)) < 2:
        raise InvalidInputError("expression gain needs at least two people, and an expression_id for every photo")
    sessions = np.array(photos["session"]) if "session" in photos.column_names else np.zeros(len(photos), int)
    with_id, of_session = _rows_by(expression_ids), _rows_by(zip(identities, sessions))
    random = np.random.default_rng(seed)
    # People with a photo of each expression id that is the truth of another photo of theirs.
    people = {
        key: {identities[row] for row in rows if len(of_session[identities[row], sessions[row]]) > 1}
        for key, rows in with_id.items()
    }
    has_partner = np.array([bool(people[key] - {name}) for key, name in zip(expression_ids, identities)])
    if not has_partner.any():
        raise InvalidInputError("expression gain cannot be measured: no two people share an expression_id")
    shared = sorted(set(expressions[has_partner]))
    by_expression = [np.flatnonzero(expressions == label) for label in shared]
    pairs: list[Pair] = []
    while len(pairs) < count:
        # A row without a partner is drawn again, not left out before, so that no set's pairs change.
        source = int(random.choice(by_expression[len(pairs) % len(by_expression)]))
        truths = [row for row in with_id[expression_ids[source]] if identities[row] != identities[source]]
        if not truths:
            continue
        truth = int(random.choice(truths))
        targets = [row for row in of_session[identities[truth], sessions[truth]] if row != truth]
        if targets:
            pairs.append((source, int(random.choice(targets)), truth))
    return pairs


def _rows_by(keys: Iterable) -> dict[Any, list[int]]:
    """The rows of each key."""
    rows: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def measure_transfer(
    systems: dict[str, TerGanPipeline],
    photos: Dataset,
    pairs: list[Pair],
    detect: bool,
    judges: Judges,
    perceptual: PerceptualMetrics,
) -> dict[str, dict]:
    """
    Measure the same pairs with every system, on whole images. If no face is found, the target counts as the result.

    Returns:
        system → mean `gain` (1 − Σ|x̄ − truth| / Σ|x_t − truth|), `gain_by_expression`, and `psnr` to the truth in dB.
        With judges: `judged` (share of results in which the judge recognises the source's expression), `to_target` and
        `to_source` (SFace cosine to x_t and x_s). With perceptual metrics: `lpips` to the truth and `kid` to the true
        images. `counts` has the number of pairs behind each mean but the perceptual ones: judges need a face. The last
        row, `TRUTH`, has the judges' answers to the true images, their ceiling.
    """
    labels = np.array([photos[source]["expression"] for source, _, _ in pairs])
    measured: dict[str, dict[str, list]] = {name: {} for name in (*systems, TRUTH)}
    for name in systems:
        perceptual.start(name)
    for start in tqdm(range(0, len(pairs), BATCH_SIZE), desc="transfer", dynamic_ncols=True, leave=False):
        sources, targets, truths = load_pairs(photos, pairs[start : start + BATCH_SIZE])
        pair_judges = [
            judges.for_pair(source, target, label) for source, target, label in zip(sources, targets, labels[start:])
        ]
        for name, pipe in {**systems, TRUTH: None}.items():
            results = truths if pipe is None else transfer_or_target(pipe, sources, targets, detect)
            columns = measured[name]
            for result, judge in zip(results, pair_judges):
                for key, value in judge(result).items():
                    columns.setdefault(key, []).append(value)
            if pipe is not None:
                arrays = [_stack(images) for images in (results, targets, truths)]
                columns.setdefault("gain", []).extend(expression_gain(*arrays).tolist())
                columns.setdefault("psnr", []).extend(psnr(arrays[0], arrays[2]).tolist())
                perceptual.update(name, arrays[0], arrays[2])
    rows: dict[str, dict] = {
        name: {
            **{key: float(np.nanmean(values)) for key, values in columns.items()}, **perceptual.compute(name),
            "counts": {key: int(np.isfinite(values).sum()) for key, values in columns.items()},
        }
        for name, columns in measured.items()
    }  # fmt: skip
    for name in systems:
        gains = np.array(measured[name]["gain"])
        rows[name]["gain_by_expression"] = {
            str(label): float(np.nanmean(gains[labels == label])) for label in sorted(set(labels))
        }
    return rows


def gain_on_crops(pipe: TerGanPipeline, photos: Dataset, pairs: list[Pair], batch_size: int = BATCH_SIZE) -> float:
    """
    Mean expression gain of the network alone, between aligned crops (`detect=False`).

    The source is cropped by its own landmarks; target and truth are both cropped by the target's. If no face is found,
    the target counts as the result.
    """
    size, gains = pipe.model.config.image_size, []
    for start in tqdm(range(0, len(pairs), batch_size), desc="crops", dynamic_ncols=True, leave=False):
        crops = []
        for source, target, truth in zip(*load_pairs(photos, pairs[start : start + batch_size])):
            detected = [pipe.detector.detect(photo) for photo in (source, target)]
            if not all(detected):
                gains.append(0.0)
            else:
                of_source, of_target = (faces[0].crop_transform for faces in detected)
                photo_transforms = ((source, of_source), (target, of_target), (truth, of_target))
                crops.append([crop_face(photo, crop_transform, size) for photo, crop_transform in photo_transforms])
        if crops:
            sources, targets, truths = map(list, zip(*crops))
            results = pipe.transfer(sources, targets, detect=False)
            gains += expression_gain(*map(_stack, (results, targets, truths))).tolist()
    return float(np.nanmean(gains))


def measure_intensity(
    systems: dict[str, TerGanPipeline], photos: Dataset, pairs: list[Pair], detect: bool
) -> dict[str, dict]:
    """
    Measure how x̄ moves from x_t to the truth as the intensity α goes from 0 to 1.

    Returns:
        system → `progress`, the mean of `metrics.progress` at each of `INTENSITIES`, and `monotone`, the share of
        pairs in which every step of α advances by at least `SMALLEST_STEP`.
    """
    measured: dict[str, list] = {name: [] for name in systems}
    for start in tqdm(range(0, len(pairs), BATCH_SIZE), desc="intensity", dynamic_ncols=True, leave=False):
        sources, targets, truths = load_pairs(photos, pairs[start : start + BATCH_SIZE])
        for name, pipe in systems.items():
            steps = [transfer_or_target(pipe, sources, targets, detect, intensity=alpha) for alpha in INTENSITIES]
            curves = [progress(_stack(images), _stack(targets), _stack(truths)) for images in steps]
            measured[name].append(np.stack(curves, axis=1))
    results = {}
    for name, parts in measured.items():
        joined = np.concatenate(parts)
        is_monotone = np.diff(joined, axis=1).min(1) >= SMALLEST_STEP
        results[name] = {"progress": np.nanmean(joined, axis=0).tolist(), "monotone": float(is_monotone.mean())}
    return results


def load_pairs(photos: Dataset, pairs: list[Pair]) -> list[list[Image.Image]]:
    """The images of pairs as three lists: sources, targets and truths."""
    images = {row: decode(photos[row]["image"]) for pair in pairs for row in pair}
    return [[images[pair[part]] for pair in pairs] for part in range(3)]


def transfer_or_target(
    pipe: TerGanPipeline, sources: list, targets: list, detect: bool, intensity: float = 1.0
) -> list[Image.Image]:
    """Results of `pipe.transfer`. If source or target shows no face, the result is the target."""
    try:
        return pipe.transfer(sources, targets, detect=detect, intensity=intensity)
    except NoFaceFoundError:
        results = []
        for source, target in zip(sources, targets):
            try:
                results.append(pipe.transfer(source, target, detect=detect, intensity=intensity))
            except NoFaceFoundError:
                results.append(target)
        return results


def _stack(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image.convert("RGB")) for image in images])
