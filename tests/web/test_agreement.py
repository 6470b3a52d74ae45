"""The page's engine gives the results of the Python package."""

import functools
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tergan_hf.demo.face_regions import scale_parts
from tergan_hf.model.face_alignment_tergan import crop_face
from tergan_hf.model.face_tracking_tergan import OneEuroFilter

from ..conftest import NEUTRAL, SMILING
from ..pictures import decibels, encoded
from ..test_photo_files import display_p3
from .visitor import call_with, opened


def photos() -> dict[str, Image.Image]:
    face = Image.open(NEUTRAL).convert("RGB")
    return {
        "upright": face,
        "lying": face.transpose(Image.Transpose.ROTATE_90),
        "rolled": face.rotate(20, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90)),
        "dark": ImageEnhance.Brightness(face).enhance(0.3),
        "small": face.resize((150, 150), Image.Resampling.LANCZOS),
        "large": Image.open(SMILING).convert("RGB").resize((1300, 1300)),
    }


def edited(page, photo: bytes, expression, kind="image/png", **settings) -> bytes:
    """The file of a photo with an expression, made by the page."""
    call_with(page, photo, "openPhoto", "tested", "FILE", "photo")
    return call_with(page, None, "download", "tested", expression, settings, kind)


@pytest.mark.parametrize("name", list(photos()))
def test_the_browser_gives_pythons_results(page, pipe, name):
    photo = photos()[name]
    data = encoded(photo)
    [face, *_] = pipe.faces(photo)
    found = call_with(page, data, "openPhoto", "tested", "FILE", "photo")
    np.testing.assert_allclose(found["faces"][0]["landmarks"], face.landmarks, atol=0.05)
    np.testing.assert_allclose(found["faces"][0]["box"], face.box, atol=0.05)
    result = opened(edited(page, data, {"label": "surprise"}, intensity=0.8))
    expected = pipe.edit(photo, "surprise", intensity=0.8, test_time_augmentation=False)
    assert decibels(expected, photo) < 35  # the edit is no small one
    assert decibels(result, expected) > 40
    crops = [crop_face(image, face.crop_transform, 96) for image in (result, expected)]
    assert decibels(*crops) > 40
    read = call_with(page, data, "recognize", "FILE", "photo")["faces"][0]
    [answer] = pipe.recognize_faces(photo, blendshapes=True)
    scores = {entry["label"]: entry["score"] for entry in answer["scores"]}
    assert read["scores"] == pytest.approx(scores, abs=0.01)
    assert max(read["scores"], key=read["scores"].get) == answer["scores"][0]["label"]
    assert read["blendshapes"].keys() == answer["blendshapes"].keys()
    for key, value in answer["blendshapes"].items():
        assert read["blendshapes"][key] == pytest.approx(value, abs=0.5 if "gaze" in key else 0.02), key  # degrees


@functools.cache
def special_files() -> dict[str, bytes]:
    face = Image.open(NEUTRAL).convert("RGB").resize((400, 400))
    ways = {1: None, 5: "TRANSPOSE", 6: "ROTATE_90", 8: "ROTATE_270"}  # EXIF orientation → its inverse
    files = {}
    for orientation, way in ways.items():
        exif = Image.Exif()
        exif[274] = orientation
        turned = face.transpose(getattr(Image.Transpose, way)) if way else face
        files[f"orientation {orientation}"] = encoded(turned, "JPEG", exif=exif, quality=95)
    clear = face.copy()
    clear.putalpha(Image.linear_gradient("L").resize(face.size).point(lambda value: 100 + value // 2))
    files["alpha"] = encoded(clear)
    files["Display P3"] = encoded(face, icc_profile=display_p3())
    files["Display P3 JPEG"] = encoded(face, "JPEG", icc_profile=display_p3(), quality=95)
    return files


@pytest.mark.parametrize("name", list(special_files()))
def test_a_file_is_read_as_in_python(page, pipe, name):
    data = special_files()[name]
    expected = pipe.edit(io.BytesIO(data), "surprise", test_time_augmentation=False)
    found = edited(page, data, {"label": "surprise"}, intensity=1)
    assert opened(found).size == expected.size
    assert decibels(opened(found), expected) > 40
    as_jpeg = call_with(page, None, "download", "tested", {"label": "surprise"}, {"intensity": 1}, "image/jpeg")
    profile = Image.open(io.BytesIO(data)).info.get("icc_profile")
    for file in (found, as_jpeg):
        # Without a profile of the photo, a browser may state sRGB in its own way.
        assert profile in (None, Image.open(io.BytesIO(file)).info.get("icc_profile"))
        assert file.count(b"iCCP") + file.count(b"ICC_PROFILE\0") <= 1


def test_the_browser_sets_the_blendshapes_that_python_sets(page, pipe):
    photo, labels = Image.open(NEUTRAL).convert("RGB"), {"neutral": 0.5}
    values = {"jawOpen": 0.9, "eyeBlinkLeft": 0.8, "gazeX": -12}
    wanted = {"labels": labels, "values": values, "of": "tested"}
    expected = pipe.edit(photo, {**labels, **values}, test_time_augmentation=False)
    assert decibels(expected, photo) < 35  # the edit is no small one
    assert decibels(opened(edited(page, encoded(photo), wanted, intensity=1)), expected) > 35


@torch.inference_mode()
def test_brows_eyes_and_mouth_are_scaled_as_in_python(page, pipe):
    photo, parts = Image.open(NEUTRAL).convert("RGB"), {"brows": 0.2, "eyes": 1.4, "mouth": 0.6}
    frame = pipe.cut_out(photo, pipe.faces(photo)[0].crop_transform)
    wanted = pipe.model.expression_prototypes[pipe.labels.index("surprise")][None]
    change = pipe.model.change(wanted, pipe.pixel_values([frame]))
    whole, expected = (pipe.paste(frame, one, 0) for one in (change, scale_parts(change, **parts)))
    assert decibels(whole, expected) < 35  # the parts matter
    assert decibels(opened(edited(page, encoded(photo), {"label": "surprise"}, parts=parts)), expected) > 40


def test_places_on_the_map_are_those_of_python(page, expression_map):
    points = [[0.3, -0.4], [-1.5, 0.2], [9.0, 9.0]]
    embeddings = np.random.default_rng(3).normal(size=(3, len(expression_map.mean)))
    found = page.evaluate(
        """async ([points, embeddings]) => {
          const { ExpressionMap } = await import("/src/engine/expression-map.js");
          const { readSafetensors } = await import("/src/engine/safetensors.js");
          const load = (name) => fetch(`/model/${name}`);
          const tables = readSafetensors(await (await load("tables.safetensors")).arrayBuffer());
          const map = new ExpressionMap(tables, await (await load("model.json")).json());
          const expressions = points.map((point) => Array.from(map.expressionAt(point)));
          return { expressions, places: embeddings.map((embedding) => Array.from(map.locate(embedding))) };
        }""",
        [points, embeddings.tolist()],
    )
    np.testing.assert_allclose(found["expressions"], list(map(expression_map.expression_at, points)), atol=1e-4)
    np.testing.assert_allclose(found["places"], expression_map.locate(embeddings), atol=1e-4)


def test_the_filter_smooths_as_in_python(page):
    random = np.random.default_rng(4)
    values, intervals = random.normal(size=(20, 5, 2)).cumsum(0), random.uniform(0.02, 0.2, 20)
    smooth = OneEuroFilter(1.5, 0.7, 0.4)
    expected = [smooth(value, interval) for value, interval in zip(values, intervals)]
    found = page.evaluate(
        """async ([values, intervals]) => {
          const { OneEuroFilter } = await import("/src/engine/tracking.js");
          const filter = new OneEuroFilter(1.5, 0.7, 0.4);
          return values.map((value, k) => filter.smooth(value, intervals[k]).map((vector) => Array.from(vector)));
        }""",
        [values.tolist(), intervals.tolist()],
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)
