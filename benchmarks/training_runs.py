"""Training runs of an experiment: each starts `train_accelerate.py`. A finished one is not started again."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from tergan_hf.data.folder_lock import lock_folder
from tergan_hf.model.atomic_file_tergan import write_whole
from tergan_hf.model.errors_tergan import InvalidInputError, TerGanError
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.command_line import parse_arguments
from tergan_hf.training.compute import HOURS


ROOT = Path(__file__).resolve().parents[1]
SETTINGS = "settings.json"
OF_ONE_RUN = ("data_root", "output_dir", "resume_from_checkpoint", "report_to")


class TrainingRunError(TerGanError):
    """A training run that ended early. Its own message stands above."""


def start_process(command: list[str]) -> int:
    """Run a command. Returns its exit status. An interruption ends it first, so that it writes its checkpoint."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


@dataclass(frozen=True)
class Trainer:
    """
    Starts training runs of one YAML file.

    Args:
        config: the YAML file.
        data_root: relative data paths start here.
        overrides: `KEY=VALUE` for every run.
        launcher: command that starts the training script.
        start: runs a command and returns its exit status.
    """

    config: str
    data_root: str
    overrides: Sequence[str] = ()
    launcher: Sequence[str] = (sys.executable,)
    start: Callable[[list[str]], int] = start_process

    @classmethod
    def of(cls, options: argparse.Namespace, start: Callable[[list[str]], int]) -> "Trainer":
        """The trainer that the options of `experiment_parser` describe."""
        return cls(options.config, options.data_root, options.overrides, shlex.split(options.launcher), start)

    def options(self, output: Path, overrides: Sequence[str] = (), without: Sequence[str] = ()) -> list[str]:
        """Command-line options of `train_accelerate.py` for one run."""
        options = ["--config", self.config, "--data_root", self.data_root, "--output_dir", str(output)]
        for name, values in (("--set", [*self.overrides, *overrides]), ("--without", without)):
            options += [name, *values] if values else []
        return options

    def arguments(self, overrides: Sequence[str] = ()) -> TrainingArguments:
        """
        The arguments of a run.

        Raises:
            SystemExit: a setting is wrong; the message names it.
        """
        return parse_arguments(self.options(Path("unused"), overrides))

    def run(self, output: Path, overrides: Sequence[str] = (), without: Sequence[str] = ()) -> Path:
        """
        Train, or go on from the last checkpoint in `output`, or do nothing if the run is finished.

        Returns:
            `output`.

        Raises:
            TrainingRunError: the run ended early.
        """
        if is_finished(output):
            return output
        command = [*self.launcher, str(ROOT / "train_accelerate.py"), *self.options(output, overrides, without)]
        if (output / "checkpoints").exists() or (output / "stages").exists():
            command += ["--resume_from_checkpoint", "latest"]
        print(f"\n{output.parent.name}/{output.name}: {shlex.join(command)}", flush=True)
        status = self.start(command)
        if status:
            raise TrainingRunError(
                f"training in {output} ended with status {status}, see its message above; repeat the command to go on"
            )
        return output


def experiment_parser(doc: str, output: str) -> argparse.ArgumentParser:
    """A parser with the options that every experiment has. Its help is the docstring of the module."""
    lines = doc.splitlines()
    parser = argparse.ArgumentParser(
        description=lines[0], epilog="\n".join(lines[2:]), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default=str(ROOT / "configs" / "paper.yaml"), help="YAML file (%(default)s)")
    parser.add_argument("--data_root", default="data", help="relative data paths start here (%(default)s)")
    parser.add_argument("--output", default=output, help="folder; repeat the command to go on there (%(default)s)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change any value of the YAML file in all runs, for example generator_stage.steps=100",
    )  # fmt: skip
    parser.add_argument("--source", metavar="NAME", help="the labelled set to test on (default: the first source)")
    parser.add_argument("--folds", type=int, default=8, help="parts that the people are divided into (%(default)s)")
    parser.add_argument(
        "--launcher", default=sys.executable, metavar="COMMAND",
        help="starts the training script, such as 'torchrun --nproc_per_node 2' (default: this Python)",
    )  # fmt: skip
    parser.add_argument("--keep_checkpoints", action="store_true", help="do not delete checkpoints of finished runs")
    return parser


def recorded_command(program: str, options: argparse.Namespace, *own: str) -> str:
    """The command for the report, without the folders of this machine. `own` are the options of one experiment."""
    words = [f"python benchmarks/{program}", f"--config {Path(options.config).name}"]
    words += [f"--source {options.source}"] if options.source else []
    words += [f"--folds {options.folds}", *own]
    words += [f"--set {' '.join(options.overrides)}"] if options.overrides else []
    return " ".join(words)


def write_results(output: Path, results: dict, text: str):
    """Write and print the results of an experiment."""
    write_json(output / "results.json", results)
    (output / "results.md").write_text(text, encoding="utf-8")
    print(text)


def is_finished(run: Path) -> bool:
    """Whether a training run has written its model."""
    return (run / "model" / "training.yaml").is_file()


def find_source(arguments: TrainingArguments, name: str | None) -> int:
    """
    The number of the source to test on.

    Raises:
        InvalidInputError: there is no such source.
    """
    names = [source.name for source in arguments.sources]
    if name is not None and name not in names:
        raise InvalidInputError(f"--source {name}: the configuration has {', '.join(names)}")
    return names.index(name) if name else 0


def fold_overrides(source: int, folds: int, fold: int) -> list[str]:
    """The overrides that keep one fold of a source's people out of training."""
    prefix = f"sources.{source}"
    return [f"{prefix}.folds={folds}", f"{prefix}.fold={fold}", f"{prefix}.validation_path=null"]


def claim(folder: Path, settings: dict) -> FileLock:
    """
    Lock the folder of an experiment and record its settings there.

    Returns:
        the lock; it lasts until it is released.

    Raises:
        InvalidInputError: another process works there, or the folder holds an experiment with other settings.
    """
    lock = lock_folder(folder, "--output")
    record = folder / SETTINGS
    settings = json.loads(json.dumps(settings))
    if record.is_file():
        before = json.loads(record.read_text())
        apart = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if apart:
            raise InvalidInputError(
                f"{folder} was begun with other settings ({', '.join(apart)}): repeat them, or choose another --output"
            )
    write_json(record, settings)
    return lock


def shared_settings(arguments: TrainingArguments) -> dict:
    """The settings that all runs of an experiment share."""
    return {key: value for key, value in arguments.to_dict().items() if key not in OF_ONE_RUN}


def write_json(path: Path, values: dict):
    """Write a JSON file that appears when it is complete."""
    write_whole(path, json.dumps(values, indent=1).encode())


def read_json(path: Path) -> dict:
    """The contents of a JSON file, empty without it."""
    return json.loads(path.read_text()) if path.is_file() else {}


def hours(run: Path) -> float:
    """Hours of all stages of a run."""
    return sum(seconds or 0.0 for seconds in read_json(run / HOURS).values()) / 3600


def drop_checkpoints(run: Path):
    """Delete the checkpoints of a finished run."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def mean_and_deviation(values: Sequence[float]) -> dict:
    """`mean`, sample standard `deviation` (`None` for a single value) and `values`."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "deviation": spread, "values": list(values)}


def show(measured: dict, scale: float = 100.0, digits: int = 2) -> str:
    """`mean ± deviation` for a table."""
    text = f"{scale * measured['mean']:.{digits}f}"
    return text if measured["deviation"] is None else f"{text} ± {scale * measured['deviation']:.{digits}f}"
