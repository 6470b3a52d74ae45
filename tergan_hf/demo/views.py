"""What Gradio has no component for: before and after in one picture, rows of small pictures, the expression map,
scores of several faces. Pictures travel as data, so that nothing is left on the server's disk."""

import time
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..evaluation.expression_map import ExpressionMap
from .edit_session import FacesOfPhoto, as_data_url


STATIC = Path(__file__).parent / "static"
STYLE = STATIC / "style.css"
KEYS = STATIC / "keys.js"
COMPARE = """
<p class="view-message" role="status" hidden></p>
<div class="compare-stage" hidden>
  <img class="compare-before" alt="The photo before"><img class="compare-after" alt="">
  <span class="compare-name is-before">before</span><span class="compare-name is-after">after</span>
  <span class="compare-grip" aria-hidden="true">◂ ▸</span>
  <input type="range" min="0" max="100" value="12" aria-label="How much of the photo is shown as it was">
</div>
"""
ROW = '<div class="picture-row" hidden><p class="row-title"></p><ul></ul></div>'
MAP = """
<div class="map {kind}" hidden>
  <svg viewBox="0 0 400 400" {role}>
    <g class="map-dots"></g><g class="map-names"></g><g class="map-marks"></g>
  </svg>
  <p class="map-help">{help}</p>
</div>
"""
MAP_SHOWN = 'role="img" aria-label="Expression map: training photos by the expression they show, and your faces"'
MAP_PICKED = (
    'role="application" tabindex="0" aria-label="Expression map: training photos by the expression they show. The '
    'arrow keys move the place, with the shift key in larger steps"'
)


def compare_view(value: dict | None = None, **settings) -> gr.HTML:
    """Before and after; its value is what `compared` gives."""
    return gr.HTML(value, html_template=COMPARE, js_on_load=_script("compare"), apply_default_css=False, **settings)


def compared(before: Image.Image | None, after: Image.Image, alt: str, mark: bool) -> dict:
    """For a compare view; without `before` the one it has stays."""
    shown = {"after": as_data_url(after, mark), "alt": f"Synthetic photo: {alt}"}
    return shown if before is None else {**shown, "before": as_data_url(before)}


def told(message: str) -> dict:
    """A compare view that shows a message."""
    return {"message": message}


def picture_row(value: dict | None = None, **settings) -> gr.HTML:
    """Small pictures as buttons; `select` says the `index`. Its value is what `row_of` gives."""
    return gr.HTML(value, html_template=ROW, js_on_load=_script("row"), apply_default_css=False, **settings)


def row_of(title: str, pictures: list[Image.Image], captions: list[str], chosen: int | None = None) -> dict:
    """
    For a picture row.

    Args:
        chosen: which picture is the chosen one, -1 for none yet; without it, none ever is, the buttons only act.
    """
    items = [{"picture": as_data_url(p, quality=80), "caption": c} for p, c in zip(pictures, captions)]
    return {"title": title, "items": items, "chosen": chosen, "made": _never_the_same()}


def row_of_faces(photo: FacesOfPhoto | None) -> dict:
    """The faces of a photo to choose from, where there are several."""
    if photo is None or not photo.thumbnails:
        return {}
    captions = [f"Face {number}" for number in range(1, len(photo.thumbnails) + 1)]
    return row_of(
        "Several faces: click the one you mean, here or in the photo", photo.thumbnails, captions, photo.chosen
    )


def map_view(value: dict | None = None, pickable: bool = False, **settings) -> gr.HTML:
    """The expression map. Where it is pickable, `input` and, at the end of a drag, `select` say `x` and `y`."""
    kind, role = ("is-pickable", MAP_PICKED) if pickable else ("", MAP_SHOWN)
    text = "Each dot is a training photo. " + (
        "Click, drag, or use the arrow keys to pick an expression anywhere between them." if pickable else ""
    )
    return gr.HTML(
        value, html_template=MAP.format(kind=kind, role=role, help=text), js_on_load=_script("map"),
        apply_default_css=False, pickable=pickable, **settings,
    )  # fmt: skip


def mapped(expression_map: ExpressionMap | None, marks: list[tuple[str, list[float]]] = (), chosen=None) -> dict:
    """
    For a map view; an empty one where there is no map.

    Args:
        marks: names and places of faces. chosen: the picked place.
    """
    if expression_map is None:
        return {}
    places = expression_map.places
    (left, bottom), (right, top) = places.min(0), places.max(0)
    room = 0.04 * max(right - left, top - bottom)
    groups = [
        {"name": name, "places": found.round(2).tolist(), "middle": np.median(found, 0).round(2).tolist()}
        for index, name in enumerate(expression_map.expressions)
        if len(found := places[expression_map.labels == index])
    ]
    limits = np.array([left - room, bottom - room, right + room, top + room]).round(2).tolist()
    shown = [{"name": name, "place": np.clip(place, limits[:2], limits[2:]).tolist()} for name, place in marks]
    return {"points": {"range": limits, "groups": groups}, "marks": shown, "chosen": chosen, "made": _never_the_same()}


def score_tables(faces: list[dict]) -> str:
    """HTML: the bars of every face, `recognize_faces`'s answers."""
    tables = []
    for number, face in enumerate(faces, 1):
        name = f"Face {number}: " if len(faces) > 1 else ""
        best = face["scores"][0]["label"]
        rows = []
        for entry in sorted(face["scores"], key=lambda entry: entry["label"]):
            kind = ' class="is-best"' if entry["label"] == best else ""
            share = f"{100 * entry['score']:.0f} %"
            bar = f'<span class="bar" aria-hidden="true"><i style="width:{100 * entry["score"]:.1f}%"></i></span>'
            rows.append(f"<tr{kind}><th scope=row>{escape(entry['label'])}</th><td>{bar}</td><td>{share}</td></tr>")
        tables.append(f"<table><caption>{name}{escape(best)}</caption><tbody>{''.join(rows)}</tbody></table>")
    return f'<div class="scores" role="status">{"".join(tables)}</div>'


def labelled_picture(photo: Image.Image, faces: list[dict], side: int) -> str:
    """HTML: the photo with a box and a label on every face."""
    scale = min(1.0, side / max(photo.size))
    shown = photo.resize(tuple(max(1, round(length * scale)) for length in photo.size), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(shown)
    text_height = max(11, round(0.028 * max(shown.size)))
    font, line = ImageFont.load_default(size=text_height), max(2, text_height // 6)
    for number, face in enumerate(faces, 1):
        left, top, right, bottom = (value * scale for value in face["box"])
        best = face["scores"][0]
        label = f"{number}  " * (len(faces) > 1) + f"{best['label']} {100 * best['score']:.0f} %"
        draw.rectangle((left, top, right, bottom), outline="#ffffff", width=line + 2)
        draw.rectangle((left, top, right, bottom), outline="#4f46e5", width=line)
        width = draw.textlength(label, font)
        x = min(max(0, left), max(0, shown.width - width - 8))
        y = top - text_height - 8 if top > text_height + 8 else min(bottom, shown.height - text_height - 8)
        draw.rectangle((x, y, x + width + 8, y + text_height + 8), fill="#4f46e5")
        draw.text((x + 4, y + 2), label, fill="white", font=font)
    names = ", ".join(f"face {number}: {face['scores'][0]['label']}" for number, face in enumerate(faces, 1))
    return f'<div class="picture"><img src="{as_data_url(shown)}" alt="Your photo with boxes. {escape(names)}"></div>'


def _never_the_same() -> int:
    # A click moves the choice on the page at once; a value equal to the last one would not move it back.
    return time.monotonic_ns()


def _script(name: str) -> str:
    return (STATIC / f"{name}.js").read_text(encoding="utf-8")
