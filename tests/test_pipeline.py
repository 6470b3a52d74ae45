"""TerGanPipeline on real photos: what comes back, and what is said of bad input. Random weights do."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers.image_processing_backends import PilBackend

from tergan_hf import (
    InvalidInputError,
    NoFaceFoundError,
    TerGanImageProcessor,
)
from tergan_hf.model.face_alignment_tergan import crop_face, zoom_out
from tergan_hf.model.pipeline_tergan import WIDER_MARGIN

from .conftest import EXAMPLES
from .tiny_models import pipeline_of, tiny_model


def differs(a, b):
    return np.asarray(a, int) - np.asarray(b, int)


def test_transfer_keeps_the_photos_size_and_surroundings(tiny_pipeline, smiling, neutral):
    wide = Image.new("RGB", (900, 700), "navy")
    wide.paste(neutral, (200, 30))
    result = tiny_pipeline.transfer(smiling, wide)
    assert result.size == wide.size
    changed = np.abs(differs(result, wide)).sum(2) > 0
    assert changed.any()
    assert not changed[:, :200].any() and not changed[:, 840:].any()


def test_intensity_zero_gives_the_photo_back(tiny_pipeline, smiling, neutral):
    assert not differs(tiny_pipeline.transfer(smiling, neutral, intensity=0), neutral).any()


def test_a_photo_given_its_own_expression_stays_as_it_is(tiny_pipeline, neutral):
    assert not differs(tiny_pipeline.transfer(neutral, neutral), neutral).any()


def test_mirrored_photos_give_the_mirror_image_of_the_result(tiny_pipeline):
    noise = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    source, target = (Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR) for pixels in noise)
    crops = {"detect": False, "intensity": 1.5}
    result = tiny_pipeline.transfer(source, target, **crops)
    turned = tiny_pipeline.transfer(ImageOps.mirror(source), ImageOps.mirror(target), **crops)
    assert np.abs(differs(result, target)).max() > 10
    assert np.abs(differs(ImageOps.mirror(turned), result)).max() <= 1
    edited = tiny_pipeline.edit(target, "anger", **crops)
    turned = tiny_pipeline.edit(ImageOps.mirror(target), "anger", **crops)
    assert np.abs(differs(ImageOps.mirror(turned), edited)).max() <= 1


@pytest.mark.parametrize("tiny_pipeline", ["photo"], indirect=True)
def test_a_found_face_is_looked_at_in_a_wider_crop_as_well(tiny_pipeline, smiling, neutral):
    pipe = tiny_pipeline
    source, narrow = (pipe.cut_out(photo, pipe.faces(photo)[0].crop_transform) for photo in (smiling, neutral))
    wide = pipe.cut_out(neutral, zoom_out(narrow.crop_transform, WIDER_MARGIN))
    with torch.no_grad():
        views = [pipe.pixel_values([face]) for face in (source, narrow, wide)]
        wanted, own = ([pipe.model.encode_expression(x) for x in (view, view.flip(3))] for view in views[:2])
        changes = []
        for view in views[1:]:
            for turned, expression, shown in zip((view, view.flip(3)), wanted, own):
                target = pipe.model.encode_target(turned, with_expression=False)
                target.expression_embedding = shown
                changes.append(pipe.model.change(expression, target))
    straight, mirrored, further, further_mirrored = changes
    near = straight.mean_with(mirrored.mirror(), views[1]).zoom_out(WIDER_MARGIN)
    change = near.mean_with(further.mean_with(further_mirrored.mirror(), views[2]), views[2])
    result = pipe.transfer(smiling, neutral)
    assert np.abs(differs(result, pipe.paste(wide, change, 0))).max() <= 1
    assert np.abs(differs(result, pipe.paste(wide, near, 0))).max() > 3


@pytest.mark.parametrize("tiny_pipeline", ["photo"], indirect=True)
def test_without_test_time_augmentation_one_view_is_pasted(tiny_pipeline, smiling, neutral):
    pipe = tiny_pipeline
    source, target = (pipe.cut_out(photo, pipe.faces(photo)[0].crop_transform) for photo in (smiling, neutral))
    with torch.no_grad():
        expression = pipe.model.encode_expression(pipe.pixel_values([source]))
        change = pipe.model.change(expression, pipe.pixel_values([target]))
    result = pipe.transfer(smiling, neutral, test_time_augmentation=False)
    assert np.abs(differs(result, pipe.paste(target, change, 0))).max() <= 1
    assert np.abs(differs(result, pipe.transfer(smiling, neutral))).max() > 3
    assert not differs(pipe.edit(neutral, smiling, test_time_augmentation=False), result).any()


def test_without_paste_back_the_crop_comes_back(tiny_pipeline, smiling, neutral):
    assert tiny_pipeline.transfer(smiling, neutral, paste_back=False).size == (32, 32)


def test_crops_need_no_detection(tiny_pipeline):
    crop = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
    assert tiny_pipeline.transfer(crop, crop, detect=False).size == (48, 48)
    assert tiny_pipeline.edit(crop, "anger", detect=False, paste_back=False).size == (32, 32)


def test_paths_arrays_and_images_are_the_same(tiny_pipeline, neutral):
    path = EXAMPLES / "london_014_neutral.jpg"
    answers = [tiny_pipeline.recognize(given) for given in (path, str(path), np.asarray(neutral), neutral)]
    assert all(answer == answers[0] for answer in answers)


def test_recognize_ranks_every_label(tiny_pipeline, neutral):
    answer = tiny_pipeline.recognize(neutral)
    assert {entry["label"] for entry in answer} == set(tiny_pipeline.labels)
    scores = [entry["score"] for entry in answer]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)


def test_recognize_says_so_where_it_is_unsure(tiny_pipeline, neutral):
    answer = tiny_pipeline.recognize(neutral)
    best = answer[0]["score"]
    assert tiny_pipeline.recognize(neutral, threshold=best - 0.01) == answer
    assert tiny_pipeline.recognize(neutral, threshold=best + 0.01) == [{"label": "unsure", "score": best}, *answer]


def test_embeddings_have_the_papers_sizes(tiny_pipeline, neutral):
    embeddings = tiny_pipeline.embed(neutral)
    assert embeddings["expression"].shape == (tiny_pipeline.model.config.expression_embedding_size,)
    assert embeddings["identity"].shape == (50,)


def test_lists_give_lists_and_one_photo_serves_all(tiny_pipeline, smiling, neutral):
    alone = tiny_pipeline.transfer(smiling, neutral)
    both = tiny_pipeline.transfer([smiling, neutral], neutral)
    assert len(both) == 2
    assert np.abs(differs(both[0], alone)).max() <= 1
    edited = tiny_pipeline.edit(neutral, ["anger", smiling])
    assert np.abs(differs(edited[1], alone)).max() <= 1
    assert len(tiny_pipeline.recognize([smiling])) == 1
    assert len(tiny_pipeline.embed([smiling, neutral])) == 2
    both = [tiny_pipeline.faces(photo)[0].box.tolist() for photo in (smiling, neutral)]
    assert [found[0].box.tolist() for found in tiny_pipeline.faces([smiling, neutral])] == both
    read = tiny_pipeline.recognize_faces([smiling, neutral])
    assert [found[0]["box"] for found in read] == both and len(tiny_pipeline.recognize_faces([smiling])) == 1
    with pytest.raises(InvalidInputError, match=r"image\[1\]: "):
        tiny_pipeline.recognize_faces([smiling, Image.new("RGB", (64, 64))])


def test_exif_rotation_is_honoured(tiny_pipeline, neutral, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # shown after a quarter turn clockwise
    neutral.convert("RGB").rotate(90, expand=True).save(tmp_path / "phone.png", exif=exif)
    assert tiny_pipeline.recognize(tmp_path / "phone.png") == tiny_pipeline.recognize(neutral)


def test_the_papers_model_pastes_its_own_pixels(smiling, neutral):
    pipe = pipeline_of(tiny_model("paper"))
    result = pipe.transfer(smiling, neutral)
    assert result.size == neutral.size
    assert not differs(result, neutral)[:100].any()
    own, [face] = pipe.transfer(smiling, neutral, paste_back=False), pipe.faces(neutral)
    inside = np.s_[8:24, 8:24]
    drawn = np.asarray(own, int)[inside]
    crops = [crop_face(image, face.crop_transform, 32) for image in (result, neutral.convert("RGB"))]
    cut, before = (np.asarray(crop, int)[inside] for crop in crops)
    assert np.abs(cut - drawn).mean() < 8 < 40 < np.abs(before - drawn).mean()


def test_errors_name_the_input(tiny_pipeline, smiling, neutral, tmp_path):
    empty = Image.new("RGB", (300, 300), "white")
    empty.save(tmp_path / "empty.png")
    with pytest.raises(NoFaceFoundError, match=r"^target \(.*empty\.png\): no face"):
        tiny_pipeline.transfer(smiling, tmp_path / "empty.png")
    with pytest.raises(NoFaceFoundError, match=r"^source\[1\]: no face"):
        tiny_pipeline.transfer([smiling, empty], neutral)
    with pytest.raises(FileNotFoundError, match=r"source \(nowhere\.jpg\)"):
        tiny_pipeline.transfer("nowhere.jpg", neutral)
    with pytest.raises(ValueError, match=r"'bored' is neither .*anger, disgust"):
        tiny_pipeline.edit(neutral, "bored")
    with pytest.raises(ValueError, match=r"source: 2, target: 3"):
        tiny_pipeline.transfer([smiling] * 2, [neutral] * 3)
    with pytest.raises(ValueError, match="empty"):
        tiny_pipeline.recognize([])


@pytest.mark.parametrize(
    "change",
    [{}, {"do_normalize": False}, {"do_rescale": False}, {"image_mean": 0.4}, {"image_std": [0.5, 0.25, 1.0]}],
)
def test_pixel_values_are_what_the_library_makes_of_them(change):
    random = np.random.default_rng(0)
    crops = [Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(3)]
    settings = {
        "do_convert_rgb": True, "do_resize": True, "size": {"height": 32, "width": 32}, "do_rescale": True,
        "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5] * 3,
        "resample": Image.Resampling.BILINEAR, **change,
    }  # fmt: skip
    made, expected = (
        processor(**settings)(crops, return_tensors="pt")["pixel_values"]
        for processor in (TerGanImageProcessor, PilBackend)
    )
    assert made.shape == (3, 3, 32, 32) and made.dtype == torch.float32
    torch.testing.assert_close(made, expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("side", [20, 60])
@pytest.mark.parametrize("mean", [[0.5, 0.5, 0.5], [0.5, 0.4, 0.3]])
def test_grey_and_colour_crops_are_resized_and_normalised(mode, side, mean):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).convert(mode)
    processor = TerGanImageProcessor(size={"height": 32, "width": 32}, image_mean=mean)
    resized = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR), np.float32)
    expected = ((resized / 255 - mean) / 0.5).transpose(2, 0, 1)
    for given in (image, image.convert("RGB")):
        found = processor(given, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_crops_that_are_not_resized_keep_their_sizes():
    crops = [Image.new("RGB", size, (255, 0, 51)) for size in ((40, 30), (20, 24))]
    made = TerGanImageProcessor(do_resize=False)(crops)["pixel_values"]
    assert [image.shape for image in made] == [(3, 30, 40), (3, 24, 20)]
    for image in made:
        assert image.reshape(3, -1).mean(1) == pytest.approx([1.0, -1.0, -0.6], abs=1e-4)
