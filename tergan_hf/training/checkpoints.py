"""Where a run keeps its state, and whose state it may go on with."""

import re
from pathlib import Path

import yaml

from ..model.errors_tergan import InvalidInputError, MissingFileError
from .arguments import TrainingArguments


def claim_output_dir(arguments: TrainingArguments):
    """
    Write the run's arguments to `output_dir/arguments.yaml`.

    Raises:
        InvalidInputError: another run's checkpoints are there and this one was not told to resume.
        InvalidInputError: this run resumes one whose people or networks are not its own.
    """
    folder = Path(arguments.output_dir)
    record, now = folder / "arguments.yaml", arguments.to_dict()
    if arguments.resume_from_checkpoint is None:
        if (folder / "checkpoints").exists() or (folder / "stages").exists():
            raise InvalidInputError(
                f"{folder} holds an earlier run: add --resume_from_checkpoint latest to go on with it, or choose "
                "another --output_dir"
            )
    elif record.is_file():
        before = yaml.safe_load(record.read_text())
        for name in ("preset", "model", "sources", "split_seed", "pretrained"):
            if before.get(name) != now[name]:
                raise InvalidInputError(
                    f"cannot resume: '{name}' is {now[name]}, but the run in {folder} has {before.get(name)}"
                )
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(yaml.safe_dump(now, sort_keys=False))


def checkpoint_root(arguments: TrainingArguments) -> Path:
    """The folder of all checkpoints of a run."""
    return Path(arguments.output_dir) / "checkpoints"


def list_checkpoints(arguments: TrainingArguments, stage: str) -> list[Path]:
    """Complete checkpoints of a stage, oldest first; one that was cut off while being written does not count."""
    found = checkpoint_root(arguments).glob(f"{stage}-*/complete.json")
    return sorted(path.parent for path in found if re.fullmatch(rf"{stage}-\d+", path.parent.name))


def find_checkpoint(arguments: TrainingArguments, stage: str) -> Path | None:
    """The checkpoint to resume a stage from, if the run was asked to resume and there is one of this stage.

    Raises:
        MissingFileError: a checkpoint named in so many words is not there.
    """
    wanted = arguments.resume_from_checkpoint
    if wanted is None:
        return None
    if wanted == "latest":
        found = list_checkpoints(arguments, stage)
        return found[-1] if found else None
    folder = Path(wanted)
    if not (folder / "complete.json").is_file():
        raise MissingFileError(f"no complete checkpoint at {folder}")
    return folder if folder.name.startswith(stage) else None
