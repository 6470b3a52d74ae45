"""Measure a saved model on the photos its training kept out, and draw contact sheets.

`python -m tergan_hf.evaluation --weights weights/ter-gan --data_root data --output_dir runs/evaluation`
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ..data.framing import decode
from ..data.splits import row_groups
from ..face_detection_tergan import NoFaceFoundError
from ..pipeline_tergan import TerGanPipeline
from .contact_sheet import save_contact_sheet
from .held_out import held_out_photos
from .judged import judge_edits
from .judges import find_judges
from .recognition import measure_recognition
from .transfer import draw_pairs, measure_gain


def main():
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="weights/ter-gan", help="folder with weights and training.yaml")
    parser.add_argument("--data_root", required=True, help="folder the run's data paths start from")
    parser.add_argument("--output_dir", default="runs/evaluation", help="where results.json and the pictures go")
    parser.add_argument("--pairs", type=int, default=420, help="pairs for the expression gain")
    parser.add_argument("--judges", help="folder with independent judges' weights, see tergan_hf/evaluation/judges.py")
    options = parser.parse_args()
    output = Path(options.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    pipe = TerGanPipeline.from_pretrained(options.weights)
    results = {}
    for name, (photos, source, groups) in held_out_photos(options.weights, options.data_root).items():
        results[name] = measured = {"photos": len(photos), "kept_out": groups}
        report = measure_recognition(pipe, photos, detect=source.align)
        measured["recognition"] = report.to_dict()
        print(f"{name}: accuracy {report.accuracy:.4f} on {len(photos)} photos, detect={source.align}")
        for label, recall in measured["recognition"]["recall"].items():
            print(f"    {label:10s} recall {recall:.3f}")
        draw_misses(photos, report, output / f"{name}_misses.png")
        if "recipe" in photos.column_names and min(photos["recipe"]) >= 0:
            measured["expression_gain"] = transfer_report(pipe, photos, source, groups, options.pairs, name, output)
        elif source.align:
            draw_uses(pipe, photos, output / f"{name}_uses.png")
            if options.judges:
                measured["judged"] = judge_report(pipe, photos, options.judges, output)
    (output / "results.json").write_text(json.dumps(results, indent=2))
    print(f"Wrote {output / 'results.json'} and the pictures beside it")


def transfer_report(pipe, photos, source, groups, count, name, output) -> dict:
    """Gain on crops and end to end, on all held-out people and on those with nothing seen in training."""
    measured = {}
    pairs = draw_pairs(photos, count)
    for detect in (False, True):
        gains, rows = measure_gain(pipe, photos, pairs, detect)
        measured["end_to_end" if detect else "crops"] = gains
        print(
            f"{name}: expression gain {gains['all']:.3f}, detect={detect}", {k: round(v, 3) for k, v in gains.items()}
        )
        titles = ["source", "target", "result", "truth"]
        blocks = [rows[at] + rows[at + 1] + rows[at + 2] for at in range(0, min(42, len(rows) - 2), 3)]
        save_contact_sheet(blocks, output / f"{name}_transfer_detect_{detect}.png", titles * 3)
    if source.group_separator:
        parts = row_groups(photos, source.group_column, source.group_separator)
        unseen = photos.select(np.flatnonzero([part <= set(groups) for part in parts]))
        if len(set(unseen["identity"])) > 1:
            gains, _ = measure_gain(pipe, unseen, draw_pairs(unseen, count), detect=False)
            measured["crops_nothing_seen"] = gains
            print(f"{name}: expression gain {gains['all']:.3f} on people made of kept-out groups only")
            report = measure_recognition(pipe, unseen, detect=True)
            measured["accuracy_nothing_seen"] = report.accuracy
            print(f"{name}: accuracy {report.accuracy:.4f} on those people")
    return measured


def judge_report(pipe: TerGanPipeline, photos, judges: str, output: Path) -> dict:
    """What independent judges see in edited photos; a line for each label and group."""
    columns = [column for column in ("gender", "ethnicity") if column in photos.column_names]
    judged = judge_edits(pipe, photos, *find_judges(judges), columns, output)
    for kind in ("real", "edits", "groups"):
        for name, numbers in judged[kind].items():
            print(f"    {kind} {name}: " + ", ".join(f"{key} {value:.3g}" for key, value in numbers.items()))
    print(", ".join(f"{key} {judged[key]:.3f}" for key in ("strangers", "leak", "own_smile_gain") if key in judged))
    return judged


def draw_misses(photos, report, path: Path, most: int = 40):
    """The photos whose expression was not named, with the label and the answer."""
    truths = photos["expression"]
    missed = [row for row, answer in enumerate(report.answers) if answer is None or answer[0]["label"] != truths[row]][
        :most
    ]
    if not missed:
        return
    images = [decode(photos[row]["image"]) for row in missed]
    captions = [
        f"{truths[row]} > " + (report.answers[row][0]["label"] if report.answers[row] else "no face") for row in missed
    ]
    save_contact_sheet(_wrap(images, 8, None), path, captions=_wrap(captions, 8, ""))


def draw_uses(pipe: TerGanPipeline, photos, path: Path, people: int = 8):
    """Per person: photo, the next person's expression transferred, every label, each with what `recognize` says."""
    rows_of = list(_rows_by_identity(photos).values())[:people]
    images = [decode(photos[rows[0]]["image"]) for rows in rows_of]
    sources = [decode(photos[rows[-1]]["image"]) for rows in rows_of]
    sheet, captions = [], []
    for at, image in enumerate(images):
        source = sources[(at + 1) % len(sources)]
        try:
            row = [image, source, pipe.transfer(source, image), *(pipe.edit(image, label) for label in pipe.labels)]
        except NoFaceFoundError:
            row = [image, source, *[None] * (1 + len(pipe.labels))]
        sheet.append([shown and shown.crop(_middle(shown)) for shown in row])
        captions.append([_said(pipe, shown) if shown else "no face" for shown in row])
    save_contact_sheet(sheet, path, ["photo", "source", "transfer", *pipe.labels], captions, side=160)


def _said(pipe: TerGanPipeline, image) -> str:
    try:
        best = pipe.recognize(image)[0]
    except NoFaceFoundError:
        return "no face"
    return f"{best['label']} {best['score']:.2f}"


def _middle(image) -> tuple[int, int, int, int]:
    width, height = image.size
    return (round(width * 0.2), round(height * 0.2), round(width * 0.8), round(height * 0.8))


def _rows_by_identity(photos) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, identity in enumerate(photos["identity"]):
        rows.setdefault(identity, []).append(row)
    return rows


def _wrap(items: list, columns: int, filler) -> list[list]:
    padded = items + [filler] * (-len(items) % columns)
    return [padded[at : at + columns] for at in range(0, len(padded), columns)]


if __name__ == "__main__":
    main()
