"""The FER tab: recognise the expression of every face of a photo, a webcam or a clip."""

import csv
from html import escape

import gradio as gr
import pandas as pd
from PIL import Image

from ..model.blendshapes_tergan import strongest_blendshapes
from ..model.errors_tergan import NoFaceFoundError
from ..model.pipeline_tergan import TerGanPipeline
from . import limits
from .components import (
    LONG,
    PRIVATE,
    RECOGNITION,
    clip_input,
    example_row,
    new_file,
    photo_input,
    require_input,
    with_error_messages,
)
from .edit_session import PREVIEW_SIDE
from .examples import example_clip, example_expressions, example_photos, expression_captions
from .inputs import WebcamFrame, open_frame
from .models import Models
from .server import visitor_has_left
from .views import labelled_picture, map_data, map_view, score_tables
from .zero_gpu import CLIP_SECONDS, ON_ZERO_GPU


NOTE = (
    "A label describes what a face **shows** in this picture, as learnt from posed and noisily labelled photos. It "
    "does not say what a person **feels**, thinks or intends. The same face means different things in different "
    "places, and errors are common (*About* has the measured numbers). Do not judge anybody by it."
)
PROMPT = '<p class="view-message" role="status">Add a photo: the faces appear here.</p>'
LIVE_SIDE = 480  # longest side in pixels of a webcam picture
MOST_CURVES = 6  # blendshapes in the plot of a clip
STREAM_EVERY = 0.4  # seconds


def build(models: Models, model_name: gr.Textbox):
    """Build the tab in the current Blocks context. `model_name` holds the chosen model's name."""

    def recognize_picture(model, photo: Image.Image, side: int):
        session = models[model]
        faces = recognize_faces(session.pipe, photo)[: limits.MAX_FACES]
        names = ["your photo"] if len(faces) == 1 else [f"face {number}" for number in range(1, len(faces) + 1)]
        marks = [] if session.expression_map is None else [
            (name, session.locate(face["embedding"])) for name, face in zip(names, faces)
        ]  # fmt: skip
        return labelled_picture(photo, faces, side), score_tables(faces), map_data(session.expression_map, marks)

    def recognize_photo(model, path):
        if path is None:
            return PROMPT, "", map_data(models[model].expression_map)
        with models[model].open_photo(path, "your photo") as photo:
            return recognize_picture(model, photo, PREVIEW_SIDE)

    def recognize_frame(model, content: bytes | str | None):
        if content is None:
            return gr.skip(), gr.skip(), gr.skip()
        frame = open_frame(content)
        frame.thumbnail((LIVE_SIDE, LIVE_SIDE))
        try:
            return recognize_picture(model, frame, LIVE_SIDE)
        except NoFaceFoundError:
            text = "No face was found. Look at the camera, in good light."
            return f'<p class="view-message">{text}</p>', "", gr.skip()

    def recognize_clip(model, clip, progress=gr.Progress(track_tqdm=True)):
        require_input(clip, "a clip")
        limits.check_clip(clip)
        allowance, pipe = limits.Allowance(visitor_has_left()), models[model].pipe
        names = pipe.blendshape_names
        timeline = pipe.recognize_video(
            clip, each=lambda _: allowance(), limits=limits.CLIP_LIMITS, blendshapes=bool(names)
        )
        path = write_timeline(timeline, pipe.labels, names, limits.file_stem(clip))
        with_face = [entry for entry in timeline if entry["scores"]]
        shares = pd.Series([entry["scores"][0]["label"] for entry in with_face]).value_counts(normalize=True)
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        text = f"{len(timeline)} frames, {len(with_face)} with a face. Most likely label in those frames: {shares}."
        moves = gr.update(value=blendshape_frame(timeline) if names else None, visible=bool(names))
        return text, timeline_frame(timeline), moves, gr.update(value=path, interactive=True)

    gr.Markdown(NOTE)
    with gr.Tabs():
        with gr.Tab("Photo", id="fer-photo-tab"):
            first_path = None if ON_ZERO_GPU else next(iter(example_photos("happiness")), None)
            first_picture, first_scores, first_map = recognize_photo(None, first_path)
            with gr.Row():
                with gr.Column(min_width=280):
                    image = photo_input(value=first_path, label="Your photo", height=280, elem_id="fer-image")
                    expression_map = map_view(first_map, elem_id="fer-map")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    picture = gr.HTML(first_picture, elem_id="fer-picture", apply_default_css=False)
                    scores = gr.HTML(first_scores, elem_id="fer-answer", apply_default_css=False)
            photos = example_photos() + example_expressions()
            example_row("Examples", photos, expression_captions(photos), image, elem_id="fer-examples")
        with gr.Tab("Webcam", id="fer-webcam-tab"):
            gr.Markdown("Start the webcam, then press record. Each picture is discarded after recognition.")
            with gr.Row():
                with gr.Column(min_width=280):
                    webcam = WebcamFrame(
                        sources=["webcam"], streaming=True, type="filepath", label="Webcam", height=280, buttons=[],
                        elem_id="fer-webcam",
                    )  # fmt: skip
                    live_map = map_view(map_data(models[None].expression_map), elem_id="fer-live-map")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    live_picture = gr.HTML(elem_id="fer-live-picture", apply_default_css=False)
                    live_scores = gr.HTML(elem_id="fer-live-answer", apply_default_css=False)
        with gr.Tab("Video", id="fer-video-tab"):
            gr.Markdown(f"Follows the largest face of the first frame. Up to {limits.MAX_CLIP_SECONDS} seconds.")
            with gr.Row():
                clip = clip_input(label="Clip", elem_id="fer-clip")
                with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
                    plot = gr.LinePlot(
                        x="seconds", y="score", color="expression", y_lim=[0, 1], height=280,
                        title="Scores over time", tooltip="all", buttons=[], elem_id="fer-plot",
                    )  # fmt: skip
                    moves = gr.LinePlot(
                        x="seconds", y="weight", color="blendshape", y_lim=[0, 1], height=280, visible=False,
                        title="Strongest blendshapes over time", tooltip="all", buttons=[], elem_id="fer-blendshapes",
                    )  # fmt: skip
                    summary = gr.Markdown(elem_id="fer-summary")
                    table = gr.DownloadButton("Download as CSV", interactive=False, elem_id="fer-csv")
            with gr.Row():
                use_example_clip = gr.Button(
                    "Use the example clip", visible=example_clip() is not None, elem_id="fer-example-clip"
                )
                run = gr.Button("Recognise the expressions", variant="primary", elem_id="fer-run-clip")

    recognizing_photo = with_error_messages(recognize_photo, _message_outputs)
    outputs, quiet = [picture, scores, expression_map], {"show_progress": "minimal", **PRIVATE}
    image.change(recognizing_photo, [model_name, image], outputs, **RECOGNITION, **quiet)
    model_name.change(recognizing_photo, [model_name, image], outputs, **RECOGNITION, **quiet)
    webcam.stream(
        with_error_messages(recognize_frame, _message_outputs), [model_name, webcam],
        [live_picture, live_scores, live_map], stream_every=STREAM_EVERY, time_limit=limits.STREAM_SECONDS,
        concurrency_limit=4, concurrency_id="webcam", show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    use_example_clip.click(example_clip, None, clip, **PRIVATE)
    recognizing_clip = with_error_messages(
        recognize_clip,
        lambda message: (message, None, gr.update(value=None, visible=False), gr.update(interactive=False)),
        gpu_seconds=CLIP_SECONDS,
    )
    run.click(recognizing_clip, [model_name, clip], [summary, plot, moves, table], **LONG, **PRIVATE)


def recognize_faces(pipe: TerGanPipeline, photo: Image.Image) -> list[dict]:
    """The answer of `TerGanPipeline.recognize_faces`, with blendshapes if the model reads them."""
    return pipe.recognize_faces(photo, blendshapes=bool(pipe.blendshape_names))


def blendshape_frame(timeline: list[dict]) -> pd.DataFrame:
    """A table for the plot, with one row per frame and blendshape, of those that are strongest at their peak."""
    seen = [entry for entry in timeline if entry["blendshapes"]]
    peaks = {
        name: max(entry["blendshapes"][name] for entry in seen) for name in (seen[0]["blendshapes"] if seen else ())
    }
    rows = [
        {"seconds": round(entry["time"], 3), "blendshape": name, "weight": round(entry["blendshapes"][name], 4)}
        for name in strongest_blendshapes(peaks, MOST_CURVES)
        for entry in seen
    ]
    return pd.DataFrame(rows, columns=["seconds", "blendshape", "weight"])


def timeline_frame(timeline: list[dict]) -> pd.DataFrame:
    """A table for the plot, with one row per frame and expression."""
    rows = [
        {"seconds": round(entry["time"], 3), "expression": score["label"], "score": round(score["score"], 4)}
        for entry in timeline
        for score in entry["scores"] or []
    ]
    return pd.DataFrame(rows, columns=["seconds", "expression", "score"])


def write_timeline(timeline: list[dict], labels: list[str], blendshapes: list[str], name: str) -> str:
    """
    Write a CSV file with one row per frame and one column per expression and blendshape. They are empty where no face
    is found.

    Args:
        labels: the expressions. blendshapes: names of those that were read. name: of the clip.

    Returns:
        path of the file.
    """
    path = new_file(f"{name}_expressions.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", "expression", *labels, *blendshapes])
        for entry in timeline:
            scores = {score["label"]: f"{score['score']:.4f}" for score in entry["scores"] or []}
            best = entry["scores"][0]["label"] if scores else ""
            values = {key: f"{value:.4f}" for key, value in (entry.get("blendshapes") or {}).items()}
            cells = [scores.get(label, "") for label in labels] + [values.get(key, "") for key in blendshapes]
            writer.writerow([f"{entry['time']:.3f}", best, *cells])
    return str(path)


def _message_outputs(message: str):
    return f'<p class="view-message" role="status">{escape(message)}</p>', "", {"marks": []}
