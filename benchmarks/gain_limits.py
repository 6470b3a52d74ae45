"""Where expression gain is lost: in reading f(e), in the decoder, or in what a flow and a shading can show.

`python benchmarks/gain_limits.py data/heads_validation` transfers between aligned crops of a set with exact flow (as
built heads and portraits have), and replaces one part after the other by the truth. Take people whom the weights have
not seen. `results.md` has the mean gain of each row:

- f(e) as users have it, read from the source;
- f(e) read from the truth itself, so that no other person is in it;
- f(e) moved by the true change of blendshapes, as in editing by name, so that nothing is read;
- f(e) fitted to the truth by gradient descent: the best that the decoder can do;
- the target moved by the exact flow, with nothing painted, then with the true shading at so many positions across: the
  best that this flow and a shading of that size can do.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from tergan_hf import TerGanModel, TerGanPipeline
from tergan_hf.cli.errors import one_line_errors
from tergan_hf.data.ground_truth import expression_gain, true_flow
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import PhotoSet, aligned_crops, label_photo_sets
from tergan_hf.evaluation.markdown import markdown_table
from tergan_hf.evaluation.transfer import draw_pairs
from tergan_hf.expressions.blendshapes import COLUMN_NAMES, column_units
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.outputs_tergan import TerGanTarget, warp


BATCH_SIZE = 8
LEARNING_RATE = 0.05  # of the fitted f(e)
SHADING_SIZES = (16, 32, 64)  # positions across
BY_NAME = "f(e) moved by the true blendshapes"


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", help="folder or parquet file of a set with flow maps and blendshapes")
    parser.add_argument("--split", default="train", help="split of the set (%(default)s)")
    parser.add_argument("--weights", default="weights/ter-gan", help="folder or Hub id (%(default)s)")
    parser.add_argument("--pairs", type=int, default=64, help="number of pairs (%(default)s)")
    parser.add_argument("--fit_steps", type=int, default=30, help="steps that fit f(e); 0 leaves it out (%(default)s)")
    parser.add_argument("--output", default="runs/gain_limits", help="folder for results.md (%(default)s)")
    parser.add_argument("--device", help="cuda, mps or cpu; default: the fastest available")
    options = parser.parse_args(argv)
    with one_line_errors("gain_limits.py"):
        model = TerGanPipeline.from_pretrained(options.weights, options.device).model
        if model.config.decoder_type != "photo":
            raise InvalidInputError(f"{options.weights}: a photo decoder is needed, which moves pixels")
        photos, pairs = load_pairs(options.source, options.split, model, options.pairs)
        gains = measure(model.dequantize().requires_grad_(False), photos, pairs, options.fit_steps)
        table = markdown_table(
            ["part that is replaced by the truth", "expression gain"],
            [[name, f"{np.nanmean(values):.3f}"] for name, values in gains.items()],
        )
        path = Path(options.output) / "results.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{len(pairs)} pairs of {options.source}, aligned crops.\n\n{table}\n")
        print(f"{table}\n\nWrote {path}")


def load_pairs(source: str, split: str, model: TerGanModel, count: int) -> tuple[PhotoSet, np.ndarray]:
    """
    The photos of a set, and rows (source, target, truth) of them, (count, 3).

    Raises:
        InvalidInputError: the set has no flow maps or no blendshapes, or no two people share an expression.
    """
    photos = load_photos(source, split)
    if missing := {"flow", "blendshapes"} - set(photos.column_names):
        raise InvalidInputError(
            f"{source}: no column {' and no column '.join(sorted(missing))}; built heads and portraits have both"
        )
    padded = make_padded_crops(photos, model.config.image_size, name=source)
    photo_set = label_photo_sets({source: padded}, list(model.config.expressions))[0][0]
    return photo_set, np.array(draw_pairs(padded, count))


def measure(model: TerGanModel, photos: PhotoSet, pairs: np.ndarray, fit_steps: int) -> dict[str, list[float]]:
    """Gains of every pair, by what is replaced by the truth."""
    gains: dict[str, list[float]] = {}
    size = model.config.image_size
    for start in tqdm(range(0, len(pairs), BATCH_SIZE), desc="gain limits", dynamic_ncols=True, leave=False):
        rows = pairs[start : start + BATCH_SIZE]
        source, target, truth = (aligned_crops(photos, part, size, model.device) for part in rows.T)
        with torch.no_grad():
            encoded = model.encode_target(target)
            embeddings = embeddings_by_name(model, encoded, source, truth, blendshape_steps(model, photos, rows))
        results = {name: model.synthesize(embedding, encoded) for name, embedding in embeddings.items()}
        if fit_steps:
            fitted = fit_embedding(model, encoded, truth, embeddings[BY_NAME], fit_steps)
            results["f(e) fitted to the truth"] = fitted
        results |= dict(moved_by_true_flow(photos, rows, target, truth))
        for name, result in results.items():
            gains.setdefault(name, []).extend(expression_gain(result.clamp(-1, 1), target, truth).tolist())
    return gains


def blendshape_steps(model: TerGanModel, photos: PhotoSet, rows: np.ndarray) -> torch.Tensor:
    """From the blendshapes of the targets to those of the sources, (B, names), weights and degrees; 0 if unknown."""
    names = model.config.blendshape_names
    known = photos.blendshapes[:, [COLUMN_NAMES.index(name) for name in names]] * column_units(names)
    steps = torch.from_numpy(known[rows[:, 0]] - known[rows[:, 1]]).float()
    return steps.nan_to_num(nan=0.0).to(model.device)


def embeddings_by_name(
    model: TerGanModel, encoded: TerGanTarget, source: torch.Tensor, truth: torch.Tensor, steps: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The wanted f(e), by where it comes from."""
    return {
        "nothing: f(e) read from the source": model.encode_expression(source),
        "f(e) read from the truth": model.encode_expression(truth),
        BY_NAME: model.move_blendshapes(encoded.expression_embedding, steps),
    }


def fit_embedding(
    model: TerGanModel, encoded: TerGanTarget, truth: torch.Tensor, start: torch.Tensor, steps: int
) -> torch.Tensor:
    """The best x̄ found by Adam on f(e), which starts at `start`; x_t itself, the result for its own f(e), counts."""
    best = encoded.pixel_values
    least = unchanged = (best - truth).abs().flatten(1).mean(1)
    embedding = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([embedding], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
    for _ in range(steps):
        generated = model.synthesize(embedding, encoded)
        misses = (generated - truth).abs().flatten(1).mean(1)
        best = torch.where((misses < least)[:, None, None, None], generated, best).detach()
        least = torch.minimum(misses, least).detach()
        optimizer.zero_grad()
        (misses / unchanged.clamp(min=1e-6)).sum().backward()
        optimizer.step()
        schedule.step()
    return best


def moved_by_true_flow(
    photos: PhotoSet, rows: np.ndarray, target: torch.Tensor, truth: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """The target moved by the exact flow, alone and with the true shading."""
    size, device = target.shape[-1], target.device
    target_maps, truth_maps = (torch.stack([photos.flow_map(row) for row in rows[:, part]]) for part in (1, 2))
    to_photo = torch.stack([photos.crop_to_photo(row) for row in rows[:, 1]])
    aligned = torch.eye(2, 3).expand(len(rows), 2, 3)
    flow, known = true_flow(target_maps, truth_maps, aligned, to_photo, size)
    moved = warp(target, torch.where(known, flow, 0.0).to(device))
    yield "exact flow, nothing painted", moved
    for positions in SHADING_SIZES:
        shading = F.interpolate(F.adaptive_avg_pool2d(truth - moved, positions), size=(size, size), mode="bilinear")
        yield f"exact flow, true shading at {positions} positions", moved + shading


if __name__ == "__main__":
    main()
