"""A whole run: claim the output, share the work, put the parts together, publish them."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from tqdm.auto import tqdm

from ..data.folder_lock import lock_folder
from ..data.loading import HUB_PREFIX
from ..evaluation.digest import weights_digest
from ..evaluation.loading import model_folder
from ..model.atomic_file_tergan import write_whole
from ..model.pipeline_tergan import TerGanPipeline
from . import hub_destination
from .annotating import Annotator, output_features
from .assembling import Summary, assemble
from .card import write_card_text
from .face_reader import NO_FACE
from .parts import FOLDER, Progress
from .photo_source import PhotoSource, newest_commit, open_source
from .run_folder import CARD, WITHOUT, OutputError, claim, make_record, read_record
from .sharing import Processes, join_processes, share_of


POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """
    What to recognise.

    Args:
        source: as `open_source` takes it. output: `hub://owner/name` or a folder.
        model: folder or Hub id.
        split, image_column: as for `open_source`.
        blendshapes: also read the blendshapes.
        overwrite: replace the result of another run.
        private: make a new repository on the Hub private. One is made private in any case if the source is.
        quiet: show no progress bar.
    """

    source: str
    output: str
    model: str
    split: str | None = None
    image_column: str | None = None
    blendshapes: bool = False
    overwrite: bool = False
    private: bool | None = None
    quiet: bool = False

    @property
    def repo_id(self) -> str | None:
        """The repository to publish to, if any."""
        return hub_destination.destination_id(self.output, self.source) if self._on_hub(self.output) else None

    @property
    def folder(self) -> Path:
        """The folder to work in."""
        return hub_destination.work_folder(self.repo_id) if self.repo_id else Path(self.output)

    @property
    def reads_hub(self) -> bool:
        """Whether the source is on the Hub."""
        return self._on_hub(self.source)

    @staticmethod
    def _on_hub(name: str) -> bool:
        return name.startswith(HUB_PREFIX)


@dataclass
class _Begun:
    """What the first process knows once the output is claimed."""

    held: FileLock
    pipe: TerGanPipeline
    source: PhotoSource
    record: dict
    notes: list[str]


def recognize_set(job: Job, load: Callable[[torch.device | None], TerGanPipeline]) -> list[str]:
    """
    Recognise the faces of a whole data set. All processes of a launcher call this.

    Args:
        load: loads the pipeline onto a device; `None` is the fastest.

    Returns:
        what to tell the user, from the first process only.

    Raises:
        TerGanError: the source, the model or the output cannot be used. The message says why.
    """
    processes = join_processes()
    begun = _begin(job, load, processes.device) if processes.is_main else None
    processes.wait()
    record, told = read_record(job.folder), []
    if record is None:
        told = [f"{job.output} is complete already"]
    else:
        if not (job.folder / CARD).is_file():
            source = begun.source if begun else _open(job, record["revision"])
            pipe = begun.pipe if begun else load(processes.device)
            started, before = time.monotonic(), _count(job, source)
            progress = _work(job, source, pipe, processes)
            processes.wait()
            if begun:
                rate = (progress.photos - before) / (time.monotonic() - started)
                told = [_finish(job, begun, progress), f"{rate:.2f} photos a second"]
        else:
            processes.wait()
            told = [f"{job.output} is complete already"]
        if begun and job.repo_id:
            told.append(hub_destination.publish(job.folder, job.repo_id))
            shutil.rmtree(job.folder)
    processes.close()
    if begun is None:
        return []
    begun.held.release()
    return [*told, *begun.notes]


def _begin(job: Job, load: Callable, device: torch.device | None) -> _Begun:
    """Open the source and the model, and claim the output."""
    folder = job.folder
    if not job.reads_hub and folder.resolve().is_relative_to(Path(job.source).resolve()):
        raise OutputError(f"{job.output} is in the folder of the photos: choose another one for the results")
    held = lock_folder(folder, "output")
    revision, private, notes = None, job.private, []
    if job.reads_hub:
        known = read_record(folder)
        newest = newest_commit(job.source)
        # A run that was interrupted goes on with the photos that it began with.
        revision = known["revision"] if known and not job.overwrite and known.get("revision") else newest.commit
        if revision != newest.commit:
            notes.append(f"{job.source} has changed since this run began; --overwrite reads it anew")
        private = newest.private or private
    source = _open(job, revision)
    pipe = load(device)
    if job.blendshapes:
        pipe.model.require_blendshapes()
    digest = weights_digest(model_folder(job.model))
    record = make_record(source, digest, job.blendshapes, revision)
    published = job.repo_id is not None and hub_destination.prepare(job.repo_id, record, private, job.overwrite)
    if published:
        shutil.rmtree(folder)
    else:
        # The folder in the cache is ours alone.
        claim(folder, record, job.overwrite)
    return _Begun(held, pipe, source, record, notes)


def _open(job: Job, revision: str | None) -> PhotoSource:
    return open_source(job.source, job.split, job.image_column, revision)


def _count(job: Job, source: PhotoSource) -> int:
    return Progress(job.folder, len(source.shards)).update()


def _work(job: Job, source: PhotoSource, pipe: TerGanPipeline, processes: Processes) -> Progress:
    """Write the parts of this process. The first process then waits for the others."""
    progress = Progress(job.folder, len(source.shards))
    known = all(split in source.photos for split in source.streams)
    total = sum(source.photos[split] for split in source.streams) if known else None
    with tqdm(
        total=total, initial=progress.update(), unit="photo", desc="recognize", dynamic_ncols=True,
        disable=job.quiet or not processes.is_main,
    ) as bar:  # fmt: skip
        last = time.monotonic()

        def show(unfinished: int):
            nonlocal last
            if processes.is_main and time.monotonic() - last > POLL_SECONDS:
                last = time.monotonic()
                bar.update(progress.update() + unfinished - bar.n)

        annotator = Annotator(source, pipe, job.folder, job.blendshapes, show)
        for share in share_of(len(source.shards), processes.index, processes.count):
            annotator.run(share)
        if processes.is_main:
            while not progress.complete:
                time.sleep(POLL_SECONDS / 4)
                show(0)
            bar.update(progress.update() - bar.n)
    return progress


def _finish(job: Job, begun: _Begun, progress: Progress) -> str:
    """Put the parts together. Returns the counts in a sentence."""
    features = output_features(begun.source, begun.pipe, job.blendshapes)
    summary = assemble(job.folder, begun.source.shards, progress.notes, features)
    model = Path(job.model).name if Path(job.model).is_dir() else job.model
    source = job.source if job.reads_hub else Path(job.source).name
    card = write_card_text(source, model, begun.record["model"], begun.record["revision"], features, summary)
    write_whole(job.folder / CARD, card.encode())
    shutil.rmtree(job.folder / FOLDER)
    return _sentence(job, summary)


def _sentence(job: Job, summary: Summary) -> str:
    said = f"{job.output}: {summary.photos} photos, {summary.faces} faces"
    if summary.without:
        said += (
            f"; {summary.without[NO_FACE]} photos without a face and {summary.unreadable} that cannot be read are "
            f"listed in {WITHOUT}"
        )
    return said
