"""The folder of a run: its lock, its arguments and its checkpoints."""

import logging
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock

from ..data.folder_lock import lock_folder
from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError, MissingFileError, TerGanError, is_disk_full
from .arguments import TrainingArguments


logger = logging.getLogger(__name__)

# What two parts of one run must have in common.
FIXED = ("preset", "model", "sources", "split_seed", "pretrained")
# What stage 1 of G_es takes beside the settings of its optimiser.
OF_EXPRESSIONS = [
    ("losses", "original_label"), ("losses", "blendshapes"), ("losses", "displacement"), ("class_balance",),
    ("blendshape_balance",), ("classifier_augmentation",),
]  # fmt: skip
# What the checkpoints of stage 2 fit.
OF_STAGE_2 = [("discriminators",), ("freeze_expression_encoder",), ("generator_stage", "optimizer")]
OF_MOUTHS = ("mouth_adversarial", "mouth_features")  # need a discriminator of their own


class DiskFullError(TerGanError):
    """Nothing more can be written."""


def claim_output_dir(arguments: TrainingArguments) -> FileLock:
    """
    Lock `output_dir` for this process and write the arguments of the run to `arguments.yaml` in it.

    Returns:
        the lock; it lasts as long as the process or until it is released.

    Raises:
        InvalidInputError: another process trains in this folder; another run's checkpoints are there and this one was
            not told to resume; or this run resumes one with other people or networks.
        OutputFileError: the folder cannot be written.
    """
    folder = Path(arguments.output_dir)
    lock = lock_folder(folder)
    record, now = folder / "arguments.yaml", arguments.to_dict()
    if arguments.resume_from_checkpoint is None:
        if (folder / "checkpoints").exists() or (folder / "stages").exists():
            raise InvalidInputError(
                f"{folder} holds an earlier run: add --resume_from_checkpoint latest to go on with it, or choose "
                "another --output_dir"
            )
    elif record.is_file():
        before = _read_arguments(record)
        for name in FIXED:
            if before.get(name) != now[name]:
                raise InvalidInputError(
                    f"cannot resume: '{name}' is {now[name]}, but the run in {folder} has {before.get(name)}"
                )
        if arguments.resume_from_checkpoint == "latest":
            _require_same_stage_1(folder, before, now)
        goes_on = Path(arguments.resume_from_checkpoint).name.startswith(("latest", "generator_stage"))
        if goes_on and list_checkpoints(arguments, "generator_stage"):
            _require_same_stage_2(folder, before, now)
    write_whole(record, yaml.safe_dump(now, sort_keys=False).encode())
    return lock


def _require_same_stage_1(folder: Path, before: dict, now: dict):
    """
    Raises:
        InvalidInputError: a part of stage 1 that is done has other settings now.
    """
    for label in ("expression", "identity"):
        finished, stage = folder / "stages" / f"{label}.safetensors", f"{label}_stage"
        if not finished.is_file():
            continue
        own = [(stage, key) for key in now[stage]]
        places = own + (OF_EXPRESSIONS if label == "expression" else [])
        _require_same(places, before, now, f"{finished} was trained with")


def _require_same_stage_2(folder: Path, before: dict, now: dict):
    """
    Raises:
        InvalidInputError: the checkpoints of stage 2 are of other networks or optimisers.
    """
    _require_same(OF_STAGE_2, before, now, f"the checkpoints of stage 2 in {folder} have")
    values, begun_values = ([_find(of, ("losses", term)) for term in OF_MOUTHS] for of in (now, before))
    if any(values) != any(begun_values):
        raise InvalidInputError(
            f"cannot resume: {' and '.join(f'losses.{term}' for term in OF_MOUTHS)} are {values}, but the checkpoints "
            f"of stage 2 in {folder} have {begun_values}: one of them has a discriminator of mouths, the other has "
            "none. Restore the settings, or choose another --output_dir"
        )


def _require_same(places: list[tuple[str, ...]], before: dict, now: dict, what_has: str):
    """
    Args:
        places: of the settings that must not change.
        what_has: the words before the former value in the message.

    Raises:
        InvalidInputError: one has another value now.
    """
    for place in places:
        value, former = _find(now, place), _find(before, place)
        if former is not None and former != value:
            raise InvalidInputError(
                f"cannot resume: {'.'.join(place)} is {value}, but {what_has} {former}. Restore the setting, or "
                "choose another --output_dir"
            )


def _find(values: dict, place: tuple[str, ...]):
    """A value of nested dicts, `None` if it is not there."""
    found: object = values
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _read_arguments(record: Path) -> dict:
    try:
        before = yaml.safe_load(record.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        before = None
    if not isinstance(before, dict) or any(name not in before for name in FIXED):
        raise InvalidInputError(
            f"cannot resume: {record} is empty or damaged. Restore it from the command's YAML file, or choose another "
            "--output_dir"
        )
    return before


def checkpoint_root(arguments: TrainingArguments) -> Path:
    """The folder of all checkpoints of a run."""
    return Path(arguments.output_dir) / "checkpoints"


def list_checkpoints(arguments: TrainingArguments, stage: str) -> list[Path]:
    """Complete checkpoints of a stage, oldest first. A checkpoint whose writing was cut off is not complete."""
    found = checkpoint_root(arguments).glob(f"{stage}-*/complete.json")
    return sorted(path.parent for path in found if re.fullmatch(rf"{stage}-\d+", path.parent.name))


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def find_checkpoints(arguments: TrainingArguments, stage: str) -> list[Path]:
    """
    The checkpoints to try to resume a stage from, best first. Empty if the run was not asked to resume or there is
    none of this stage.

    Raises:
        MissingFileError: a checkpoint that was named is not there.
    """
    wanted = arguments.resume_from_checkpoint
    if wanted is None:
        return []
    if wanted == "latest":
        return list_checkpoints(arguments, stage)[::-1]
    folder = Path(wanted)
    if not (folder / "complete.json").is_file():
        raise MissingFileError(f"no complete checkpoint at {folder}")
    return [folder] if folder.name.startswith(stage) else []


def set_aside(checkpoint: Path) -> Path:
    """Rename a checkpoint of another branch of the run, which `latest` would take. Returns its new place."""
    aside = checkpoint.with_name(f"{checkpoint.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint.rename(aside)


def forget_later_parts(arguments: TrainingArguments, stage: str, finished: Path):
    """
    Forget what the run has made after a stage that goes on from a named checkpoint. If it is interrupted, `latest`
    must go on with this branch of the run.

    Args:
        finished: the result of the stage.
    """
    finished.unlink(missing_ok=True)
    for checkpoint in list_checkpoints(arguments, "generator_stage"):
        aside = set_aside(checkpoint)
        logger.warning("%s belongs to another %s: it is now %s", checkpoint, stage.replace("_", " "), aside.name)


@contextmanager
def removed_on_error(folder: Path):
    """
    Remove a folder if writing it fails.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        # torch's own words for a file that could not be written to its end.
        if is_disk_full(error) or "unexpected pos" in str(error):
            raise DiskFullError(
                f"no space left for {folder}: free some, then add --resume_from_checkpoint latest to go on from the "
                "checkpoint before"
            ) from error
        raise
