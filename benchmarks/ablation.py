"""What each loss of the paper does: the same run without it, measured on people kept out of training.

`python benchmarks/ablation.py --data_root data --output_dir runs/ablation` trains stage 1 once, and stage 2 of
`configs/compact.yaml` once with every loss and once without each (`--steps` says how long). A killed run goes on where
it was. The table goes to `ablation.md`; beside a model's weights the model card shows it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from tergan_hf import TerGanPipeline
from tergan_hf.data.loading import NO_RECIPE
from tergan_hf.evaluation.disentanglement import probe
from tergan_hf.evaluation.embeddings import RememberingDetector, embed_photos
from tergan_hf.evaluation.held_out import held_out_sets
from tergan_hf.evaluation.judges import Judges
from tergan_hf.evaluation.perceptual import PerceptualMetrics
from tergan_hf.evaluation.systems import MODEL
from tergan_hf.evaluation.transfer import draw_pairs, measure_transfer
from tergan_hf.training.command_line import ABLATIONS


ROOT = Path(__file__).resolve().parents[1]
EQUATIONS = {
    "expression_consistency": "eq. 4, L_Des",
    "identity_consistency": "eq. 5, L_Det",
    "reconstruction": "eq. 6 and 7, L_irec and L_erec",
    "expression_feature": "eq. 8, L_ef",
    "identity_feature": "eq. 9, L_if",
    "adversarial": "eq. 3, L_adv",
}
COLUMNS = {
    "gain": ("expression gain", "{:.3f}"),
    "psnr": ("PSNR, dB", "{:.2f}"),
    "expression": ("expression from f(e)", "{:.1%}"),
    "identity": ("identity from f(e), chance {chance:.1%}", "{:.1%}"),
    "gap": ("mutual information gap", "{:.3f}"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", required=True)
    parser.add_argument("--output_dir", default="runs/ablation")
    parser.add_argument("--config", default=str(ROOT / "configs" / "compact.yaml"))
    parser.add_argument("--steps", type=int, default=600, help="of stage 2, each run")
    parser.add_argument("--stage1_steps", type=int, default=1000, help="of G_es; G_et gets a fifth")
    parser.add_argument("--dataset", default="avatars", help="the set to measure on, one with recipes")
    parser.add_argument("--pairs", type=int, default=140)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", help="further KEY=VALUE for every run")
    options = parser.parse_args()
    output = Path(options.output_dir)
    stage1 = [f"expression_stage.steps={options.stage1_steps}", f"identity_stage.steps={options.stage1_steps // 5}"]
    train(options, output / "stage1", [*stage1, "generator_stage.steps=0"])
    begun = [f"pretrained={output / 'stage1' / 'model'}", "expression_stage.steps=0", "identity_stage.steps=0"]
    begun.append(f"generator_stage.steps={options.steps}")
    runs = {"stage 1 alone": output / "stage1", "all losses": output / "all"}
    train(options, output / "all", begun)
    for loss in ABLATIONS:
        runs[f"without {EQUATIONS[loss]}"] = output / f"without_{loss}"
        train(options, output / f"without_{loss}", begun, loss)
    results = {name: measure(folder / "model", options) for name, folder in runs.items()}
    (output / "ablation.json").write_text(json.dumps(results, indent=1))
    (output / "ablation.md").write_text(write_table(results, options.steps))
    print((output / "ablation.md").read_text())


def train(options, folder: Path, overrides: list[str], without: str | None = None):
    """One run of `train_accelerate.py`, unless it is finished."""
    if (folder / "model" / "model.safetensors").is_file():
        return
    command = [sys.executable, str(ROOT / "train_accelerate.py"), "--config", options.config]
    command += ["--data_root", options.data_root, "--output_dir", str(folder), "--set", *overrides, *options.overrides]
    command += ["--without", without] if without else []
    command += ["--resume_from_checkpoint", "latest"] if (folder / "arguments.yaml").is_file() else []
    print(f"{folder.name}: {' '.join(command[1:])}", flush=True)
    subprocess.run(command, check=True, cwd=Path.cwd())


@torch.inference_mode()
def measure(weights: Path, options) -> dict[str, float]:
    """A run's row: gain and PSNR of transfers, and what probes read off f(e)."""
    pipe = TerGanPipeline.from_pretrained(weights)
    pipe.detector = RememberingDetector(pipe.detector)
    (held_out,) = held_out_sets(weights, options.data_root, [options.dataset])
    photos, detect = held_out.photos, held_out.source.align
    recipes = np.array(photos["recipe"])
    if (recipes == NO_RECIPE).any():
        sys.exit(f"benchmarks/ablation.py: {options.dataset} has no recipes, so there is no exact truth to measure on")
    pairs = draw_pairs(photos, options.pairs)
    row = measure_transfer(
        {MODEL: pipe}, photos, pairs, detect, Judges(detector=pipe.detector), PerceptualMetrics(wanted=False)
    )[MODEL]
    # Every third recipe of everybody: enough for a probe, a third of the faces to find.
    some = photos.select(np.flatnonzero(recipes % 3 == 0))
    found = embed_photos(pipe, some, detect, name=weights.parent.name)
    codes = {code: found.features[code] for code in ("expression", "identity")}
    columns = (np.array(some[name])[found.rows] for name in ("expression", "identity", "recipe"))
    probes = probe(codes, *columns)
    return {
        "gain": row["gain"], "psnr": row["psnr"], "expression": probes["expression"]["expression"]["accuracy"],
        "identity": probes["identity"]["expression"]["accuracy"], "chance": probes["identity"]["chance"],
        "gap": probes["gap"],
    }  # fmt: skip


def write_table(results: dict[str, dict[str, float]], steps: int) -> str:
    """Markdown; the row of all losses is what the others are compared with."""
    chance = next(iter(results.values()))["chance"]
    head = ["run", *(title.format(chance=chance) for title, _ in COLUMNS.values())]
    lines = [[name, *(form.format(row[key]) for key, (_, form) in COLUMNS.items())] for name, row in results.items()]
    table = "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])
    return f"The compact preset, {steps} steps of stage 2 from the same stage 1, on held-out people:\n\n{table}\n"


if __name__ == "__main__":
    main()
