"""Editing by name: what may be asked for, and what the model, its pipelines and its files make of it."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from tergan_hf import TerGanForImageClassification, TerGanModel, TerGanPipeline
from tergan_hf.model.blendshapes_tergan import ARKIT_BLENDSHAPES, EYE_LOOK_NAMES, GAZE_NAMES
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.expression_requests_tergan import GAZE_DIRECTIONS, editable_ranges, parse_request
from tergan_hf.model.transfer_pipeline_tergan import FacialExpressionTransferPipeline
from tergan_hf.model.video_tergan import read_frames

from .conftest import NEUTRAL
from .tiny_models import pipeline_of, save_pipeline, tiny_model
from .video_clips import write_clip


NAMES = (*ARKIT_BLENDSHAPES, *GAZE_NAMES)
LABELS = ["anger", "happiness", "neutral"]
ONE_VIEW = {"detect": False, "paste_back": False, "test_time_augmentation": False}


@pytest.fixture(scope="module")
def crop():
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((32, 32), Image.Resampling.BILINEAR)


def differs(a, b) -> int:
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max()


# Requests


@pytest.mark.parametrize(
    ("given", "labels", "blendshapes"),
    [
        ({"jawOpen": 0.4}, {}, {"jawOpen": 0.4}),
        ({"mouthSmile": 1.2}, {}, {"mouthSmileLeft": 1.2, "mouthSmileRight": 1.2}),
        ({"mouthLeft": 1, "jawRight": 0.5}, {}, {"mouthLeft": 1.0, "jawRight": 0.5}),
        ({"gazeLeft": 20}, {}, {"gazeX": 20.0}),
        ({"gazeRight": 20, "gazeDown": 5}, {}, {"gazeX": -20.0, "gazeY": -5.0}),
        ({"gazeX": -45, "gazeY": np.float32(3)}, {}, {"gazeX": -45.0, "gazeY": 3.0}),
        ({" JAWOPEN ": 0, "Neutral": 1}, {"neutral": 1.0}, {"jawOpen": 0.0}),
        ({"anger": 0.3, "happiness": 0.7}, {"anger": 0.3, "happiness": 0.7}, {}),
        ({"eyeLookOutLeft": 0.4, "gazeX": 9, "gazeY": 0}, {}, {"gazeX": 9, "gazeY": 0}),
        ({"eyeLookOutLeft": 0.4, "gazeY": 0, "gazeLeft": 20}, {}, {"gazeX": 20, "gazeY": 0}),
    ],
)
def test_a_request_is_spelt_out_in_the_models_names(given, labels, blendshapes):
    request = parse_request(given, LABELS, NAMES)
    assert request.labels == labels and request.blendshapes == blendshapes
    values = dict(zip(NAMES, request.values(NAMES).tolist()))
    assert {name: value for name, value in values.items() if not math.isnan(value)} == pytest.approx(blendshapes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "at least one"),
        ({"jawOpne": 1}, "'jawOpne' is no known name. Did you mean jawOpen.* `pipe.editable_names` list all"),
        ({"happyness": 1}, "Did you mean happiness"),
        ({"xyzzy": 1}, "'xyzzy' is no known name. `tergan names`"),
        ({"jaw": 1}, "'jaw' is no known name"),
        ({5: 1}, "'5' is no known name"),
        ({"eyeLookOutLeft": 1}, "eyeLookOutLeft cannot be set.*gazeX and gazeY, or gazeLeft"),
        ({"jawOpen": 1.3}, "jawOpen must be a number from 0 to 1.2, got 1.3"),
        ({"jawOpen": -0.1}, "jawOpen must be"),
        ({"jawOpen": float("nan")}, "jawOpen must be a number from 0 to 1.2, got nan"),
        ({"jawOpen": float("inf")}, "jawOpen must be"),
        ({"jawOpen": True}, "jawOpen must be"),
        ({"jawOpen": "0.5"}, "jawOpen must be"),
        ({"jawOpen": None}, "jawOpen must be"),
        ({"gazeX": 46}, "gazeX must be a number from -45 to 45 degrees, got 46"),
        ({"gazeLeft": -1}, "gazeLeft must be a number from 0 to 45 degrees"),
        ({"neutral": 1.1}, "neutral must be a number from 0 to 1, got 1.1"),
        ({"mouthSmile": 0.5, "mouthSmileLeft": 1}, "mouthSmile and mouthSmileLeft both set mouthSmileLeft"),
        ({"gazeLeft": 5, "gazeRight": 5}, "gazeLeft and gazeRight both set gazeX"),
        ({"anger": 0.6, "happiness": 0.6}, "shares of anger, happiness must not exceed 1"),
    ],
)
def test_a_request_that_cannot_be_used_names_key_and_reason(given, message):
    with pytest.raises(InvalidInputError, match=f"^expression: .*{message}"):
        parse_request(given, LABELS, NAMES)


def test_a_model_without_blendshapes_takes_labels_and_explains_the_rest():
    assert parse_request({"anger": 0.5}, LABELS, ()).labels == {"anger": 0.5}
    for name in ("jawOpen", "mouthSmile", "gazeLeft"):
        with pytest.raises(InvalidInputError, match=f"{name} needs weights that read blendshapes"):
            parse_request({name: 1}, LABELS, ())
    assert editable_ranges(LABELS, ()) == dict.fromkeys(LABELS, (0.0, 1.0))


def test_every_listed_name_can_be_asked_for():
    ranges = editable_ranges(LABELS, NAMES)
    assert {"mouthSmile", "mouthSmileLeft", "jawOpen", "jawLeft", *GAZE_DIRECTIONS, *GAZE_NAMES, *LABELS} <= set(
        ranges
    )
    assert not {"jaw", "mouth", *EYE_LOOK_NAMES} & set(ranges)
    for name, (lowest, highest) in ranges.items():
        parse_request({name: lowest}, LABELS, NAMES)
        parse_request({name: highest}, LABELS, NAMES)
        with pytest.raises(InvalidInputError, match=f"{name} must be"):
            parse_request({name: highest + 0.1}, LABELS, NAMES)


# The model


def test_set_blendshapes_are_read_and_the_others_stay(settable_pipeline):
    model = settable_pipeline.model
    own = 0.5 * torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
    values = torch.full((3, len(NAMES)), float("nan"))
    columns = [NAMES.index(name) for name in ("jawOpen", "eyeBlinkLeft", "gazeX")]
    values[:, columns] = torch.tensor([0.9, 0.1, -20.0])
    before, after = (model.blendshape_regressor(e) for e in (own, model.set_blendshapes(own, values)))
    torch.testing.assert_close(after[:, columns], values[:, columns], atol=1e-3, rtol=1e-3)
    others = [number for number in range(len(NAMES)) if number not in columns]
    torch.testing.assert_close(after[:, others], before[:, others], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.set_blendshapes(own, torch.full_like(values, float("nan"))), own)


def test_the_reading_is_limited_before_it_is_changed(settable_pipeline):
    """A reading below 0 is noise: asking for 0 then changes nothing."""
    model, jaw = settable_pipeline.model, NAMES.index("jawOpen")
    own = -3 * model.blendshape_directions[:, jaw][None]
    assert model.blendshape_regressor(own)[0, jaw] < 0
    values = torch.full((1, len(NAMES)), float("nan"))
    values[0, jaw] = 0
    torch.testing.assert_close(model.set_blendshapes(own, values), own)


def test_directions_are_saved_and_older_files_load_without_them(settable_pipeline, crop, tmp_path):
    save_pipeline(settable_pipeline, tmp_path)
    loaded = TerGanPipeline.from_pretrained(tmp_path, device="cpu")
    torch.testing.assert_close(loaded.model.blendshape_directions, settable_pipeline.model.blendshape_directions)
    assert TerGanForImageClassification.from_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["blendshape_directions"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    older = TerGanPipeline.from_pretrained(tmp_path, device="cpu")
    assert not older.model.blendshape_directions.any() and older.blendshapes(crop, detect=False)["jawOpen"] > 0
    assert list(older.editable_names) == older.labels
    with pytest.raises(InvalidInputError, match=r"cannot set blendshapes.*Use newer weights, or fit them"):
        older.edit(crop, {"jawOpen": 0.5}, detect=False)
    assert older.edit(crop, {"happiness": 1}, detect=False)


def test_checkpoints_of_older_runs_load():
    model = tiny_model()
    state = {name: value for name, value in model.state_dict().items() if name != "blendshape_directions"}
    wrapped = torch.nn.ModuleDict({"model": model})
    wrapped.load_state_dict({f"model.{name}": value for name, value in state.items()})
    del state["classifier.bias"]
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        model.load_state_dict(state)


def test_a_model_that_reads_no_blendshapes_has_no_directions(tiny_config):
    model = TerGanModel(tiny_config)
    assert model.blendshape_directions is None and "blendshape_directions" not in model.state_dict()
    with pytest.raises(InvalidInputError, match="read no blendshapes"):
        model.set_blendshapes(torch.zeros(1, 30), torch.zeros(1, 53))


# The pipeline


def test_a_request_is_drawn_as_the_models_own_steps(settable_pipeline, crop):
    pipe, model = settable_pipeline, settable_pipeline.model
    with torch.inference_mode():
        target = model.encode_target(pipe.pixel_values([crop]))
        values = torch.full((1, len(NAMES)), float("nan"))
        for name, value in (("jawOpen", 0.8), ("eyeBlinkLeft", 1.0), ("eyeBlinkRight", 1.0), ("gazeX", 20.0)):
            values[0, NAMES.index(name)] = value
        neutral = model.expression_prototypes[pipe.labels.index("neutral")][None]
        for start, labels in (
            (target.expression_embedding, {}),
            (neutral, {"neutral": 1}),
            (torch.lerp(target.expression_embedding, neutral, 0.25), {"neutral": 0.25}),
        ):
            change = model.change(model.set_blendshapes(start, values), target, 0.7)
            expected = pipe.image_processor.to_images(change.pixel_values)[0]
            asked = {**labels, "jawOpen": 0.8, "eyeBlink": 1, "gazeLeft": 20}
            result = pipe.edit(crop, asked, 0.7, **ONE_VIEW)
            assert differs(result, expected) <= 1 and differs(result, crop) > 10


def test_a_label_by_its_share_is_the_label(settable_pipeline, crop):
    by_share, by_label = (settable_pipeline.edit(crop, asked, **ONE_VIEW) for asked in ({"anger": 1}, "anger"))
    assert differs(by_share, by_label) <= 1
    assert differs(settable_pipeline.edit(crop, {"anger": 0}, **ONE_VIEW), crop) <= 1


def test_the_mirror_image_is_edited_with_the_sides_exchanged(settable_pipeline, crop):
    asked = {"mouthSmileLeft": 1, "eyeBlinkRight": 0, "jawLeft": 0.6, "gazeX": 15, "gazeY": 5}
    turned = {"mouthSmileRight": 1, "eyeBlinkLeft": 0, "jawRight": 0.6, "gazeX": -15, "gazeY": 5}
    result = settable_pipeline.edit(crop, asked, detect=False)
    mirrored = settable_pipeline.edit(ImageOps.mirror(crop), turned, detect=False)
    assert differs(ImageOps.mirror(mirrored), result) <= 1
    assert differs(settable_pipeline.edit(crop, turned, detect=False), result) > 5


def test_lists_take_a_request_for_each_or_one_for_all(settable_pipeline, smiling, neutral):
    pipe, one, other = settable_pipeline, {"jawOpen": 1.0}, {"neutral": 0.5, "gazeUp": 30}
    alone = pipe.edit(neutral, one)
    assert alone.size == neutral.size and differs(alone, neutral) > 5
    same = pipe.edit([neutral, smiling], one)
    each = pipe.edit([neutral, smiling, neutral], [one, other, "anger"])
    assert differs(same[0], alone) <= 1 and differs(each[0], alone) <= 1
    assert differs(each[1], pipe.edit(smiling, other)) <= 1 < differs(each[1], same[1])
    assert differs(each[2], pipe.edit(neutral, "anger")) <= 1
    with pytest.raises(InvalidInputError, match=r"^expression\[1\]: 'jawOpne' is no known name"):
        pipe.edit([neutral, smiling], [one, {"jawOpne": 1}])


def test_intensity_zero_gives_the_photo_back_and_face_chooses(settable_pipeline, smiling, neutral):
    asked = {"jawOpen": 1.0, "gazeLeft": 30}
    assert not differs(settable_pipeline.edit(neutral, asked, intensity=0), neutral)
    both = Image.new("RGB", (640, 320), "white")
    both.paste(smiling.resize((320, 320)))
    both.paste(neutral.resize((250, 250)), (360, 30))
    changed = np.asarray(settable_pipeline.edit(both, asked, face=1), int) - np.asarray(both, int)
    assert np.abs(changed[:, 340:]).max() > 5 and not changed[:, :300].any()


def test_a_clip_is_edited_frame_by_frame(settable_pipeline, neutral, tmp_path):
    still = neutral.convert("RGB").resize((240, 240))
    clip = write_clip(tmp_path / "clip.mp4", [still] * 3)
    frames = {}
    for name, asked in {"by name": {"jawOpen": 1.2, "mouthFunnel": 1.2}, "as it is": {"anger": 0}}.items():
        settable_pipeline.edit_video(clip, asked, tmp_path / f"{name}.mp4", progress=False)
        frames[name] = [frame for _, _, frame in read_frames(tmp_path / f"{name}.mp4", False, "")]
    expected = settable_pipeline.edit(still, {"jawOpen": 1.2, "mouthFunnel": 1.2}, test_time_augmentation=False)
    # The clip's codec and its tracked landmarks differ a little from a photo.
    far = np.abs(np.asarray(expected, float) - np.asarray(still, float)).mean()
    for made, plain in zip(frames["by name"], frames["as it is"], strict=True):
        assert np.abs(np.asarray(made, float) - np.asarray(expected, float)).mean() < 0.5 * far
        assert np.abs(np.asarray(plain, float) - np.asarray(still, float)).mean() < 0.5 * far
    with pytest.raises(InvalidInputError, match="jawOpen must be"):
        settable_pipeline.edit_video(clip, {"jawOpen": 7}, tmp_path / "bad.mp4", progress=False)
    assert not (tmp_path / "bad.mp4").exists()


def test_the_transformers_pipeline_takes_requests(settable_pipeline, neutral):
    transfer = FacialExpressionTransferPipeline(
        model=settable_pipeline.model, image_processor=settable_pipeline.image_processor
    )
    asked = {"neutral": 1, "jawOpen": 0.4}
    assert differs(transfer(neutral, expression=asked), settable_pipeline.edit(neutral, asked)) <= 1
    wanted = [asked, "anger"]
    settings = {"test_time_augmentation": False}
    made = transfer([neutral, neutral], expression=wanted, **settings)
    assert len(made) == 2
    for one, expected in zip(made, settable_pipeline.edit(neutral, wanted, **settings), strict=True):
        assert differs(one, expected) <= 1
    with pytest.raises(InvalidInputError, match="lists must have the same length, got image: 2, expression: 1"):
        transfer([neutral, neutral], expression=["anger"])


def test_a_name_that_was_never_learnt_is_not_listed_and_refused(settable_pipeline, crop):
    assert {"noseSneer", "noseSneerLeft"} <= set(settable_pipeline.editable_names)
    model = TerGanModel(settable_pipeline.model.config)
    model.load_state_dict(settable_pipeline.model.state_dict())
    model.blendshape_directions[:, [name.startswith("noseSneer") for name in NAMES]] = 0
    pipe = pipeline_of(model)
    assert "jawOpen" in pipe.editable_names and not {"noseSneer", "noseSneerLeft"} & set(pipe.editable_names)
    with pytest.raises(InvalidInputError, match="not learnt to change noseSneerLeft, noseSneerRight"):
        pipe.edit(crop, {"noseSneer": 1, "jawOpen": 1}, detect=False)


def test_the_published_weights_answer_as_they_can(embedded_pipeline):
    assert differs(embedded_pipeline.edit(NEUTRAL, {"jawOpen": 1}), Image.open(NEUTRAL)) > 5
    half, whole = (embedded_pipeline.edit(NEUTRAL, {"surprise": share}) for share in (0.5, 1))
    assert differs(whole, embedded_pipeline.edit(NEUTRAL, "surprise")) <= 1 < differs(half, whole)


def test_weights_without_blendshapes_are_set_by_label_alone():
    pipe = pipeline_of(tiny_model("photo", blendshape_names=[]))
    assert list(pipe.editable_names) == pipe.labels
    with pytest.raises(InvalidInputError, match="jawOpen needs weights that read blendshapes"):
        pipe.edit("no such file", {"jawOpen": 1})
