"""Writing a data set: parquet shards in a fixed order, so that a killed run goes on where it was, then its card."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from datasets import Dataset, Features, are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from tqdm.auto import tqdm

from ..model.errors_tergan import InvalidInputError
from .dataset_card import CARD, SetDescription, count_rows, write_card


RECORD = "build.json"
UNFINISHED = ".unfinished"


class BuildError(InvalidInputError):
    """A set cannot be built from this source, or into this folder; the message is for the person who asked."""


@dataclass(frozen=True)
class Shard:
    """One parquet file to write: its split, what `Plan.make_rows` takes, and how many rows that gives at most."""

    split: str
    job: object
    rows: int


@dataclass
class Plan:
    """
    All that decides what a set will hold.

    Args:
        description: of the set, for the card.
        features: the columns.
        shards: in the order of the rows.
        make_rows: a module's function from a shard's job to its rows, in any process.
        settings: what was asked for, plain values.
        source: one line for each file that is read (`list_source`).
        missing: what the source should hold and does not, one sentence each.
        expected: names in the column `file_name` that a finished set has, as far as a face is found in each.
        licence_file: copied beside the set.
    """

    description: SetDescription
    features: Features
    shards: list[Shard]
    make_rows: Callable[[object], list[dict]]
    settings: dict
    source: list[str]
    missing: list[str] = field(default_factory=list)
    expected: list[str] | None = None
    licence_file: Path | None = None

    def record(self) -> dict:
        """What two runs must share to go on with each other's work."""
        digest = hashlib.sha256("\n".join(self.source).encode()).hexdigest()
        settings = json.loads(json.dumps(self.settings))
        return {"set": self.description.name, "settings": settings, "source": digest}


def list_source(root: Path, files: list[Path]) -> list[str]:
    """Name and size of each file, the source's part of a plan's record."""
    return [f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in files]


def in_shards(split: str, entries: list, size: int, shared: object) -> list[Shard]:
    """Entries, a row each, in shards of `size`; a shard's job is its entries and what they share."""
    parts = [entries[start : start + size] for start in range(0, len(entries), size)]
    return [Shard(split, (part, shared), len(part)) for part in parts]


def build_set(plan: Plan, output: str | Path, processes: int = 1) -> dict[str, int]:
    """
    Write the set into a folder that `datasets.load_dataset` opens. Shards that are there are kept, so that a killed
    run goes on; the card is written last and says that the set is whole.

    Args:
        processes: work on so many shards at a time. What is written does not depend on it.

    Returns:
        split → number of rows.

    Raises:
        BuildError: `output` holds something else, or the source turns out to be broken.
        OSError: nothing can be written there.
    """
    output = Path(output)
    _claim(plan, output)
    totals: dict[str, int] = {}
    for shard in plan.shards:
        totals[shard.split] = totals.get(shard.split, 0) + 1
    numbers = dict.fromkeys(totals, 0)
    jobs, done = [], 0
    for shard in plan.shards:
        path = output / f"{shard.split}-{numbers[shard.split]:05d}-of-{totals[shard.split]:05d}.parquet"
        numbers[shard.split] += 1
        if path.exists():
            done += shard.rows
        else:
            jobs.append((plan.make_rows, plan.features, shard.job, path, shard.rows))
    with tqdm(total=sum(shard.rows for shard in plan.shards), initial=done, unit="photo", dynamic_ncols=True) as bar:
        for rows in _work(jobs, processes):
            bar.update(rows)
    if plan.licence_file is not None:
        shutil.copyfile(plan.licence_file, output / "LICENSE")
    counts = count_rows(output, list(totals))
    absent = []
    if plan.expected is not None:
        found = {name for split in counts.values() for name in split.file_names}
        absent = [name for name in plan.expected if name not in found]
    write_card(output, plan.description, plan.features, plan.settings, counts, plan.missing, absent)
    return {split: count.rows for split, count in counts.items()}


def is_unfinished(folder: str | Path) -> bool:
    """Whether a set was begun here and not yet written to its end."""
    return (Path(folder) / RECORD).is_file() and not (Path(folder) / CARD).is_file()


def _claim(plan: Plan, output: Path):
    """Make the folder this plan's, or say whose it is."""
    record, path = plan.record(), output / RECORD
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError:
            raise BuildError(f"{path} is damaged: remove {output} or give another --output") from None
        if found != record:
            raise BuildError(
                f"{output} holds another set ({_difference(found, record)}): remove it or give another --output"
            )
    elif output.exists() and any(output.iterdir()):
        raise BuildError(f"{output} holds something else: give an --output that is empty or not there yet")
    output.mkdir(parents=True, exist_ok=True)
    for left_over in output.glob(f"*{UNFINISHED}"):
        left_over.unlink(missing_ok=True)
    unfinished = path.with_suffix(UNFINISHED)
    unfinished.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    unfinished.rename(path)


def _difference(found: dict, wanted: dict) -> str:
    if found.get("set") != wanted["set"]:
        return f"'{found.get('set')}', not '{wanted['set']}'"
    before = found.get("settings", {})
    changed = [
        f"{key} {before.get(key)} there, {value} now"
        for key, value in wanted["settings"].items()
        if before.get(key) != value
    ]
    return "; ".join(changed) if changed else "made from other source files"


def _work(jobs: list[tuple], processes: int):
    """Do the jobs, here or in other processes, and yield how many rows each was about."""
    if processes <= 1 or len(jobs) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the last bits of a face detector's answer depend on it
        try:
            for job in jobs:
                yield _write_shard(job)
        finally:
            torch.set_num_threads(threads)
        return
    # Not forked: numba, torch and Arrow have threads.
    context = multiprocessing.get_context("spawn")
    workers = min(processes, len(jobs))
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        running = [pool.submit(_write_shard, job) for job in jobs]
        try:
            for future in as_completed(running):
                yield future.result()
        except BrokenProcessPool:
            raise BuildError("a process died, perhaps for want of memory: go on with fewer --processes") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _begin_worker(parent: int):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore that is left behind when this process is ended
    torch.set_num_threads(1)

    def leave_with_parent():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # the run was killed; a new one may be at work on the same shard

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _write_shard(job: tuple) -> int:
    make_rows, features, task, path, count = job
    rows = make_rows(task)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with _no_further_bars():
            Dataset.from_list(rows, features=features).to_parquet(unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


@contextmanager
def _no_further_bars():
    """Without a progress bar of `datasets` for each shard, between the lines of the whole set's."""
    were_shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if were_shown:
            enable_progress_bars()
