"""`tergan recognize` for whole data sets: from the Hub, from parquet files or from a folder, into a data set."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.errors_tergan import MissingPackageError
from ..model.pipeline_tergan import TerGanPipeline
from .errors import one_line_errors
from .outputs import CommandError


if TYPE_CHECKING:
    import torch


HUB_PREFIX = "hub://"
FILES = (".json", ".csv")  # of answers for single files and folders
INSTALL = 'whole data sets need more packages: pip install -e ".[train]"'


def add_arguments(parser: argparse.ArgumentParser):
    """Add the options that only whole data sets have."""
    group = parser.add_argument_group("whole data sets (hub://owner/name, parquet files, or any folder into a folder)")
    group.add_argument("--split", help="the only split to read; default: all")
    group.add_argument("--image-column", metavar="NAME", help="column of the photos; default: the only one of images")
    group.add_argument(
        "--private", action="store_true", default=None,
        help="make a new repository on the Hub private; it is private in any case if the source is",
    )  # fmt: skip


def is_whole_set(options) -> bool:
    """
    Whether a command line of `tergan recognize` is about a whole data set.

    Raises:
        CommandError: an option does not fit.
    """
    inputs, output = options.inputs, options.output
    asked = any(name.startswith(HUB_PREFIX) or name.endswith(".parquet") for name in inputs)
    if output is not None and not asked:
        names_set = output.endswith(".parquet") or (options.format is None and _is_folder_name(output))
        asked = output.startswith(HUB_PREFIX) or (names_set and Path(inputs[0]).is_dir())
    if not asked:
        for name, value in (("--split", options.split), ("--image-column", options.image_column),
                            ("--private", options.private)):  # fmt: skip
            if value is not None:
                raise CommandError(f"{name} is for whole data sets: name {HUB_PREFIX}owner/name or parquet files")
        return False
    if len(inputs) > 1:
        raise CommandError(f"{inputs[0]} is a whole data set: name it alone")
    if output is None:
        raise CommandError(f"{inputs[0]} is a whole data set: add --output with a folder or {HUB_PREFIX}owner/name")
    if options.format is not None or (not output.startswith(HUB_PREFIX) and not _is_folder_name(output)):
        raise CommandError(
            f"{inputs[0]} is a whole data set, whose results are a folder of parquet files or {HUB_PREFIX}owner/name, "
            f"got {options.format or output}"
        )
    return True


def recognize_set_command(options, load: Callable[["torch.device | str | None"], TerGanPipeline]) -> int:
    """
    Run `tergan recognize` on a whole data set. Returns 0.

    Args:
        load: loads the pipeline onto a device.
    """
    try:
        from ..annotation.run import Job, recognize_set
    except ImportError as error:
        raise MissingPackageError(f"{INSTALL} ({error})") from error
    job = Job(
        options.inputs[0], options.output, options.model, options.split, options.image_column, options.blendshapes,
        options.overwrite, options.private, options.quiet,
    )  # fmt: skip
    with one_line_errors("tergan", again="repeat the command to go on"):
        for sentence in recognize_set(job, lambda device: load(options.device or device)):
            print(sentence)
    return 0


def _is_folder_name(output: str) -> bool:
    suffix = Path(output).suffix.lower()
    if output.startswith(HUB_PREFIX) or suffix in FILES:
        return False
    return not suffix or output.endswith(("/", os.sep)) or os.path.isdir(output)
