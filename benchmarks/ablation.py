"""What each loss of the paper contributes: stage 2 with all of them and without each, several seeds, one command.

`python benchmarks/ablation.py --config configs/paper.yaml --data_root data --output runs/ablation --seeds 0 1 2`

Stage 1 is trained once for each seed, and every run of that seed starts from it. All runs keep the same people out.
`results.md` and `results.json` have mean ± sample standard deviation over the seeds:

- recognition: accuracy of section 4.4's shallow classifier on held-out people;
- identity in f(e), expression in f(i): accuracy of linear probes on held-out people. Near chance is disentangled;
- gain if x_s is the truth: expression gain of transfers from a photo to another one of the same person. x_s is nearly
  the truth there, so a network that hands it back gains most. Only sets with expression ids have pairs of two people.

A run that is done is not done again, and one that was stopped goes on from its last checkpoint: repeat the command.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from embedding_scores import Side, load_sides, load_stage_1, load_stage_2, read_by_shallow_classifier
from tqdm.auto import tqdm
from training_runs import (
    Trainer,
    claim,
    drop_checkpoints,
    experiment_parser,
    find_source,
    fold_overrides,
    hours,
    is_finished,
    mean_and_deviation,
    read_json,
    recorded_command,
    shared_settings,
    show,
    start_process,
    write_json,
    write_results,
)

from tergan_hf import TerGanModel
from tergan_hf.cli.errors import one_line_errors
from tergan_hf.evaluation.disentanglement import probe
from tergan_hf.evaluation.markdown import markdown_table
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.training.command_line import ABLATIONS
from tergan_hf.training.monitoring import ValidationPairs


ALL, BEFORE = "all losses", "before stage 2"
COLUMNS = {
    "recognition": ("recognition, %", 100, 2),
    "identity_in_expression": ("identity in f(e), %", 100, 1),
    "expression_in_identity": ("expression in f(i), %", 100, 1),
    "gain_kept_out": ("gain if x_s is the truth, kept out", 1, 3),
    "gain_trained_on": ("gain if x_s is the truth, trained on", 1, 3),
}
PROBE_FOLDS = 6


@dataclass
class Ablation:
    """
    The experiment.

    Args:
        trainer: starts the runs.
        output: folder of the experiment.
        source: number of the labelled set among the sources.
        folds, fold: the people to keep out.
        keep_checkpoints: whether to keep the checkpoints of finished runs.
    """

    trainer: Trainer
    output: Path
    source: int
    folds: int
    fold: int = 0
    keep_checkpoints: bool = False

    def measure(self, seed: int, losses: list[str]) -> dict[str, dict]:
        """
        Train with one seed, with all losses and without each of `losses`, and measure.

        Returns:
            name of the run → measurements. `BEFORE` is of the encoders after stage 1.

        Raises:
            TrainingRunError: a run ended early.
        """
        folder = self.output / f"seed_{seed}"
        record = folder / "measured.json"
        measured = read_json(record)
        overrides = [f"seed={seed}", *fold_overrides(self.source, self.folds, self.fold)]
        arguments = self.trainer.arguments(overrides)
        whole = folder / "all"
        for name in [ALL, *(f"without {loss}" for loss in losses)]:
            if name in measured:
                continue
            run = whole if name == ALL else folder / name.replace(" ", "_")
            if run != whole:
                copy_stage_1(whole, run)
            self.trainer.run(run, overrides, [] if name == ALL else [name.removeprefix("without ")])
            people = self._people
            if BEFORE not in measured:
                encoders = [load_stage_1(arguments, run, label).encoder for label in ("expression", "identity")]
                measured[BEFORE] = measure_encoders(*encoders, people)
            model = load_stage_2(run)
            measured[name] = {
                **measure_encoders(model.expression_encoder, model.identity_encoder, people),
                **measure_gain(model, people),
                "hours": hours(run),
            }
            write_json(record, measured)
            if not self.keep_checkpoints:
                drop_checkpoints(run)
        return {name: measured[name] for name in (BEFORE, ALL, *(f"without {loss}" for loss in losses))}

    @cached_property
    def _people(self) -> "People":
        """The photos of both sides of the split, which all runs share."""
        arguments = self.trainer.arguments(fold_overrides(self.source, self.folds, self.fold))
        training, kept_out = load_sides(arguments, self.source)
        size = arguments.model_config().image_size
        return People(
            training, kept_out, ValidationPairs([training.photos], size), ValidationPairs([kept_out.photos], size)
        )


@dataclass(frozen=True)
class People:
    """Both sides of the split, and pairs of photos of each."""

    training: Side
    kept_out: Side
    training_pairs: ValidationPairs
    kept_out_pairs: ValidationPairs


def copy_stage_1(finished: Path, run: Path):
    """Give a run the encoders that stage 1 of another run made."""
    if is_finished(run) or (run / "stages").exists():
        return
    aside = run / "stages.unfinished"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for label in ("expression", "identity"):
        shutil.copy2(finished / "stages" / f"{label}.safetensors", aside)
    aside.rename(run / "stages")


def measure_encoders(expression: TerGanEncoder, identity: TerGanEncoder, people: People) -> dict:
    """Recognition, and what the probes read from f(e) and f(i), see the module's docstring."""
    training, kept_out = people.training, people.kept_out
    codes = {"expression": kept_out.embed(expression), "identity": kept_out.embed(identity)}
    identities = np.array(kept_out.identities)
    trained_on = training.embed(expression, mirrored=True)
    read = read_by_shallow_classifier(trained_on, training.labels, codes["expression"])
    measured: dict = {"recognition": float(np.mean(np.array(read["predicted"]) == kept_out.labels))}
    if len(set(identities.tolist())) > 1:
        probes = probe(codes, kept_out.labels, identities, count=PROBE_FOLDS)
        measured |= {
            "identity_in_expression": probes["identity"]["expression"]["accuracy"],
            "expression_in_identity": probes["expression"]["identity"]["accuracy"],
            "chance": {factor: probes[factor]["chance"] for factor in ("identity", "expression")},
        }
    return measured


def measure_gain(model: TerGanModel, people: People) -> dict[str, float]:
    """Expression gain on either side of the split."""
    measured = {}
    for name, pairs in (("gain_kept_out", people.kept_out_pairs), ("gain_trained_on", people.training_pairs)):
        for gain in pairs.expression_gain(model.eval()).values():
            if np.isfinite(gain):
                measured[name] = gain
    return measured


def summarize_seeds(by_seed: dict[int, dict[str, dict]]) -> dict[str, dict]:
    """Name of the run → column → `mean`, `deviation` and `values` over the seeds."""
    runs = list(next(iter(by_seed.values())))
    summary: dict[str, dict] = {}
    for run in runs:
        known = [column for column in COLUMNS if all(column in measured[run] for measured in by_seed.values())]
        summary[run] = {
            column: mean_and_deviation([measured[run][column] for measured in by_seed.values()]) for column in known
        }
    return summary


def changes(runs: dict[str, dict]) -> dict[str, dict]:
    """Recognition without each loss less that with all losses, seed by seed."""
    whole = np.array(runs[ALL]["recognition"]["values"])
    return {
        name: mean_and_deviation((np.array(columns["recognition"]["values"]) - whole).tolist())
        for name, columns in runs.items()
        if name not in (ALL, BEFORE)
    }


def to_markdown(results: dict) -> str:
    """The table, and for each loss the change of recognition seed by seed."""
    rows = [
        [f"**{name}**" if name == ALL else name, *(
            show(columns[key], scale, digits) if key in columns else "—"
            for key, (_, scale, digits) in COLUMNS.items()
        )]
        for name, columns in results["runs"].items()
    ]  # fmt: skip
    chance = results["chance"]
    note = f" Chance: identity {chance['identity']:.1%}, expression {chance['expression']:.1%}." if chance else ""
    return "\n\n".join([
        f"`{results['command']}`",
        f"Set {results['source']}, seeds {', '.join(map(str, results['seeds']))}, mean ± sample standard deviation "
        f"over the seeds. {results['hours']:.2f} hours of training.{note}",
        markdown_table(["stage 2", *(title for title, _, _ in COLUMNS.values())], rows),
        "Recognition without a loss less that with all losses, points, seed by seed. A loss helps if leaving it out "
        "costs more than the deviation:",
        markdown_table(["stage 2", "change"], [[name, show(row)] for name, row in results["changes"].items()]),
    ]) + "\n"  # fmt: skip


def main(argv: list[str] | None = None, start: Callable[[list[str]], int] = start_process):
    parser = experiment_parser(__doc__, "runs/ablation")
    parser.add_argument("--fold", type=int, default=0, help="the fold of people to keep out (%(default)s)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(0 1 2)")
    parser.add_argument(
        "--losses", nargs="+", choices=sorted(ABLATIONS), default=list(ABLATIONS), metavar="LOSS",
        help=f"losses to leave out, one at a time: {', '.join(ABLATIONS)} (default: all)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    trainer = Trainer.of(options, start)
    output = Path(options.output)
    with one_line_errors("ablation.py", again="repeat the command to go on"):
        arguments = trainer.arguments()
        source = find_source(arguments, options.source)
        idle = [loss for loss in options.losses if not any(getattr(arguments.losses, w) for w in ABLATIONS[loss])]
        if arguments.freeze_expression_encoder:
            raise InvalidInputError(
                f"{options.config} freezes G_es in stage 2 (freeze_expression_encoder), so no loss can change what it "
                "reads: choose a configuration such as configs/paper.yaml"
            )
        if idle or not arguments.generator_stage.steps:
            raise InvalidInputError(
                f"{options.config} trains without {', '.join(idle) or 'stage 2'}, so leaving it out changes nothing"
            )
        settings = {"folds": options.folds, "fold": options.fold, "source": source}
        lock = claim(output, {**settings, "training": shared_settings(arguments)})
        ablation = Ablation(trainer, output, source, options.folds, options.fold, options.keep_checkpoints)
        own = [f"--fold {options.fold}", f"--seeds {' '.join(map(str, options.seeds))}"]
        own += [f"--losses {' '.join(options.losses)}"] if set(options.losses) != set(ABLATIONS) else []
        by_seed = {
            seed: ablation.measure(seed, options.losses)
            for seed in tqdm(options.seeds, desc="seeds", dynamic_ncols=True)
        }
        runs = summarize_seeds(by_seed)
        results = {
            "command": recorded_command("ablation.py", options, *own),
            "source": arguments.sources[source].name,
            "seeds": options.seeds,
            "runs": runs,
            "changes": changes(runs),
            "chance": next(iter(by_seed.values()))[ALL].get("chance"),
            "hours": sum(run.get("hours", 0.0) for measured in by_seed.values() for run in measured.values()),
        }
        write_results(output, results, to_markdown(results))
        lock.release()


if __name__ == "__main__":
    main()
