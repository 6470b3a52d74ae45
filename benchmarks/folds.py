"""The paper's Table 1 by one command: expression recognition on held-out people, fold by fold, with a control.

`python benchmarks/folds.py --config configs/paper.yaml --data_root data --output runs/table1`

The people of a labelled set are divided into folds. For each fold, three networks are trained on the other people, and
section 4.4's shallow classifier is fitted on the same people:

- the CNN baseline: G_es after stage 1;
- TER-GAN: G_es after stage 2;
- the control, which the paper lacks: stage 1 goes on for as many photos as stage 2 takes sources x_s, and its weights
  are averaged as those of stage 2 are. A gain that the control has as well comes from longer training and averaging,
  and not from the paper's losses.

`results.md`, `results.json`, `confusion.png` and the t-SNE of figure 5 (`tsne_kept_out.png`, `tsne_trained_on.png`, of
the first fold) go to `--output`. A fold or network that is done is not done again, and a run that was stopped goes on
from its last checkpoint: repeat the command.
"""

import argparse
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from embedding_scores import Side, load_sides, load_stage_1, load_stage_2, read_by_head, read_by_shallow_classifier
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

from tergan_hf.cli.errors import one_line_errors
from tergan_hf.data.loading import load_photos
from tergan_hf.data.splits import row_groups
from tergan_hf.evaluation.disentanglement import FEWEST_POINTS, project_tsne
from tergan_hf.evaluation.figures import plot_confusions, plot_tsne
from tergan_hf.evaluation.markdown import markdown_table
from tergan_hf.evaluation.published import OULU_CASIA
from tergan_hf.evaluation.recognition import summarize
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.publishing.emissions import read_compute
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.checkpoints import list_checkpoints


BASELINE, TER_GAN, CONTROL = "CNN baseline", "TER-GAN", "control"
OWN, SHALLOW = "its own classifier", "shallow classifier on f(e)"
ROWS = (f"{BASELINE}, {OWN}", f"{BASELINE}, {SHALLOW}", f"{TER_GAN}, {SHALLOW}", f"{CONTROL}, {OWN}",
        f"{CONTROL}, {SHALLOW}")  # fmt: skip
PANELS = {BASELINE: "f(e) after stage 1", TER_GAN: "f(e) after stage 2", CONTROL: "f(e) of the control"}


@dataclass
class Folds:
    """
    The experiment.

    Args:
        trainer: starts the runs.
        output: folder of the experiment.
        source: number of the labelled set among the sources.
        count: number of folds.
        keep_checkpoints: whether to keep the checkpoints of finished runs.
    """

    trainer: Trainer
    output: Path
    source: int
    count: int
    keep_checkpoints: bool = False

    def measure(self, fold: int) -> dict:
        """
        Train and test on one fold.

        Returns:
            the `true` classes of the held-out photos, `rows` (name → predictions), the `hours` of each run, and the
            `processes` that trained.

        Raises:
            TrainingRunError: a run ended early.
        """
        folder = self.output / f"fold_{fold}"
        record = folder / "rows.json"
        measured = read_json(record)
        if "hours" in measured:  # written last
            return measured
        overrides = fold_overrides(self.source, self.count, fold)
        arguments = self.trainer.arguments(overrides)
        run, control = folder / "ter-gan", folder / "control"
        self.trainer.run(run, overrides)
        training, kept_out = load_sides(arguments, self.source)
        measured |= {"true": kept_out.labels.tolist(), "people": sorted(set(kept_out.identities))}
        measured.setdefault("rows", {})

        def score(network: str, encoder, head: torch.nn.Linear | None = None):
            wanted = [f"{network}, {kind}" for kind in ((OWN, SHALLOW) if head is not None else (SHALLOW,))]
            if set(wanted) <= set(measured["rows"]):
                return
            trained, tested = training.embed(encoder, mirrored=True), kept_out.embed(encoder)
            if head is not None:
                measured["rows"][wanted[0]] = read_by_head(head, tested)
            measured["rows"][wanted[-1]] = read_by_shallow_classifier(trained, training.labels, tested)
            np.savez_compressed(folder / f"{network}.npz", trained_on=trained[::2], kept_out=tested)
            write_json(record, measured)

        before = load_stage_1(arguments, run)
        score(BASELINE, before.encoder, before.head)
        score(TER_GAN, load_stage_2(run).expression_encoder)
        self._train_control(run, control, overrides, arguments)
        after = load_stage_1(arguments, control)
        score(CONTROL, after.encoder, after.head)
        if fold == 0 or not (self.output / "tsne_kept_out.png").is_file():
            self._plot_tsne(folder, training, kept_out)
        if not self.keep_checkpoints:
            drop_checkpoints(run)
            drop_checkpoints(control)
        measured["processes"] = (read_compute(run / "model") or {}).get("processes", 1)
        measured["hours"] = {TER_GAN: hours(run), CONTROL: hours(control)}
        write_json(record, measured)
        return measured

    def _train_control(self, run: Path, control: Path, overrides: list[str], arguments: TrainingArguments):
        """Go on with stage 1 of a run from its last checkpoint, in a folder of its own."""
        checkpoints = control / "checkpoints"
        arguments.output_dir = str(run)
        last = list_checkpoints(arguments, "expression_stage")[-1:]
        if last and not checkpoints.exists() and not is_finished(control):
            aside = control / "checkpoints.unfinished"
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(last[0], aside / last[0].name)
            aside.rename(checkpoints)
        longer = [f"expression_stage.steps={control_steps(arguments)}", "identity_stage.steps=0",
                  f"expression_stage.ema_decay={arguments.generator_stage.ema_decay}",
                  "generator_stage.steps=0"]  # fmt: skip
        self.trainer.run(control, [*overrides, *longer])

    def _plot_tsne(self, folder: Path, training: Side, kept_out: Side):
        for name, side in (("kept_out", kept_out), ("trained_on", training)):
            if len(side.rows) >= FEWEST_POINTS:
                panels = {title: project_tsne(np.load(folder / f"{key}.npz")[name]) for key, title in PANELS.items()}
                labels = [self.expressions[label] for label in side.labels]
                plot_tsne(panels, labels, side.identities, self.output / f"tsne_{name}.png")

    @property
    def expressions(self) -> list[str]:
        """The labels in the order of the classes."""
        return self.trainer.arguments().model_config().expressions


def control_steps(arguments: TrainingArguments) -> int:
    """Steps of stage 1 with those of the control: as many more photos as stage 2 takes sources x_s."""
    stage, generator = arguments.expression_stage, arguments.generator_stage
    return stage.steps + math.ceil(generator.steps * generator.batch_size / stage.batch_size)


def photos_seen(arguments: TrainingArguments, processes: int = 1) -> dict[str, int]:
    """How many photos each network's G_es has seen, with repetitions. Each process takes batches of its own."""
    batch = arguments.expression_stage.batch_size * processes
    first, all_of_them = arguments.expression_stage.steps * batch, control_steps(arguments) * batch
    return {BASELINE: first, TER_GAN: all_of_them, CONTROL: all_of_them}


def check_experiment(arguments: TrainingArguments, source: int, folds: int, wanted: list[int]):
    """
    Check what can be checked before hours of training.

    Raises:
        InvalidInputError: the settings leave nothing to compare, or the set has too few people.
    """
    if not arguments.generator_stage.steps or arguments.freeze_expression_encoder:
        raise InvalidInputError(
            "stage 2 does not train G_es (generator_stage.steps is 0, or freeze_expression_encoder is true), so that "
            "TER-GAN's row would be the CNN baseline's: choose a configuration such as configs/paper.yaml"
        )
    if folds < 2 or not all(0 <= fold < folds for fold in wanted):
        raise InvalidInputError(f"--folds must be 2 or more, and --only from 0 to {folds - 1}")
    tested = arguments.sources[source]
    photos = load_photos(arguments.resolve(tested.path), tested.split, **tested.extra)
    groups = set().union(*row_groups(photos, tested.group_column, tested.group_separator))
    if len(groups) < folds:
        raise InvalidInputError(
            f"source '{tested.name}' has {len(groups)} different values of '{tested.group_column}', too few for "
            f"{folds} folds: choose --folds {max(2, len(groups))} or fewer"
        )


def summarize_folds(measured: dict[int, dict], expressions: list[str]) -> dict[str, dict]:
    """For each row: `mean`, `deviation` and `values` of the accuracy over folds, and a summary of all photos together
    (`recall`, `confusion`, …)."""
    rows = {}
    for name in ROWS:
        true, predicted, confidence, accuracies = [], [], [], []
        for fold in measured.values():
            own = fold["rows"][name]
            accuracies.append(float(np.mean(np.array(own["predicted"]) == fold["true"])))
            true += fold["true"]
            predicted += own["predicted"]
            confidence += own["confidence"]
        named = (np.array([expressions[label] for label in labels]) for labels in (true, predicted))
        pooled = summarize(*named, np.array(confidence), expressions)
        rows[name] = {**mean_and_deviation(accuracies), **{key: pooled[key] for key in
                      ("recall", "balanced_accuracy", "confusion", "calibration_error", "labels")}}  # fmt: skip
    return rows


def differences(rows: dict[str, dict]) -> dict[str, dict]:
    """TER-GAN's accuracy less that of each other row with a shallow classifier, fold by fold."""
    ours = np.array(rows[f"{TER_GAN}, {SHALLOW}"]["values"])
    others = (f"{BASELINE}, {SHALLOW}", f"{CONTROL}, {SHALLOW}")
    return {name: mean_and_deviation((ours - np.array(rows[name]["values"])).tolist()) for name in others}


def to_markdown(results: dict) -> str:
    """The table with the paper's rows, the differences, and recall by label."""
    seen, labels = results["photos_seen"], results["labels"]
    count = len(results["folds"])
    table = [
        [f"**{name}**", show(row), f"{seen[name.split(',')[0]]:,}", f"{100 * min(row['values']):.2f} to "
         f"{100 * max(row['values']):.2f}"]
        for name, row in results["rows"].items()
    ]  # fmt: skip
    table += [
        [f"{name.removesuffix(' (paper)')}, the paper's Table 1", f"{value:.2f}", "", ""]
        for name, value in OULU_CASIA.items()
    ]
    recall = [
        [name, *(f"{row['recall'][label]:.0%}" if label in row["recall"] else "—" for label in labels)]
        for name, row in results["rows"].items()
    ]
    gains = [
        f"TER-GAN less {name.split(',')[0]}, fold by fold: {show(row)} points."
        for name, row in results["differences"].items()
    ]
    spent = ", ".join(f"{name} {value:.2f}" for name, value in results["hours"].items())
    return "\n\n".join([
        f"`{results['command']}`",
        f"Set {results['source']}: {results['photos']} photos of {results['people']} held-out people in turn, "
        f"{len(labels)} expressions. Accuracy in percent, mean ± sample standard deviation over {count} of "
        f"{results['fold_count']} folds. The paper's rows are those of Oulu-CASIA, a mean of eight folds.",
        markdown_table(["method", "accuracy, %", "photos seen by G_es", "folds from … to"], table),
        "\n".join(gains),
        "Recall by label, all folds together:",
        markdown_table(["method", *labels], recall),
        f"Hours of training, all folds: {spent}.",
        "![confusion](confusion.png)\n\nFigure 5, held-out people and people trained on, of one fold:\n\n"
        "![t-SNE of held-out people](tsne_kept_out.png)\n![t-SNE of people trained on](tsne_trained_on.png)",
    ]) + "\n"  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = experiment_parser(__doc__, "runs/table1")
    parser.add_argument("--only", nargs="+", type=int, metavar="FOLD", help="folds to run, from 0 (default: all)")
    return parser


def main(argv: list[str] | None = None, start: Callable[[list[str]], int] = start_process):
    options = build_parser().parse_args(argv)
    trainer = Trainer.of(options, start)
    output = Path(options.output)
    with one_line_errors("folds.py", again="repeat the command to go on"):
        arguments = trainer.arguments()
        source = find_source(arguments, options.source)
        wanted = sorted(set(options.only)) if options.only else list(range(options.folds))
        check_experiment(arguments, source, options.folds, wanted)
        lock = claim(output, {"folds": options.folds, "source": source, "training": shared_settings(arguments)})
        folds = Folds(trainer, output, source, options.folds, options.keep_checkpoints)
        measured = {fold: folds.measure(fold) for fold in tqdm(wanted, desc="folds", dynamic_ncols=True)}
        rows = summarize_folds(measured, folds.expressions)
        people = [name for fold in measured.values() for name in fold["people"]]
        own = [f"--only {' '.join(map(str, options.only))}"] if options.only else []
        results = {
            "command": recorded_command("folds.py", options, *own),
            "source": arguments.sources[source].name,
            "labels": folds.expressions,
            "photos": sum(len(fold["true"]) for fold in measured.values()),
            "people": len(set(people)),
            "folds": wanted,
            "fold_count": options.folds,
            "rows": rows,
            "differences": differences(rows),
            "published": OULU_CASIA,
            "photos_seen": photos_seen(arguments, measured[wanted[0]].get("processes", 1)),
            "hours": {name: sum(fold["hours"][name] for fold in measured.values()) for name in (TER_GAN, CONTROL)},
        }
        plot_confusions(rows, output / "confusion.png")
        write_results(output, results, to_markdown(results))
        print(f"Wrote {output / 'results.md'}, and results.json and pictures beside it")
        lock.release()


if __name__ == "__main__":
    main()
