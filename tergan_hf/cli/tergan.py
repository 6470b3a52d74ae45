"""The command `tergan`: transfer, edit and recognise expressions of photos, folders of photos and clips."""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

from tqdm.auto import tqdm

from ..model.errors_tergan import InvalidInputError
from ..model.face_detection_tergan import Face
from ..model.pipeline_tergan import TerGanPipeline
from ..model.provenance_tergan import VIDEO_METADATA, draw_mark, save_synthetic


PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
CLIPS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "ter-gan"
EXAMPLES = """examples:
  tergan transfer smiling.jpg me.jpg -o me_smiling.png
  tergan transfer smiling.jpg holiday/ -o smiling_holiday/     every photo of a folder
  tergan transfer driving.mp4 me.jpg -o me_talking.mp4         a clip animates a photo
  tergan edit me.jpg surprise -o me_surprised.png --intensity 0.7
  tergan edit clip.mp4 happiness -o happy_clip.mp4
  tergan recognize me.jpg
  tergan recognize holiday/ clip.mp4 -o expressions.csv        or .json

Every file that is written says in its metadata that it is synthetic; --mark also shows it in a corner."""


class CommandError(InvalidInputError):
    """The command cannot be carried out as it stands. The message says why."""


def main(argv: list[str] | None = None):
    """
    Run the command.

    Raises:
        SystemExit: 2 for a wrong command line; 1 where something, or in a folder one of the photos, could not be done.
    """
    options = _parser().parse_args(argv)
    try:
        failed = options.run(options)
    except KeyboardInterrupt:
        sys.exit("tergan: stopped")
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"tergan: {error}")
    sys.exit(1 if failed else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tergan", description=__doc__.partition(": ")[2].capitalize(), epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    transfer = _command(
        commands, transfer_command, "transfer", "give a photo the expression of another photo or a clip"
    )
    transfer.add_argument("source", help="photo or clip that shows the expression")
    transfer.add_argument("target", help="photo to change, or a folder of photos")
    transfer.add_argument(
        "--relative", action="store_true", help="of a clip, carry what changes since its first frame"
    )
    edit = _command(commands, edit_command, "edit", "give a photo or clip another expression")
    edit.add_argument("input", help="photo, clip, or a folder of them")
    edit.add_argument("expression", help="anger, disgust, fear, happiness, neutral, sadness, surprise, or a photo")
    for command in (transfer, edit):
        command.add_argument(
            "-o", "--output", required=True, help=".png, .jpg, .webp or .mp4 file; for a folder, a folder"
        )
        command.add_argument("--intensity", type=float, default=1.0, help="0 changes nothing, above 1 exaggerates")
        command.add_argument("--face", type=_face, help="which face to change: 0 is the largest, or a place X,Y")
        command.add_argument("--source-face", type=_face, help="which face shows the expression")
        command.add_argument("--mark", action="store_true", help="put a visible note into a corner")
    recognize = _command(commands, recognize_command, "recognize", "name the expression of every face")
    recognize.add_argument("inputs", nargs="+", help="photos, clips, folders of them")
    recognize.add_argument("-o", "--output", help=".json or .csv file; default: a table on the screen")
    recognize.add_argument("--format", choices=["table", "json", "csv"], help="default: the output file's kind")
    return parser


def _command(commands, run: Callable, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=text, description=text.capitalize(), formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + "\n".join(line for line in EXAMPLES.splitlines() if f"tergan {name}" in line),
    )  # fmt: skip
    command.set_defaults(run=run)
    command.add_argument("--model", default=str(SHIPPED) if SHIPPED.is_dir() else None, help="folder or Hub id")
    command.add_argument("--device", help="cpu, cuda or mps; default: the fastest there is")
    command.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    return command


def _face(text: str) -> Face:
    parts = text.split(",")
    try:
        if len(parts) == 1:
            return int(text)
        x, y = (float(part) for part in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a place X,Y") from None
    return (x, y)


def transfer_command(options) -> int:
    """`tergan transfer`; returns how many photos of a folder failed."""
    source = _existing(options.source)
    jobs = _jobs(options.target, options.output, PHOTOS, ".mp4" if _is_clip(source) else ".png")
    pipe = _load(options)

    def do(photo: Path, output: Path):
        if _is_clip(source):
            pipe.transfer_video(
                source, photo, output, options.intensity, options.relative, options.face, options.source_face,
                progress=not options.quiet, **_provenance(options),
            )  # fmt: skip
        else:
            result = pipe.transfer(
                source, photo, options.intensity, face=options.face, source_face=options.source_face
            )
            save_synthetic(draw_mark(result) if options.mark else result, output)

    return _run(jobs, do, options)


def edit_command(options) -> int:
    """`tergan edit`; returns how many files of a folder failed."""
    jobs = _jobs(options.input, options.output, PHOTOS | CLIPS, None)
    pipe = _load(options)

    def do(item: Path, output: Path):
        choice = {"intensity": options.intensity, "face": options.face, "source_face": options.source_face}
        if _is_clip(item):
            pipe.edit_video(
                item, options.expression, output, progress=not options.quiet, **choice, **_provenance(options)
            )
        else:
            result = pipe.edit(item, options.expression, **choice)
            save_synthetic(draw_mark(result) if options.mark else result, output)

    return _run(jobs, do, options)


def recognize_command(options) -> int:
    """`tergan recognize`; returns how many files failed."""
    kind = options.format or (Path(options.output).suffix[1:].lower() if options.output else "table")
    writers = {"table": write_table, "json": write_json, "csv": write_csv}
    if kind not in writers:
        raise CommandError(f"the output must be a .json or .csv file, got {options.output!r}")
    files = [file for item in options.inputs for file in _files(_existing(item), PHOTOS | CLIPS)]
    if options.output and Path(options.output).resolve() in {file.resolve() for file in files}:
        raise CommandError(f"{options.output} would be written over itself")
    pipe = _load(options)
    found, failed = [], 0
    for file in tqdm(files, desc="recognize", unit="file", disable=options.quiet or len(files) < 2):
        try:
            found.append(recognize_file(pipe, file, progress=not options.quiet))
        except (OSError, ValueError) as error:
            found.append({"file": str(file), "error": str(error)})
            failed += 1
    if options.output:
        with open(options.output, "w", encoding="utf-8", newline="") as stream:
            writers[kind](found, pipe.labels, stream)
    else:
        writers[kind](found, pipe.labels, sys.stdout)
    for answer in found:
        if "error" in answer and (kind == "csv" or options.output):
            print(f"tergan: {answer['error']}", file=sys.stderr)
    return failed


def recognize_file(pipe: TerGanPipeline, file: Path, progress: bool = False) -> dict:
    """
    Returns:
        `file`, and for a photo `faces` (`box`, `confidence`, `expression`, `scores` by label), for a clip `frames`
        (`time`, `expression`, `scores`; both `None` where the face is not seen).
    """
    if _is_clip(file):
        frames = pipe.recognize_video(file, progress=progress)
        return {"file": str(file), "frames": [{"time": frame["time"], **_named(frame["scores"])} for frame in frames]}
    faces = [
        {"box": face["box"], "confidence": face["confidence"], **_named(face["scores"])}
        for face in pipe.recognize_faces(file)
    ]
    return {"file": str(file), "faces": faces}


def write_json(found: list[dict], labels: list[str], stream: io.TextIOBase):
    """What `recognize_file` gave, as it is."""
    json.dump(found, stream, indent=2, ensure_ascii=False)
    stream.write("\n")


def write_csv(found: list[dict], labels: list[str], stream: io.TextIOBase):
    """A row per face or frame, a column per expression; `time` is a clip's, the box a photo's. No row for failures."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "face", "time", "left", "top", "right", "bottom", "expression", *labels])
    for answer in found:
        for number, face in enumerate(answer.get("faces", ())):
            box = [f"{value:.1f}" for value in face["box"]]
            writer.writerow([answer["file"], number, "", *box, face["expression"], *_row(face, labels)])
        for frame in answer.get("frames", ()):
            row = [answer["file"], "", f"{frame['time']:.3f}", *[""] * 4, frame["expression"] or ""]
            writer.writerow([*row, *_row(frame, labels)])


def write_table(found: list[dict], labels: list[str], stream: io.TextIOBase):
    """For people."""
    for answer in found:
        if "error" in answer:
            print(f"{answer['file']}\n    {answer['error']}", file=stream)
        elif "faces" in answer:
            print(answer["file"], file=stream)
            for number, face in enumerate(answer["faces"]):
                print(f"    face {number}  {_best(face)}", file=stream)
        else:
            seen = [frame for frame in answer["frames"] if frame["scores"]]
            print(f"{answer['file']}: {len(answer['frames'])} frames, the face seen in {len(seen)}", file=stream)
            last = None
            for frame in seen:
                if frame["expression"] != last:
                    print(f"    from {frame['time']:6.2f} s  {_best(frame)}", file=stream)
                last = frame["expression"]


def _best(entry: dict) -> str:
    best = list(entry["scores"].items())[:3]
    return "  ".join(f"{label} {100 * score:.0f} %" for label, score in best)


def _row(entry: dict, labels: list[str]) -> list[str]:
    return [f"{entry['scores'][label]:.5f}" if entry["scores"] else "" for label in labels]


def _named(scores: list[dict] | None) -> dict:
    if scores is None:
        return {"expression": None, "scores": None}
    return {"expression": scores[0]["label"], "scores": {entry["label"]: entry["score"] for entry in scores}}


def _load(options) -> TerGanPipeline:
    if options.model is None:
        raise CommandError("which model? --model takes a folder or an id on the Hub")
    if hasattr(options, "intensity") and not math.isfinite(options.intensity):
        raise CommandError(f"--intensity must be a finite number, got {options.intensity}")
    with redirect_stdout(sys.stderr):  # results alone go to the standard output
        return TerGanPipeline.from_pretrained(options.model, options.device)


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise CommandError(f"there is no {name}")
    return path


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in CLIPS


def _files(path: Path, kinds: Iterable[str]) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in kinds and file.is_file())
    if not found:
        raise CommandError(f"{path} holds no file of these kinds: {', '.join(sorted(kinds))}")
    return found


def _jobs(source: str, output: str, kinds: set[str], suffix: str | None) -> list[tuple[Path, Path]]:
    """Inputs and outputs; `suffix` of the outputs in a folder, by default `.mp4` for clips and `.png` for photos."""
    path, goal = _existing(source), Path(output)
    if path.is_dir():
        names = _named_apart(path, _files(path, kinds), suffix)
        jobs = [(file, goal / name) for file, name in names]
    else:
        wanted = suffix or (".mp4" if _is_clip(path) else ".png")
        jobs = [(path, goal / f"{path.stem}{wanted}" if goal.is_dir() else goal)]
        if (wanted == ".mp4") != (jobs[0][1].suffix.lower() == ".mp4"):
            raise CommandError(f"the output {output} does not fit {source}: a clip becomes .mp4, a photo .png or .jpg")
    for file, result in jobs:
        if file.resolve() == result.resolve():
            raise CommandError(f"{file} would be written over itself: choose another output")
        if not path.is_dir() and not result.parent.is_dir():
            raise CommandError(f"no such folder: {result.parent}")
    return jobs


def _named_apart(folder: Path, files: list[Path], suffix: str | None) -> Iterator[tuple[Path, Path]]:
    taken = set()
    for file in files:
        ending = suffix or (".mp4" if _is_clip(file) else ".png")
        name = file.relative_to(folder).with_suffix(ending)
        if name in taken:  # a.jpg beside a.png
            name = name.with_name(file.name + ending)
        taken.add(name)
        yield file, name


def _run(jobs: list[tuple[Path, Path]], do: Callable[[Path, Path], None], options) -> int:
    if len(jobs) == 1:
        do(*jobs[0])
        return 0
    failed = 0
    with tqdm(jobs, desc=options.command, unit="file", disable=options.quiet) as bar:
        for file, output in bar:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                do(file, output)
            except (OSError, ValueError) as error:
                failed += 1
                bar.write(f"tergan: {error}", file=sys.stderr)
    if failed:
        print(f"tergan: {failed} of {len(jobs)} files could not be done", file=sys.stderr)
    return failed


def _provenance(options) -> dict:
    return {"finish": draw_mark if options.mark else None, "metadata": VIDEO_METADATA}
