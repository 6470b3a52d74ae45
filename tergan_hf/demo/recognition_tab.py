"""FER: which expression every face of a photo, a webcam or a clip shows."""

import csv

import gradio as gr
import pandas as pd
from PIL import Image

from ..model.errors_tergan import NoFaceFoundError
from . import limits
from .components import (
    LONG,
    PRIVATE,
    clip_input,
    example_row,
    new_file,
    photo_input,
    required,
    speaking_to_visitors,
)
from .edit_session import PREVIEW_SIDE
from .examples import captions_of, example_clip, example_expressions, example_photos
from .models import Models
from .views import labelled_picture, map_view, mapped, score_tables
from .zero_gpu import LENT


NOTE = (
    "A label describes what a face **shows** in this picture, by the habits of posed and noisily labelled photos. It "
    "does not say what a person **feels**, thinks or intends; the same face means different things in different "
    "places, and errors are common (the measured numbers are under *About*). Do not judge anybody by it."
)
ASK = '<p class="view-message" role="status">Add a photo: the faces appear here.</p>'
LIVE_SIDE = 480  # pixels of a webcam's picture that are looked at
STREAM_EVERY = 0.4  # seconds


def build(models: Models, chosen: gr.State):
    """Add the tab's contents to the Blocks context it is called in; `chosen` holds the model's name."""

    def look(model, photo: Image.Image, side: int):
        session = models[model]
        faces = session.pipe.recognize_faces(photo)[: limits.MAX_FACES]
        names = ["your photo"] if len(faces) == 1 else [f"face {number}" for number in range(1, len(faces) + 1)]
        marks = [] if session.expression_map is None else [
            (name, session.place_of(face["embedding"])) for name, face in zip(names, faces)
        ]  # fmt: skip
        return labelled_picture(photo, faces, side), score_tables(faces), mapped(session.expression_map, marks)

    def look_at_photo(model, path):
        if path is None:
            return ASK, "", mapped(models[model].expression_map)
        return look(model, models[model].read_photo(path, "your photo"), PREVIEW_SIDE)

    def look_at_frame(model, frame: Image.Image | None):
        if frame is None:
            return gr.skip(), gr.skip(), gr.skip()
        frame = frame.convert("RGB")
        frame.thumbnail((LIVE_SIDE, LIVE_SIDE))
        try:
            return look(model, frame, LIVE_SIDE)
        except NoFaceFoundError:
            text = "No face is seen. Look at the camera, in good light."
            return f'<p class="view-message">{text}</p>', "", gr.skip()

    def recognize(image):
        """For programs."""
        required(image, "a photo")
        photo = models[None].read_photo(image, "your photo")
        return [
            {
                "box": [round(value, 1) for value in face["box"]],
                "scores": {entry["label"]: round(entry["score"], 5) for entry in face["scores"]},
            }
            for face in models[None].pipe.recognize_faces(photo)
        ]

    def look_at_clip(model, clip, progress=gr.Progress(track_tqdm=True)):
        required(clip, "a clip")
        limits.check_clip(clip)
        allowance, pipe = limits.Allowance(), models[model].pipe
        timeline = pipe.recognize_video(clip, each=lambda entry: allowance())
        path = write_timeline(timeline, pipe.labels, limits.stem_of(clip))
        seen = [entry for entry in timeline if entry["scores"]]
        often = pd.Series([entry["scores"][0]["label"] for entry in seen]).value_counts(normalize=True)
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in often.items())
        text = f"{len(timeline)} frames, the face seen in {len(seen)}. Most likely label in those frames: {shares}."
        return text, timeline_frame(timeline), gr.update(value=path, interactive=True)

    gr.Markdown(NOTE)
    with gr.Tabs():
        with gr.Tab("Photo", id="fer-photo-tab"):
            first = None if LENT else next(iter(example_photos("happiness")), None)
            pictured, scored, placed = look_at_photo(None, first)
            with gr.Row():
                with gr.Column(min_width=280):
                    image = photo_input(value=first, label="Your photo", height=280, elem_id="fer-image")
                    map_shown = map_view(placed, elem_id="fer-map")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    picture = gr.HTML(pictured, elem_id="fer-picture", apply_default_css=False)
                    scores = gr.HTML(scored, elem_id="fer-answer", apply_default_css=False)
            photos = example_photos() + example_expressions()
            example_row("Examples", photos, captions_of(photos), image, elem_id="fer-examples")
        with gr.Tab("Webcam", id="fer-webcam-tab"):
            gr.Markdown("Start the webcam, then press record. The pictures are looked at and forgotten.")
            with gr.Row():
                with gr.Column(min_width=280):
                    webcam = gr.Image(
                        sources=["webcam"], streaming=True, type="pil", label="Webcam", height=280, buttons=[],
                        elem_id="fer-webcam",
                    )  # fmt: skip
                    live_map = map_view(mapped(models[None].expression_map), elem_id="fer-live-map")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    live_picture = gr.HTML(elem_id="fer-live-picture", apply_default_css=False)
                    live_scores = gr.HTML(elem_id="fer-live-answer", apply_default_css=False)
        with gr.Tab("Video", id="fer-video-tab"):
            gr.Markdown(f"The largest face of the first frame is followed. Up to {limits.MAX_CLIP_SECONDS} seconds.")
            with gr.Row():
                clip = clip_input(label="Clip", elem_id="fer-clip")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    plot = gr.LinePlot(
                        x="seconds", y="score", color="expression", y_lim=[0, 1], height=280,
                        title="Scores over time", tooltip="all", buttons=[], elem_id="fer-plot",
                    )  # fmt: skip
                    summary = gr.Markdown(elem_id="fer-summary")
                    table = gr.DownloadButton("Download as CSV", interactive=False, elem_id="fer-csv")
            with gr.Row():
                taking = gr.Button(
                    "Take the example clip", visible=example_clip() is not None, elem_id="fer-example-clip"
                )
                running = gr.Button("Recognise the expressions", variant="primary", elem_id="fer-run-clip")

    looking = speaking_to_visitors(look_at_photo, _said)
    outputs, quiet = [picture, scores, map_shown], {"show_progress": "minimal", **PRIVATE}
    image.change(looking, [chosen, image], outputs, **quiet)
    chosen.change(looking, [chosen, image], outputs, **quiet)
    webcam.stream(
        speaking_to_visitors(look_at_frame, _said), [chosen, webcam], [live_picture, live_scores, live_map],
        stream_every=STREAM_EVERY, time_limit=limits.STREAM_SECONDS, concurrency_limit=4, show_progress="hidden",
        **PRIVATE,
    )  # fmt: skip
    taking.click(example_clip, None, clip, **PRIVATE)
    looking_at_clip = speaking_to_visitors(look_at_clip, lambda message: (message, None, gr.update(interactive=False)))
    running.click(looking_at_clip, [chosen, clip], [summary, plot, table], **LONG, **PRIVATE)
    answers = gr.JSON(visible=False, label="faces")
    gr.Button(visible=False).click(
        speaking_to_visitors(recognize), image, answers, api_name="recognize",
        api_description="Every face of the photo, the largest first: box in pixels, a score for each expression.",
    )  # fmt: skip


def timeline_frame(timeline: list[dict]) -> pd.DataFrame:
    """For the plot: a row per frame and expression."""
    rows = [
        {"seconds": round(entry["time"], 3), "expression": score["label"], "score": round(score["score"], 4)}
        for entry in timeline
        for score in entry["scores"] or []
    ]
    return pd.DataFrame(rows, columns=["seconds", "expression", "score"])


def write_timeline(timeline: list[dict], labels: list[str], name: str) -> str:
    """A CSV file: a row per frame, a column per expression, empty where the face is not seen; returns its path."""
    path = new_file(f"{name}_expressions.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", "expression", *labels])
        for entry in timeline:
            scores = {score["label"]: f"{score['score']:.4f}" for score in entry["scores"] or []}
            best = entry["scores"][0]["label"] if scores else ""
            writer.writerow([f"{entry['time']:.3f}", best, *(scores.get(label, "") for label in labels)])
    return str(path)


def _said(message: str):
    return f'<p class="view-message" role="status">{message}</p>', "", {"marks": []}
