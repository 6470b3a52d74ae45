"""The command `tergan`: transfer, edit and recognise expressions of photos, folders of photos and clips."""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..data.media_files import CLIP, PHOTO
from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import TerGanError
from ..model.face_detection_tergan import Face
from ..model.image_loading_tergan import is_file
from ..model.pipeline_base_tergan import check_intensity
from ..model.pipeline_tergan import TerGanPipeline
from ..model.provenance_tergan import draw_mark
from ..model.video_tergan import VideoReport
from ..provenance.saving import save_synthetic, signed_clip
from ..provenance.signing import ManifestSigner, environment_signer, timestamp_url
from ..provenance.watermark import Watermark
from . import data_sets, verify
from .answers import WRITERS, encode_answers, recognize_file
from .errors import one_line_errors
from .files import Job, existing_path, kind_of, list_files, plan_jobs, run_jobs, said_of
from .named_values import read_values
from .outputs import CommandError, check_output
from .progress import without_progress_bars


DEFAULT_MODEL = Path(__file__).resolve().parents[2] / "weights" / "ter-gan"
EXAMPLES = """examples:
  tergan transfer smiling.jpg me.jpg -o me_smiling.png
  tergan transfer smiling.jpg holiday/ -o smiling_holiday/     every photo of a folder
  tergan transfer driving.mp4 me.jpg -o me_talking.mp4         a clip animates a photo
  tergan transfer two.mp4 us.jpg -o talk.mp4 --pair 0=1 --pair 1=0
  tergan edit me.jpg surprise -o me_surprised.png --intensity 0.7
  tergan edit clip.mp4 happiness -o happy_clip.mp4
  tergan edit me.jpg --set jawOpen=0.4 eyeBlinkLeft=1 gazeLeft=20 -o me_winking.png
  tergan edit holiday/ neutral --set mouthSmile=0.5 -o smiling_holiday/
  tergan edit holiday/ --set @preset.json -o winking_holiday/  a preset that the app saved
  tergan names                                                 all names for --set
  tergan edit two.mp4 happiness -o edited.mp4 --face 0 --also 1=neutral
  tergan recognize me.jpg
  tergan recognize holiday/ clip.mp4 -o expressions.csv        or .json
  tergan recognize me.jpg --blendshapes                        with a model that reads them
  tergan recognize hub://owner/faces -o hub://me/faces-read    a whole data set, a row for each face
  tergan edit me.jpg surprise -o me_surprised.jpg --sign chain.pem key.pem
  tergan verify me_surprised.jpg                               what it claims, and whether the signature holds

Every written file says in its metadata that it is synthetic. --mark also shows it in a corner. --sign adds a signed
C2PA manifest; the variables TERGAN_C2PA_CERT and TERGAN_C2PA_KEY do so for every command."""


def main(argv: list[str] | None = None):
    """
    Run the command.

    Raises:
        SystemExit: 0 on success; 1 if the command or any of several files failed; 2 for a wrong command line.
    """
    parser = build_parser()
    options, rest = parser.parse_known_args(argv)
    # argparse takes an optional positional only beside the one before it, not after an option.
    if options.command == "edit" and options.expression is None and len(rest) == 1 and not rest[0].startswith("-"):
        options.expression = rest.pop()
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    with one_line_errors("tergan"):
        failed = options.run(options)
    sys.exit(1 if failed else 0)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="tergan", description=__doc__.partition(": ")[2].capitalize(), epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    transfer = _add_command(
        commands, transfer_command, "transfer", "give a photo the expression of another photo or of a driving clip"
    )
    transfer.add_argument("source", help="photo that shows the expression, or driving clip")
    transfer.add_argument("target", help="photo to change, or a folder of photos")
    transfer.add_argument(
        "--relative", action=argparse.BooleanOptionalAction,
        help="with a clip, transfer only changes since its calmest early frame; default: only if that frame is calm",
    )  # fmt: skip
    transfer.add_argument(
        "--pair", type=_pair, action="append", metavar="FACE=DRIVER",
        help="with a clip, a face of the photo and its driver in the clip's first frame, both named like --face; "
        "repeat it for each face",
    )  # fmt: skip
    edit = _add_command(commands, edit_command, "edit", "give a photo or clip another expression")
    edit.add_argument("input", help="photo, clip, or a folder of them")
    edit.add_argument(
        "expression", nargs="?", help="anger, disgust, fear, happiness, neutral, sadness, surprise, or a photo"
    )
    edit.add_argument(
        "--set", nargs="+", action="extend", metavar="NAME=VALUE", dest="values",
        help="set single blendshapes (0 to 1.2) and the gaze (degrees) by name, or all of a @preset.json; a label "
        "given as the expression comes first. `tergan names` lists the names",
    )  # fmt: skip
    edit.add_argument(
        "--also", type=_named_expression, action="append", metavar="FACE=EXPRESSION",
        help="of a clip, another face, named like --face, and its expression; repeat it for each face",
    )  # fmt: skip
    for command in (transfer, edit):
        command.add_argument(
            "-o", "--output", required=True, help=".png, .jpg, .webp or .mp4 file; a folder for a folder"
        )
        command.add_argument("--overwrite", action="store_true", help="replace existing outputs")
        command.add_argument(
            "--intensity", type=float, default=1.0, help="-3 to 3: 0 changes nothing, above 1 exaggerates (1)"
        )
        command.add_argument(
            "--face", type=_face, help="the face to change: 0 is the largest, 1 the next; or the face at the pixel X,Y"
        )
        names = ["--source-face", "--driving-face"] if command is transfer else ["--source-face"]
        command.add_argument(*names, type=_face, help="the face that shows the expression, named like --face")
        command.add_argument("--mark", action="store_true", help="draw a visible mark into a corner")
        command.add_argument(
            "--watermark", action="store_true", help="add an invisible mark to photos (needs pip install trustmark)"
        )
        command.add_argument(
            "--sign", nargs=2, metavar=("CERT", "KEY"),
            help="add a C2PA manifest, signed with a certificate chain and its key, both PEM files",
        )  # fmt: skip
    recognize = _add_command(commands, recognize_command, "recognize", "recognise the expression of every face")
    recognize.add_argument("inputs", nargs="+", help="photos, clips, folders of them; or one whole data set")
    recognize.add_argument(
        "-o", "--output", help=".json or .csv file; default: a table on the screen. Of a whole data set, a folder or "
        "hub://owner/name",
    )  # fmt: skip
    recognize.add_argument("--overwrite", action="store_true", help="replace an existing output")
    recognize.add_argument(
        "--blendshapes", action="store_true", help="also read ARKit's blendshapes and the gaze, if the model does"
    )
    recognize.add_argument("--format", choices=list(WRITERS), help="default: by the name of the output file")
    data_sets.add_arguments(recognize)
    _add_command(commands, names_command, "names", "list the names that `tergan edit --set` takes, with their ranges")
    verify.add_arguments(
        _add_parser(commands, "verify", "say what files claim about their origin, and check signatures")
    )
    return parser


def _add_parser(commands, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text.capitalize(), formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + "\n".join(line for line in EXAMPLES.splitlines() if f"tergan {name}" in line),
    )  # fmt: skip


def _add_command(commands, run: Callable, name: str, text: str) -> argparse.ArgumentParser:
    """A command that uses the model."""
    command = _add_parser(commands, name, text)
    command.set_defaults(run=run)
    command.add_argument(
        "--model", default=str(DEFAULT_MODEL) if DEFAULT_MODEL.is_dir() else None, help="folder or Hub id"
    )
    command.add_argument("--device", help="cpu, cuda or mps; default: the fastest available")
    command.add_argument("-q", "--quiet", action="store_true", help="show no progress bar")
    return command


def _face(text: str) -> Face:
    parts = text.split(",")
    try:
        if len(parts) == 1:
            return int(text)
        x, y = (float(part) for part in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a point X,Y") from None
    return (x, y)


def _pair(text: str) -> tuple[Face, Face]:
    face, driver = _split_face(text, "FACE=DRIVER, such as 0=1")
    return face, _face(driver)


def _named_expression(text: str) -> tuple[Face, str]:
    return _split_face(text, "FACE=EXPRESSION, such as 1=neutral")


def _split_face(text: str, form: str) -> tuple[Face, str]:
    face, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return _face(face), value


def _by_face(pairs: list[tuple[Face, Any]], name: str) -> dict[Face, Any]:
    """Pairs of a face and something else as a dictionary."""
    by_face = dict(pairs)
    if len(by_face) < len(pairs):
        raise CommandError(f"{name} names a face twice")
    return by_face


def transfer_command(options) -> int:
    """Run `tergan transfer`. Returns the number of photos of a folder that failed."""
    source = existing_path(options.source)
    if source.is_dir():
        raise CommandError(f"{source} is a folder: name the photo or clip that shows the expression")
    moving = kind_of(source) == CLIP
    faces = _by_face(options.pair, "--pair") if options.pair else None
    if faces and not moving:
        raise CommandError("--pair needs a driving clip; for a photo use --face and --source-face")
    if options.relative is not None and not moving:
        raise CommandError("--relative and --no-relative need a driving clip")
    jobs = plan_jobs(
        options.target, options.output, [PHOTO], options.overwrite, ".mp4" if moving else ".png", [source]
    )
    signer = _signer(options)
    watermark = _watermark(options, [source] if moving else [])
    pipe = _load(options)

    def animate(job: Job):
        with signed_clip(job.output, signer, job.source, [source]) as output:
            report = pipe.transfer_video(
                source, job.source, output, options.intensity, options.relative, face=options.face,
                driving_face=options.source_face, progress=not options.quiet, finish=_finish(options), faces=faces,
            )  # fmt: skip
        _print_notes(job, report)
        if options.relative is None and not options.quiet:
            _print_choices(job, report)

    def transfer(job: Job):
        result = pipe.transfer(
            source, job.source, options.intensity, face=options.face, source_face=options.source_face
        )
        save_synthetic(
            result, job.output, mark=options.mark, watermark=watermark, signer=signer, parent=job.source,
            inputs=[source],
        )  # fmt: skip

    return run_jobs(jobs, animate if moving else transfer, options.command, options.quiet)


def edit_command(options) -> int:
    """Run `tergan edit`. Returns the number of files of a folder that failed."""
    expression, others = _wanted_expression(options)
    jobs = plan_jobs(options.input, options.output, [PHOTO, CLIP], options.overwrite, others=others)
    also = options.also or []
    photos = [job.source for job in jobs if job.kind != CLIP]
    if also and photos:
        raise CommandError(f"{photos[0]} is a photo; --also is for clips")
    expressions = _by_face([(options.face or 0, expression), *also], "--also") if also else None
    signer = _signer(options)
    watermark = _watermark(options, [job.source for job in jobs if job.kind == CLIP])
    pipe = _load(options)
    # One error, not one for every file.
    labels: list[str | None] = []
    if isinstance(expression, dict):
        pipe.parse_expression(expression, "--set")
    else:
        labels.append(pipe.match_label(expression))
    labels += [pipe.match_label(other, "--also") for _, other in also]
    if options.source_face is not None and all(labels):
        raise CommandError("--source-face is for a photo that shows the expression")
    settings = {"intensity": options.intensity, "source_face": options.source_face}
    named = [expression, *(other for _, other in also)]
    inputs = [Path(name) for name in named if isinstance(name, str) and is_file(name)]

    def edit(job: Job):
        if job.kind == CLIP:
            with signed_clip(job.output, signer, job.source, inputs) as output:
                report = pipe.edit_video(
                    job.source, expressions or expression, output, progress=not options.quiet,
                    face=None if expressions else options.face, finish=_finish(options), **settings,
                )  # fmt: skip
            _print_notes(job, report)
        else:
            result = pipe.edit(job.source, expression, face=options.face, **settings)
            save_synthetic(
                result, job.output, mark=options.mark, watermark=watermark, signer=signer, parent=job.source,
                inputs=inputs,
            )  # fmt: skip

    return run_jobs(jobs, edit, options.command, options.quiet)


def _wanted_expression(options) -> tuple[str | dict[str, float], list[Path]]:
    """The label, photo or values by name that `tergan edit` is asked for, and the files that it reads for them."""
    expression, words = options.expression, options.values
    if expression is None and not words:
        raise CommandError("name an expression (a label or a photo), or --set NAME=VALUE")
    if not words:
        return expression, [Path(expression)] if is_file(expression) else []
    if expression is not None and is_file(expression):
        raise CommandError(f"--set goes with a label, and {expression} is a photo: leave one of them out")
    presets = [Path(word[1:]) for word in words if word.startswith("@")]
    return read_values(words, expression), presets


def names_command(options) -> int:
    """Run `tergan names`. Returns 0."""
    for name, (lowest, highest) in _load(options).editable_names.items():
        print(f"{name:20s} {lowest:g} to {highest:g}")
    return 0


def recognize_command(options) -> int:
    """Run `tergan recognize`. Returns the number of files that failed."""
    if data_sets.is_whole_set(options):
        return data_sets.recognize_set_command(options, lambda device: _load(options, device))
    kind = options.format or (Path(options.output).suffix[1:].lower() if options.output else "table")
    if kind not in WRITERS:
        raise CommandError(f"the output must be a .json or .csv file, got {options.output!r}")
    output = Path(options.output) if options.output else None
    files: dict[Path, str] = {}
    for name in options.inputs:
        files |= list_files(existing_path(name), [PHOTO, CLIP], without=output)
    if output:
        check_output(output, files, options.overwrite)
    pipe = _load(options)
    if options.blendshapes:
        pipe.model.require_blendshapes()
    names = pipe.blendshape_names if options.blendshapes else []
    answers, failed = [], 0
    for file, media in tqdm(files.items(), desc="recognize", unit="file", disable=options.quiet or len(files) < 2):
        try:
            answers.append(recognize_file(pipe, file, media, not options.quiet, options.blendshapes))
        except Exception as error:
            if len(files) == 1 and not isinstance(error, TerGanError):
                raise
            # The answers for the other files are not lost.
            answers.append({"file": str(file), "error": said_of(error, file)})
            failed += 1
    if output:
        write_whole(output, encode_answers(kind, answers, pipe.labels, names))
    else:
        WRITERS[kind](answers, pipe.labels, names, sys.stdout)
    for answer in answers:
        if "error" in answer and (kind == "csv" or output):
            print(f"tergan: {answer['error']}", file=sys.stderr)
    return failed


def _print_notes(job: Job, report: VideoReport):
    """Say what of a clip was damaged, or differs in the result."""
    notes = list(report.notes)
    if report.damaged_packets:
        notes.insert(0, f"{report.damaged_packets} damaged packets of the clip were left out.")
    for note in notes:
        print(f"tergan: {job.output}: {note}", file=sys.stderr)


def _print_choices(job: Job, report: VideoReport):
    """Say whether changes or the expression itself were carried."""
    for face in report.faces:
        choice = "is carried as it is: the clip does not begin with a neutral face"
        if face.relative:
            choice = f"is carried as its change since the calm frame at {face.reference_seconds:.1f} s"
        whose = "the expression" if len(report.faces) == 1 else f"the expression of face {face.face}"
        print(f"tergan: {job.output}: {whose} {choice}.", file=sys.stderr)


def _load(options, device=None) -> TerGanPipeline:
    if options.model is None:
        raise CommandError("no model is given: --model takes a folder or an id on the Hub")
    if hasattr(options, "intensity"):
        check_intensity(options.intensity)
    # The standard output is for results only.
    with redirect_stdout(sys.stderr), without_progress_bars() if options.quiet else nullcontext():
        return TerGanPipeline.from_pretrained(options.model, device or options.device)


def _finish(options) -> Callable | None:
    return draw_mark if options.mark else None


def _watermark(options, clips: list[Path]) -> Watermark | None:
    if not options.watermark:
        return None
    if clips:
        raise CommandError(f"{clips[0]} is a clip; --watermark is for photos")
    return Watermark()


def _signer(options) -> ManifestSigner | None:
    if options.sign is None:
        return environment_signer()
    certificate, key = options.sign
    return ManifestSigner(certificate, key, timestamp_url())


if __name__ == "__main__":
    main()
