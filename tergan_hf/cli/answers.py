"""Answers of `tergan recognize`, and how to write them as JSON, CSV or a table."""

import csv
import io
import json
from pathlib import Path
from typing import TextIO

from ..data.media_files import CLIP
from ..model.blendshapes_tergan import describe_gaze, strongest_blendshapes
from ..model.pipeline_tergan import TerGanPipeline


MOST_BLENDSHAPES = 4  # of a face, in a table


def recognize_file(
    pipe: TerGanPipeline, file: Path, kind: str, progress: bool = False, blendshapes: bool = False
) -> dict:
    """
    Recognise the expressions of a photo or clip.

    Args:
        kind: `PHOTO` or `CLIP`.
        progress: show a bar for a clip.
        blendshapes: also read blendshapes.

    Returns:
        `file`; for a photo `faces`, each with `box`, `confidence`, `expression` and `scores` by label; for a clip
        `frames`, each with `time`, `expression` and `scores`, the last two `None` if no face is found. Each also has
        `blendshapes` if asked for, which are `None` if no face is found.
    """

    def answer(entry: dict) -> dict:
        return {**_by_label(entry["scores"]), **({"blendshapes": entry["blendshapes"]} if blendshapes else {})}

    if kind == CLIP:
        frames = pipe.recognize_video(file, progress=progress, blendshapes=blendshapes)
        return {"file": str(file), "frames": [{"time": frame["time"], **answer(frame)} for frame in frames]}
    faces = [
        {"box": face["box"], "confidence": face["confidence"], **answer(face)}
        for face in pipe.recognize_faces(file, blendshapes=blendshapes)
    ]
    return {"file": str(file), "faces": faces}


def write_json(answers: list[dict], labels: list[str], names: list[str], stream: TextIO):
    """Write the answers of `recognize_file` as they are. Characters that `stream` cannot encode become JSON's escape
    sequences."""
    text = json.dumps(answers, indent=2, ensure_ascii=False)
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(answers, indent=2)
    stream.write(text + "\n")


def write_csv(answers: list[dict], labels: list[str], names: list[str], stream: TextIO):
    """
    Write one row per face or frame, with one column per label and per blendshape in `names`.

    `time` is filled for clips, the box for photos. A file that failed has no row.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "face", "time", "left", "top", "right", "bottom", "expression", *labels, *names])
    for answer in answers:
        for number, face in enumerate(answer.get("faces", ())):
            box = [f"{value:.1f}" for value in face["box"]]
            row = [answer["file"], number, "", *box, face["expression"]]
            writer.writerow([*row, *_cells(face["scores"], labels), *_cells(face.get("blendshapes"), names)])
        for frame in answer.get("frames", ()):
            row = [answer["file"], "", f"{frame['time']:.3f}", *[""] * 4, frame["expression"] or ""]
            writer.writerow([*row, *_cells(frame["scores"], labels), *_cells(frame.get("blendshapes"), names)])


def write_table(answers: list[dict], labels: list[str], names: list[str], stream: TextIO):
    """Write a summary for people: the best labels of each face, and of a clip whenever the best label changes. The
    strongest blendshapes follow if they were read."""
    for answer in answers:
        if "error" in answer:
            print(f"{answer['file']}\n    {answer['error']}", file=stream)
        elif "faces" in answer:
            print(answer["file"], file=stream)
            for number, face in enumerate(answer["faces"]):
                print(f"    face {number}  {_best_labels(face)}", file=stream)
                _print_blendshapes(face, stream)
        else:
            with_face = [frame for frame in answer["frames"] if frame["scores"]]
            print(f"{answer['file']}: {len(answer['frames'])} frames, {len(with_face)} with a face", file=stream)
            last = None
            for frame in with_face:
                if frame["expression"] != last:
                    print(f"    from {frame['time']:6.2f} s  {_best_labels(frame)}", file=stream)
                    _print_blendshapes(frame, stream)
                last = frame["expression"]


def encode_answers(kind: str, answers: list[dict], labels: list[str], names: list[str]) -> bytes:
    """The content of a file of answers, in UTF-8; `kind` is a key of `WRITERS`."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="utf-8", errors="backslashreplace", newline="")
    WRITERS[kind](answers, labels, names, stream)
    stream.flush()
    return content.getvalue()


WRITERS = {"table": write_table, "json": write_json, "csv": write_csv}


def _best_labels(entry: dict) -> str:
    best = list(entry["scores"].items())[:3]
    return "  ".join(f"{label} {100 * score:.0f} %" for label, score in best)


def _print_blendshapes(entry: dict, stream: TextIO):
    if values := entry.get("blendshapes"):
        strongest = strongest_blendshapes(values, MOST_BLENDSHAPES)
        named = [f"{name} {value:.2f}" for name, value in strongest.items()]
        print("            " + "  ".join([*named, *filter(None, [describe_gaze(values)])]), file=stream)


def _cells(values: dict[str, float] | None, names: list[str]) -> list[str]:
    return [f"{values[name]:.5f}" if values else "" for name in names]


def _by_label(scores: list[dict] | None) -> dict:
    if scores is None:
        return {"expression": None, "scores": None}
    return {"expression": scores[0]["label"], "scores": {entry["label"]: entry["score"] for entry in scores}}
