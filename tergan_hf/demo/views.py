"""Views that Gradio has no component for, and the data they show.

They are a before-and-after picture, rows of small pictures, the expression map, groups of sliders, and scores of
several faces. Pictures travel as data URLs, so nothing stays on the server's disk.
"""

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..evaluation.expression_map import ExpressionMap
from ..model.blendshapes_tergan import describe_gaze, strongest_blendshapes
from .edit_session import as_data_url
from .session_values import DetectedFaces


MOST_BLENDSHAPES = 12  # bars of a face
STATIC = Path(__file__).parent / "static"
STYLE = STATIC / "style.css"
KEYS = STATIC / "keys.js"


def compare_view(value: dict | None = None, **settings) -> gr.HTML:
    """Before and after in one picture. Its value is `compare_data` or `message_data`."""
    return _view("compare", value, **settings)


def compare_data(before: Image.Image | None, after: Image.Image, alt: str, mark: bool) -> dict:
    """
    The value of a compare view.

    Args:
        before: the photo; `None` keeps the one that the view shows.
        after: the result.
        alt: describes the result.
        mark: draw the visible mark on the result.
    """
    data = {"after": as_data_url(after, mark), "alt": f"Synthetic photo: {alt}"}
    return data if before is None else {**data, "before": as_data_url(before)}


def message_data(message: str) -> dict:
    """The value of a compare view that shows a message instead of pictures."""
    return {"message": message}


def picture_row(value: dict | None = None, **settings) -> gr.HTML:
    """Small pictures as buttons. Its value is `row_data`; the event `select` has the `index`."""
    return _view("row", value, **settings)


def row_data(title: str, pictures: list[Image.Image], captions: list[str], chosen: int | None = None) -> dict:
    """
    The value of a picture row.

    Args:
        chosen: index of the chosen picture, -1 for none so far; `None` if the buttons act and none stays chosen.
    """
    items = [
        {"picture": as_data_url(picture, quality=80), "caption": caption}
        for picture, caption in zip(pictures, captions)
    ]
    return {"title": title, "items": items, "chosen": chosen, "stamp": _unique_stamp()}


def face_row_data(detected: DetectedFaces | None) -> dict:
    """The value of a picture row to choose a face from. Empty if there is only one face."""
    if detected is None or not detected.thumbnails:
        return {}
    captions = [f"Face {number}" for number in range(1, len(detected.thumbnails) + 1)]
    title = "Several faces: click one, here or in the photo"
    return row_data(title, detected.thumbnails, captions, detected.chosen)


def map_view(value: dict | None = None, pickable: bool = False, **settings) -> gr.HTML:
    """
    The expression map. Its value is `map_data`.

    Args:
        pickable: a visitor can choose a point. The events `input` and, at the end of a drag, `select` have its `x` and
            `y`.
    """
    template = "map_pickable" if pickable else "map"
    return _view("map", value, template, pickable=pickable, **settings)


def map_data(
    expression_map: ExpressionMap | None, marks: Sequence[tuple[str, list[float] | None]] = (), chosen=None
) -> dict:
    """
    The value of a map view. Empty if there is no map.

    Args:
        marks: names and points of faces.
        chosen: the chosen point.
    """
    if expression_map is None:
        return {}
    points = expression_map.points
    (left, bottom), (right, top) = points.min(0), points.max(0)
    margin = 0.04 * max(right - left, top - bottom)
    groups = [
        {"name": name, "points": own.round(2).tolist(), "centre": np.median(own, 0).round(2).tolist()}
        for index, name in enumerate(expression_map.expressions)
        if len(own := points[expression_map.labels == index])
    ]
    bounds = np.array([left - margin, bottom - margin, right + margin, top + margin]).round(2).tolist()
    marked = [
        {"name": name, "point": np.clip(point, bounds[:2], bounds[2:]).tolist()}
        for name, point in marks
        if point is not None
    ]
    photos = {"range": bounds, "groups": groups}
    return {"photos": photos, "marks": marked, "chosen": chosen, "stamp": _unique_stamp()}


def sliders_view(value: dict | None = None, **settings) -> gr.HTML:
    """Groups of sliders. Its value is `sliders_data`. The events `input`, while a slider moves, and `select`, when it
    is released, have the `values` of all moved sliders by name."""
    return _view("sliders", value, **settings)


def sliders_data(groups: list[dict], start: dict[str, float], moved: dict[str, float]) -> dict:
    """
    The value of a view of sliders. Empty without groups.

    Args:
        groups: each with `name` and `sliders`. A slider has `name`, `label`, `range` (lowest, highest, step), `unit`.
        start: the value at which each slider starts.
        moved: the values of those that are moved.
    """
    if not groups:
        return {}
    start = {name: round(value, 3) for name, value in start.items()}
    return {"groups": groups, "start": start, "moved": moved, "stamp": _unique_stamp()}


def score_tables(faces: list[dict]) -> str:
    """HTML with the scores of every face as bars, and its strongest blendshapes if they were read. `faces` is the
    answer of `recognize_faces`."""
    tables = []
    for number, face in enumerate(faces, 1):
        name = f"Face {number}: " if len(faces) > 1 else ""
        best = face["scores"][0]["label"]
        rows = []
        for entry in sorted(face["scores"], key=lambda entry: entry["label"]):
            kind = ' class="is-best"' if entry["label"] == best else ""
            rows.append(_bar_row(entry["label"], entry["score"], kind))
        tables.append(f"<table><caption>{name}{escape(best)}</caption><tbody>{''.join(rows)}</tbody></table>")
    return f'<div class="scores" role="status">{"".join(tables)}</div>{blendshape_tables(faces)}'


def blendshape_tables(faces: list[dict]) -> str:
    """HTML with the strongest blendshapes of every face as bars, and its gaze. Empty if none were read."""
    tables = []
    for number, face in enumerate(faces, 1):
        if not (values := face.get("blendshapes")):
            continue
        name = f"Face {number}, " if len(faces) > 1 else ""
        rows = [_bar_row(*pair) for pair in strongest_blendshapes(values, MOST_BLENDSHAPES).items()]
        title = "strongest blendshapes" if rows else "no strong blendshapes"
        caption = name + ", ".join([title, *filter(None, [describe_gaze(values)])])
        caption = caption[0].upper() + caption[1:]
        tables.append(f"<table><caption>{caption}</caption><tbody>{''.join(rows)}</tbody></table>")
    return f'<div class="scores blendshapes">{"".join(tables)}</div>' if tables else ""


def _bar_row(name: str, share: float, kind: str = "") -> str:
    bar = f'<span class="bar" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></span>'
    return f"<tr{kind}><th scope=row>{escape(name)}</th><td>{bar}</td><td>{100 * share:.0f} %</td></tr>"


def labelled_picture(photo: Image.Image, faces: list[dict], side: int) -> str:
    """
    HTML with the photo, and a box and a label on every face.

    Args:
        faces: the answer of `recognize_faces`.
        side: longest side of the picture in pixels.
    """
    scale = min(1.0, side / max(photo.size))
    picture = photo.resize(
        (max(1, round(photo.width * scale)), max(1, round(photo.height * scale))), Image.Resampling.BILINEAR
    )
    draw = ImageDraw.Draw(picture)
    text_height = max(11, round(0.028 * max(picture.size)))
    font, line = ImageFont.load_default(size=text_height), max(2, text_height // 6)
    for number, face in enumerate(faces, 1):
        left, top, right, bottom = (value * scale for value in face["box"])
        best = face["scores"][0]
        label = f"{number}  " * (len(faces) > 1) + f"{best['label']} {100 * best['score']:.0f} %"
        draw.rectangle((left, top, right, bottom), outline="#ffffff", width=line + 2)
        draw.rectangle((left, top, right, bottom), outline="#4f46e5", width=line)
        width = draw.textlength(label, font)
        x = min(max(0, left), max(0, picture.width - width - 8))
        y = top - text_height - 8 if top > text_height + 8 else min(bottom, picture.height - text_height - 8)
        draw.rectangle((x, y, x + width + 8, y + text_height + 8), fill="#4f46e5")
        draw.text((x + 4, y + 2), label, fill="white", font=font)
    names = ", ".join(f"face {number}: {face['scores'][0]['label']}" for number, face in enumerate(faces, 1))
    return (
        f'<div class="picture"><img src="{as_data_url(picture)}" alt="Your photo with boxes. {escape(names)}"></div>'
    )


def _unique_stamp() -> int:
    # A click changes the choice on the page at once. Gradio would not send an unchanged value to change it back.
    return time.monotonic_ns()


def _view(script: str, value: dict | None, template: str | None = None, **settings) -> gr.HTML:
    # The page in the browser is built from the same files, see web/build.mjs.
    markup = (STATIC / f"{template or script}.html").read_text(encoding="utf-8")
    code = (STATIC / f"{script}.js").read_text(encoding="utf-8")
    return gr.HTML(value, html_template=markup, js_on_load=code, apply_default_css=False, **settings)
