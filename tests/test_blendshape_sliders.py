"""The handlers of the sliders in the Editing tab, called as the page calls them."""

import copy
import json
import math
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.demo.blendshape_sliders import show_photo, slider_regions, starts_from_neutral
from tergan_hf.demo.edit_session import EditSession

from .app_handlers import built_app, handlers_of, shows_sliders
from .conftest import NEUTRAL, SMILING


@pytest.fixture(scope="module")
def session(settable_pipeline):
    return EditSession("settable", settable_pipeline)


@pytest.fixture(scope="module")
def photo(session):
    return session.encode_photo(session.find_faces(NEUTRAL, "your photo"))


@pytest.fixture(scope="module")
def app(settable_pipeline, tmp_path_factory):
    with built_app(settable_pipeline, "settable", tmp_path_factory.mktemp("gradio")) as built:
        yield built


@pytest.fixture(scope="module")
def handlers(app):
    return handlers_of(app)


def event(values) -> gr.EventData:
    return gr.EventData(None, {"values": values})


def test_the_section_is_shown_for_models_that_set_blendshapes(app):
    assert shows_sliders(app)


def test_every_blendshape_that_can_be_set_has_one_slider(session):
    sliders = [slider for region in slider_regions(session.settable_blendshapes) for slider in region["sliders"]]
    assert sorted(slider["name"] for slider in sliders) == sorted(session.settable_blendshapes)
    assert len({slider["label"] for slider in sliders}) == len(sliders)
    for slider in sliders:
        assert ("Left" in slider["label"]) == slider["name"].endswith("Left") or "to the left" in slider["label"]
        assert tuple(slider["range"][:2]) == session.pipe.editable_names[slider["name"]]
    assert [region["name"] for region in slider_regions(["jawOpen", "gazeX"])] == ["Gaze", "Jaw"]


def test_sliders_start_at_what_the_photo_or_the_neutral_face_shows(session, photo):
    model, names = session.pipe.model, session.pipe.blendshape_names
    happy = session.label_expression("happiness")
    from_neutral = session.named_expression({"neutral": 1, "jawOpen": 1})
    prototype = model.expression_prototypes[session.pipe.labels.index("neutral")][None]
    for expression, embedding, moved in (
        (happy, photo.target.expression_embedding, {}),
        (from_neutral, prototype, {"jawOpen": 1.0}),
    ):
        data = show_photo(session, photo, expression)
        with torch.no_grad():
            read = dict(zip(names, model.regress_blendshapes(embedding)[0].tolist()))
        assert data["start"] == pytest.approx(read, abs=1e-3) and data["moved"] == moved
    assert starts_from_neutral(from_neutral) and not starts_from_neutral(happy)
    assert show_photo(session, None, happy) == {}


def test_an_old_model_shows_no_sliders(embedded_pipeline):
    model = copy.deepcopy(embedded_pipeline.model)
    model.blendshape_directions.zero_()
    session = EditSession("ter-gan", TerGanPipeline(model, embedded_pipeline.image_processor))
    assert not session.settable_blendshapes
    encoded = session.encode_photo(session.find_faces(NEUTRAL, "your photo"))
    assert show_photo(session, encoded, session.label_expression("anger")) == {}


def test_the_page_draws_what_the_pipeline_makes_of_the_same_request(session, photo):
    values = {"neutral": 0.5, "jawOpen": 1.0, "gazeX": -10.0}
    drawn = session.draw_full_size(photo, session.named_expression(values), 0.8)
    made = session.pipe.edit(NEUTRAL, values, intensity=0.8, test_time_augmentation=False)
    assert np.abs(np.asarray(drawn, int) - np.asarray(made, int)).max() <= 1
    untouched = session.draw_full_size(photo, session.named_expression({}), 1.0)
    assert np.abs(np.asarray(untouched, int) - np.asarray(Image.open(NEUTRAL), int)).max() <= 1


def test_what_is_set_stays_for_another_photo(session, photo):
    other = session.encode_photo(session.find_faces(SMILING, "your photo"))
    expression = session.named_expression({"jawOpen": 1.0})
    column = session.pipe.blendshape_names.index("jawOpen")
    for encoded in (photo, other):
        embedding = torch.from_numpy(session.embedding_of(encoded, expression))[None]
        with torch.no_grad():
            assert session.pipe.model.blendshape_regressor(embedding)[0, column] == pytest.approx(1, abs=1e-2)
    with torch.no_grad():
        assert not np.allclose(session.embedding_of(photo, expression), session.embedding_of(other, expression))


def test_controls_set_the_expression(handlers):
    expression, label = handlers["move"](None, None, event({"jawOpen": 0.5, "gazeX": 5}))
    assert label is None and expression.request.blendshapes == {"jawOpen": 0.5, "gazeX": 5.0}
    expression, _ = handlers["toggle_neutral"](None, expression, True)
    assert expression.request.labels == {"neutral": 1.0} and expression.request.blendshapes["jawOpen"] == 0.5
    expression, _ = handlers["move"](None, expression, event({"jawOpen": 0.7}))
    assert expression.request.labels == {"neutral": 1.0} and expression.request.blendshapes == {"jawOpen": 0.7}
    expression, _ = handlers["toggle_neutral"](None, expression, False)
    assert expression.request.labels == {}
    expression, _ = handlers["reset"](None)
    assert expression.request.labels == expression.request.blendshapes == {}


@pytest.mark.parametrize(
    "values",
    [
        None, [], "jawOpen", {"jawOpen": math.nan}, {"jawOpen": "1"}, {"jawOpen": 9}, {"nothing": 1}, {"gazeX": -46},
        {"eyeLookUpLeft": 1}, {str(number): 0 for number in range(1000)},
    ],
)  # fmt: skip
def test_awkward_values_get_a_message(handlers, values):
    with pytest.raises(gr.Error) as error:
        handlers["move"](None, None, event(values))
    assert "on our side" not in str(error.value) and "editable_names" not in str(error.value)


def test_presets_are_saved_and_loaded(handlers, tmp_path):
    expression, _ = handlers["move"](None, None, event({"jawOpen": 0.123456, "mouthSmileLeft": 1}))
    expression, _ = handlers["toggle_neutral"](None, expression, True)
    path = handlers["save_preset"](expression)
    assert path.endswith("preset.json")
    assert json.loads(Path(path).read_text()) == {"neutral": 1, "jawOpen": 0.1235, "mouthSmileLeft": 1}
    loaded, label = handlers["load_preset"](None, path)
    assert label is None and loaded.request.labels == {"neutral": 1.0}
    assert loaded.request.blendshapes == {"jawOpen": 0.1235, "mouthSmileLeft": 1.0}
    with pytest.raises(gr.Error, match="Move a slider first"):
        handlers["save_preset"](handlers["reset"](None)[0])
    no_object = "The preset must be a JSON object"
    for content, message in (
        (b"[1]", no_object), (b"\xff", no_object), (b"[" * 90_000, no_object),
        (b'{"jawOpne": 1}', "Did you mean jawOpen?"), (b'{"jawOpen": 7}', "jawOpen must be a number from 0 to 1.2"),
    ):  # fmt: skip
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(gr.Error, match=message) as error:
            handlers["load_preset"](None, str(tmp_path / "bad.json"))
        assert str(tmp_path) not in str(error.value)
