"""Expression gain on people whose every expression is known exactly."""

import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from ..data.framing import decode
from ..data.loading import NO_RECIPE
from ..face_detection_tergan import NoFaceFoundError
from ..pipeline_tergan import TerGanPipeline
from .metrics import expression_gain


def draw_pairs(photos: Dataset, count: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """
    Draw (source, target, truth) rows: source and target of different people, truth the target's person with the
    source's recipe, expressions of the source equally often, truth and target not the same image.

    Raises:
        ValueError: the photos have no recipes, show one person only, or hardly share a recipe.
    """
    identities, recipes = np.array(photos["identity"]), np.array(photos["recipe"])
    expressions = np.array(photos["expression"])
    if (recipes == NO_RECIPE).any() or len(set(identities)) < 2:
        raise ValueError("expression gain needs at least two people with recipes")
    sittings = np.array(photos["sitting"]) if "sitting" in photos.column_names else np.zeros(len(photos), int)
    row_of = {key: row for row, key in enumerate(zip(identities, sittings, recipes))}
    random = np.random.default_rng(seed)
    by_expression = [np.flatnonzero(expressions == label) for label in sorted(set(expressions))]
    pairs, tries = [], 0
    while len(pairs) < count:
        tries += 1
        if tries > 100 * count:
            raise ValueError("hardly any two people share a recipe: nothing to measure the expression gain on")
        source = int(random.choice(by_expression[len(pairs) % len(by_expression)]))
        target = int(random.integers(len(photos)))
        truth = row_of.get((identities[target], sittings[target], recipes[source]))
        if identities[source] != identities[target] and truth not in (None, target):
            pairs.append((source, target, truth))
    return pairs


def measure_gain(
    pipe: TerGanPipeline, photos: Dataset, pairs: list[tuple[int, int, int]], detect: bool, batch_size: int = 32
) -> tuple[dict[str, float], list[list[Image.Image]]]:
    """
    Expression gain through the whole pipeline, over whole images. A pair in which no face is found counts as the
    target handed back, gain 0.

    Returns:
        mean gain under `all` and under each expression of the source; rows of source, target, result, truth.
    """
    gains, rows = [], []
    for start in tqdm(range(0, len(pairs), batch_size), desc=f"transfer, detect={detect}", dynamic_ncols=True):
        batch = [[decode(photos[row]["image"]) for row in pair] for pair in pairs[start : start + batch_size]]
        sources, targets, truths = map(list, zip(*batch))
        results = _transfer_what_shows_a_face(pipe, sources, targets, detect)
        gains += expression_gain(*(np.stack([np.asarray(i) for i in images]) for images in (results, targets, truths)))
        rows += [list(row) for row in zip(sources, targets, results, truths)]
    gains = np.array([float(gain) for gain in gains])
    labels = np.array([photos[source]["expression"] for source, _, _ in pairs])
    means = {"all": float(np.nanmean(gains))}
    means |= {str(label): float(np.nanmean(gains[labels == label])) for label in sorted(set(labels))}
    return means, rows


def _transfer_what_shows_a_face(pipe: TerGanPipeline, sources: list, targets: list, detect: bool) -> list[Image.Image]:
    try:
        return pipe.transfer(sources, targets, detect=detect)
    except NoFaceFoundError:
        results = []
        for source, target in zip(sources, targets):
            try:
                results.append(pipe.transfer(source, target, detect=detect))
            except NoFaceFoundError:
                results.append(target)
        return results
