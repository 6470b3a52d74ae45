"""Write a data set: first parquet shards in a fixed order, then the card. A killed run continues where it stopped."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from datasets import Dataset, Features, are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from pyarrow import parquet
from tqdm.auto import tqdm

from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError
from .dataset_card import CARD, SetDescription, count_rows, write_card
from .folder_lock import LOCK, lock_folder
from .media_files import text_name
from .parquet_files import open_parquet


RECORD = "build.json"
UNFINISHED = ".unfinished"


class BuildError(InvalidInputError):
    """A set that cannot be built from this source or into this folder. The message says what to do."""


@dataclass(frozen=True)
class Shard:
    """One parquet file to write: its split, the argument of `Plan.make_rows`, and its largest number of rows."""

    split: str
    job: object
    rows: int


@dataclass
class Plan:
    """
    Everything that decides the content of a set.

    Args:
        description: of the set, for the card.
        features: the columns.
        shards: in the order of the rows.
        make_rows: makes the rows of a shard's job. It must be a function of a module, because other processes call it.
        file_column: a column of paths in the set's folder, if `make_rows` writes files beside the table, such as
            clips. It is then called with the job and that folder.
        settings: the user's options, as plain values.
        source: one line for each file to read (`list_source`).
        missing: one sentence for each part that the source lacks.
        notes: sentences for the card about what was left out on purpose and about the source.
        expected: the values of the column `file_name` if a face is found in every photo.
        licence_file: a file to copy beside the set.
    """

    description: SetDescription
    features: Features
    shards: list[Shard]
    make_rows: Callable[..., list[dict]]
    settings: dict
    source: list[str]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    expected: list[str] | None = None
    licence_file: Path | None = None
    file_column: str | None = None

    def record(self) -> dict:
        """The values that two runs must share if one continues the other."""
        digest = hashlib.sha256("\n".join(self.source).encode()).hexdigest()
        settings = json.loads(json.dumps(self.settings))
        return {"set": self.description.name, "settings": settings, "source": digest}


def list_source(root: Path, files: list[Path]) -> list[str]:
    """Name and size of each file, for `Plan.source`."""
    return [f"{text_name(path.relative_to(root).as_posix())} {path.stat().st_size}" for path in files]


def require_positive(settings: object, *names: str):
    """Check options that count something and may be `None`.

    Raises:
        BuildError: one is below 1.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise BuildError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def require_seed(seed: int):
    """Check the option `--seed`.

    Raises:
        BuildError: it is negative, which NumPy's generators do not take.
    """
    if seed < 0:
        raise BuildError(f"--seed must be at least 0, not {seed}")


@dataclass(frozen=True)
class PictureLimits:
    """
    Which pictures a renderer can make.

    Args:
        multiple, smallest, largest: of the side in pixels. There may be no largest one.
        widest: largest side / side of the aligned face.
    """

    multiple: int
    smallest: int
    largest: int | None = None
    widest: int = 3

    def check(self, size: int, margin: float):
        """
        Check the options `--size` and `--margin`.

        Raises:
            BuildError: one is out of the limits.
        """
        too_large = self.largest is not None and size > self.largest
        if size % self.multiple or size < self.smallest or too_large or not 1 <= margin <= self.widest:
            upwards = "on" if self.largest is None else f"to {self.largest}"
            raise BuildError(
                f"--size {size} --margin {margin}: the size must be a multiple of {self.multiple} from "
                f"{self.smallest} {upwards}, the margin from 1 to {self.widest}"
            )


def in_shards(split: str, entries: list, size: int, shared: object) -> list[Shard]:
    """Split entries, one per row, into shards of `size` rows. A shard's job is the pair (its entries, `shared`)."""
    parts = [entries[start : start + size] for start in range(0, len(entries), size)]
    return [Shard(split, (part, shared), len(part)) for part in parts]


@dataclass(frozen=True)
class Built:
    """
    A set that was written.

    Args:
        rows: split → number of rows.
        left_out: names of the photos without a face, or of the people, of whom the set has no row.
    """

    rows: dict[str, int]
    left_out: list[str]


def build_set(plan: Plan, output: str | Path, processes: int = 1) -> Built:
    """
    Write the set into a folder that `datasets.load_dataset` opens.

    Shards that exist are kept, so a killed run continues. The card is written last: a set with a card is complete.

    Args:
        plan: the set to write.
        output: a new or empty folder, or one in which the same plan was begun.
        processes: number of shards to work on at a time. It does not change the bytes written.

    Raises:
        BuildError: `output` holds something else, or a file of the source is broken.
        InvalidInputError: another process is writing into `output`.
        OSError: `output` cannot be written.
    """
    output = Path(output)
    _check_folder(plan, output)  # before the lock, so that a folder with other contents gets no file
    lock = lock_folder(output, "--output")
    try:
        return _build(plan, output, processes)
    finally:
        with suppress(OSError):  # Windows does not delete a file that is open
            (output / LOCK).unlink()
        lock.release()


def _build(plan: Plan, output: Path, processes: int) -> Built:
    _claim(plan, output)
    totals = Counter(shard.split for shard in plan.shards)
    numbers: Counter[str] = Counter()
    jobs, done, planned = [], 0, set()
    for shard in plan.shards:
        path = output / f"{shard.split}-{numbers[shard.split]:05d}-of-{totals[shard.split]:05d}.parquet"
        numbers[shard.split] += 1
        planned.add(path)
        if _is_written(path, plan.file_column):
            done += shard.rows
        else:
            task = (shard.job,) if plan.file_column is None else (shard.job, output)
            jobs.append((plan.make_rows, plan.features, task, path, shard.rows))
    if strange := sorted(set(output.glob("*.parquet")) - planned):
        raise BuildError(f"{strange[0]} is no part of this set: remove {output}, or choose another --output")
    if jobs:
        (output / CARD).unlink(missing_ok=True)
    unit, total = plan.description.unit, sum(shard.rows for shard in plan.shards)
    with tqdm(total=total, initial=done, unit=unit, dynamic_ncols=True) as bar:
        for rows in _run_jobs(jobs, processes):
            bar.update(rows)
    if plan.licence_file is not None:
        shutil.copyfile(plan.licence_file, output / "LICENSE")
    counts = count_rows(output, list(totals))
    written = {name for split in counts.values() for name in split.file_names}
    left_out = [name for name in plan.expected or () if name not in written]
    write_card(output, plan.description, plan.features, plan.settings, counts, plan.missing, left_out, plan.notes)
    return Built({split: count.rows for split, count in counts.items()}, left_out)


def is_unfinished(folder: str | Path) -> bool:
    """Whether the folder holds a set that was begun and not completed."""
    return (Path(folder) / RECORD).is_file() and not (Path(folder) / CARD).is_file()


def require_finished(folder: str | Path, name: str | Path):
    """
    Check that a folder holds no set that was begun and not completed.

    Args:
        name: of the set, for the message.

    Raises:
        InvalidInputError: it does.
    """
    if is_unfinished(folder):
        raise InvalidInputError(f"{name} holds an unfinished set: run the command that began it again to complete it")


def _check_folder(plan: Plan, output: Path):
    """
    Check that the folder is empty or was begun with this plan.

    Raises:
        BuildError: it holds something else.
    """
    record, path = plan.record(), output / RECORD
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError:
            raise BuildError(f"{path} is damaged: remove {output} or choose another --output") from None
        if found != record:
            raise BuildError(
                f"{output} holds another set ({_difference(found, record)}): remove it or choose another --output"
            )
    elif output.exists() and any(entry.name != LOCK for entry in output.iterdir()):
        raise BuildError(f"{output} holds something else: choose an --output that is empty or does not exist yet")


def _claim(plan: Plan, output: Path):
    """Reserve the folder, which this process has locked, for this plan."""
    _check_folder(plan, output)  # once more: another run may have begun and ended meanwhile
    for left_over in output.glob(f"*{UNFINISHED}"):
        left_over.unlink(missing_ok=True)
    write_whole(output / RECORD, (json.dumps(plan.record(), indent=1, sort_keys=True) + "\n").encode())


def _is_written(path: Path, file_column: str | None) -> bool:
    """Whether a shard is there with all files that it names."""
    if not path.exists():
        return False
    if file_column is None:
        return True
    with open_parquet(path) as file:
        names = set(parquet.ParquetFile(file).read(columns=[file_column])[file_column].to_pylist())
    return all((path.parent / name).is_file() for name in names)


def _difference(found: dict, wanted: dict) -> str:
    if found.get("set") != wanted["set"]:
        return f"'{found.get('set')}', not '{wanted['set']}'"
    before = found.get("settings", {})
    changed = [
        f"{key} {before.get(key)} there, {value} now"
        for key, value in wanted["settings"].items()
        if before.get(key) != value
    ]
    return "; ".join(changed) if changed else "made from other source files or with other options"


def _run_jobs(jobs: list[tuple], processes: int):
    """Run the jobs, in this process or in others, and yield the number of rows of each finished one."""
    if processes <= 1 or len(jobs) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the last bits of a face detector's output depend on it
        try:
            for job in jobs:
                yield _write_shard(job)
        finally:
            torch.set_num_threads(threads)
        return
    # Not forked, because numba, torch and Arrow have threads.
    context = multiprocessing.get_context("spawn")
    workers = min(processes, len(jobs))
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        running = [pool.submit(_write_shard, job) for job in jobs]
        try:
            for future in as_completed(running):
                yield future.result()
        except BrokenProcessPool:
            raise BuildError("a process died, perhaps for lack of memory: try again with fewer --processes") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _begin_worker(parent: int):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C
    tqdm.set_lock(threading.RLock())  # the default is a semaphore, which would leak when this process is terminated
    torch.set_num_threads(1)

    def exit_with_parent():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # the run was killed, and a new one may be writing the same shard

    threading.Thread(target=exit_with_parent, daemon=True).start()


def _write_shard(job: tuple) -> int:
    make_rows, features, task, path, count = job
    rows = make_rows(*task)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        # Opened here: `datasets` would take some names for addresses.
        with _no_progress_bars(), open(unfinished, "wb") as file:
            columns = {name: [row.get(name) for row in rows] for name in features}  # also without rows
            Dataset.from_dict(columns, features=features).to_parquet(file)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


@contextmanager
def _no_progress_bars():
    """Hide the progress bars that `datasets` shows for each shard; the whole set has one."""
    were_shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if were_shown:
            enable_progress_bars()
