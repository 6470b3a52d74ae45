"""Padded crops, balanced photos, pairs and augmentation."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage
from torch.utils.data import DataLoader

from tergan_hf.data import decoded, padded_crops, registration, sampling
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.crops import cut_crops, draw_crop_transforms, to_range
from tergan_hf.data.decoded import DecodedColumn
from tergan_hf.data.loading import DataSource, load_photos
from tergan_hf.data.padded_crops import PADDED_CROP_MARGIN, make_padded_crops, padded_crop_size
from tergan_hf.data.pairs import PairSampler
from tergan_hf.data.photo_set import PhotoSet, label_photo_sets
from tergan_hf.data.photometry import Photometry
from tergan_hf.data.preparation import load_split, prepare_sets
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.data.splits import row_groups
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.face_alignment_tergan import compose_transforms, crop_face, zoom_out
from tergan_hf.model.face_detection_tergan import FaceDetector
from tergan_hf.training.monitoring import ValidationPairs

from . import shares
from .conftest import ROOT
from .faces import loose_crops, photographed_people, repeatable_people


EXPRESSIONS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
SIDE = padded_crop_size(32)


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    return photographed_people(tmp_path_factory.mktemp("data") / "people")


@pytest.fixture(scope="module")
def photographed_crops(photographed):
    return make_padded_crops(load_photos(str(photographed)), 32)


@pytest.fixture
def repeatable(tmp_path):
    photos = load_photos(str(repeatable_people(tmp_path / "avatars.parquet")))
    return label_photo_sets({"avatars": make_padded_crops(photos, 32, align=False)}, EXPRESSIONS)


def test_padded_crops_show_the_aligned_face_with_a_margin(photographed_crops):
    people = label_photo_sets({"people": photographed_crops}, EXPRESSIONS)[0][0]
    assert len(people) == 14
    assert people.pixels(0, SIDE).shape == (3, SIDE, SIDE)
    # The same person, rotated by 4°: after alignment both photos look alike.
    first, second = (people.pixels(row, SIDE).float() for row in np.flatnonzero(people.identities == 0))
    middle = slice(SIDE // 4, -(SIDE // 4))
    assert (first - second)[:, middle, middle].abs().mean() < 12


def test_photos_without_a_face_are_left_out(tmp_path, photographed, caplog):
    photos = load_photos(str(photographed)).select(range(2))
    blank = PILImage.new("RGB", (100, 100))
    blank.save(tmp_path / "blank.png")
    rows = [*photos, {**photos[0], "image": {"path": str(tmp_path / "blank.png"), "bytes": None}}]
    photos = Dataset.from_list(rows, features=photos.features)
    assert len(make_padded_crops(photos, 32)) == 2
    assert "photos: no face found in 1 of 3" in caplog.text


def test_balanced_photos_draw_every_expression_equally_often():
    labels = np.array([3] * 90 + [4] * 9 + [0])
    pixels = torch.zeros(3, 4, 4, dtype=torch.uint8)
    unknown = np.full(100, -1)
    photos = PhotoSet("set", list(range(100)), labels, unknown, unknown, unknown, np.tile(np.eye(2, 3), (100, 1, 1)))
    photos.pixels = lambda row, side: pixels
    drawn = BalancedPhotos([photos], 600, 4, seed=1)
    counts = np.bincount([drawn[n]["expression"] for n in range(600)], minlength=5)[[0, 3, 4]]
    assert counts.min() > 150
    natural = BalancedPhotos([photos], 600, 4, seed=1, class_balance=0.0)
    counts = np.bincount([natural[n]["expression"] for n in range(600)], minlength=5)[[0, 3, 4]]
    assert counts[0] < 20 and 500 < counts[1] < 570
    again, other = (BalancedPhotos([photos], 600, 4, seed=seed) for seed in (1, 2))
    first = [drawn[n]["expression"] for n in range(20)]
    assert first == [again[n]["expression"] for n in range(20)]
    assert first != [other[n]["expression"] for n in range(20)]


def test_intensities_and_mixtures_decide_which_photos_are_clear(tmp_path):
    photos = load_photos(str(repeatable_people(tmp_path / "avatars.parquet", people=1)))
    photos = photos.add_column("intensity", [1.0, 0.5, 0.9, 1.0]).add_column("mixed_with", ["", "", "fear", ""])
    sets, _ = label_photo_sets({"avatars": make_padded_crops(photos, 32, align=False)}, EXPRESSIONS)
    assert sets[0].clear.tolist() == [True, False, False, True]


def test_the_ground_truth_shows_the_targets_person_with_the_sources_expression(repeatable):
    sets, identities = repeatable
    photos = sets[0]
    assert len(identities) == 4
    pairs = ExpressionPairs(sets, 60, SIDE, seed=0, ground_truth_share=1.0)
    across = 0
    for number in range(60):
        item = pairs[number]
        assert item["has_truth"] and item["is_rendered"]
        row = next(r for r in range(len(photos)) if torch.equal(photos.pixels(r, SIDE), item["truth"]))
        assert photos.identities[row] == item["target_identity"]
        assert photos.expressions[row] == item["source_expression"]
        source = next(r for r in range(len(photos)) if torch.equal(photos.pixels(r, SIDE), item["source"]))
        across += photos.identities[source] != item["target_identity"]
    assert across > 30


def test_the_truth_of_two_photographs_is_the_source(photographed_crops):
    sets, _ = label_photo_sets({"people": photographed_crops}, EXPRESSIONS)
    item = ExpressionPairs(sets, 4, SIDE, ground_truth_share=1.0)[0]
    assert item["has_truth"] and not item["is_rendered"] and torch.equal(item["source"], item["truth"])


@pytest.mark.parametrize("photographed", [True, False])
def test_photographs_are_registered_once_and_renderings_keep_their_alignment(neutral, monkeypatch, photographed):
    crop_transform = FaceDetector().detect(neutral)[0].crop_transform
    shifted = compose_transforms(np.array([[1, 0, 0.02], [0, 1, -0.02]]), crop_transform)
    side, still = padded_crop_size(64), torch.eye(2, 3)
    crops = [
        np.array(crop_face(neutral, zoom_out(way, PADDED_CROP_MARGIN), side)) for way in (crop_transform, shifted)
    ]
    ids = np.array([-1, -1] if photographed else [0, 1])
    rows = Dataset.from_dict({"row": [0, 1]})
    photos = PhotoSet("people", rows, *[np.zeros(2, int)] * 3, ids, np.stack([crop_transform] * 2))
    monkeypatch.setattr(photos, "keep", lambda side: None)
    monkeypatch.setattr(photos, "pixels", lambda row, side: torch.from_numpy(crops[row]).permute(2, 0, 1))
    calls = []
    monkeypatch.setattr(
        sampling, "register_faces", lambda *images: calls.append(images) or registration.register_faces(*images)
    )
    pairs = ExpressionPairs([photos], 20, side, ground_truth_share=1.0)
    items = list(map(pairs.__getitem__, range(20)))
    assert len(calls) <= (4 if photographed else 0), "a pair is registered again"
    target, other = (to_range(torch.from_numpy(crop).permute(2, 0, 1)) for crop in crops)
    found = next(item["registration"] for item in items if torch.equal(to_range(item["target"]), target)
                 and torch.equal(to_range(item["truth"]), other))  # fmt: skip
    target, laid_over, as_it_is = (
        cut_crops(padded[None], still[None], 64, registration=way[None])[:, :, 6:-6, 8:-8]
        for padded, way in ((target, still), (other, found), (other, still))
    )
    ratio = (laid_over - target).abs().mean() / (as_it_is - target).abs().mean()
    assert ratio < 0.5 if photographed else torch.allclose(found, still, atol=1e-6)


def test_pairs_have_the_promised_sources_and_truths(repeatable):
    sampler, random = PairSampler(repeatable[0]), np.random.default_rng(0)
    photos = repeatable[0][0]
    sources = set()
    for _ in range(40):
        pair = sampler.draw_random(random, 0, 3)
        sources.add(pair.source)
        assert (pair.target, pair.truth) == (3, None)
        pair = sampler.draw_same_identity(random, 0, 3)
        assert pair.truth == pair.source != 3 and photos.identities[pair.source] == photos.identities[3]
        pair = sampler.draw_exact(random, 0, 3)
        assert photos.scenes[pair.truth] == photos.scenes[3]
        assert photos.expression_ids[pair.source] == photos.expression_ids[pair.truth]
    assert len(sources) > 8


def test_the_only_photo_of_a_person_is_not_its_own_truth(repeatable):
    photos = repeatable[0][0]
    strangers = replace(photos, identities=np.arange(len(photos)), expression_ids=np.full(len(photos), -1))
    sampler, random = PairSampler([strangers]), np.random.default_rng(0)
    pairs = [sampler.draw(random, 1.0) for _ in range(40)]
    assert all(pair.truth is None for pair in pairs) and len({pair.source for pair in pairs}) > 8


def test_random_pairs_take_their_source_from_photos_with_a_label(repeatable):
    photos = repeatable[0][0]
    labels = np.where(np.arange(len(photos)) % 2, photos.expressions, -1)
    sampler, random = PairSampler([replace(photos, expressions=labels)]), np.random.default_rng(0)
    assert all(labels[sampler.draw_random(random, 0, 3).source] >= 0 for _ in range(40))
    sampler = PairSampler([replace(photos, expressions=np.full(len(photos), -1))])
    assert sampler.draw_random(random, 0, 3).truth is None


def test_sets_are_mixed_by_weight(repeatable):
    heavy, light = repeatable[0][0], replace(repeatable[0][0], name="light", weight=0.25, pair_weight=0.25)
    drawn = [PairSampler([heavy, light]).draw(np.random.default_rng(n), 0.5).target_set for n in range(300)]
    assert 0.12 < np.mean(drawn) < 0.28
    shown = []
    for number, photos in enumerate((heavy, light)):
        photos.pixels = lambda row, side, number=number: torch.tensor(number)
        shown.append(photos)
    drawn = BalancedPhotos(shown, 300, SIDE, seed=2)
    assert 0.12 < np.mean([int(drawn[n]["padded_crop"]) for n in range(300)]) < 0.28


def test_items_do_not_depend_on_workers_and_processes(python, tmp_path):
    """Two processes with four items per step see the steps of one process with eight, and no item twice."""
    parquet = str(repeatable_people(tmp_path / "avatars.parquet"))
    alone, helped = (shares.steps_seen(parquet, Accelerator(cpu=True), 8, workers) for workers in (0, 2))
    done = python.run(["-m", "tests.shares", parquet, tmp_path, "4"], ROOT, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for kind in shares.KINDS:
        together = [[tuple(item) for item in (*a, *b)] for a, b in zip(first[kind], second[kind])]
        assert together == alone[kind] == helped[kind], kind
        mine, others = ({number for step in part[kind] for number, _ in step} for part in (first, second))
        assert len(mine) == len(others) == shares.ITEMS / 2 and not mine & others
        assert len({digest for step in alone[kind] for _, digest in step}) > 8  # of 16 photos


def test_workers_share_decoded_padded_crops(repeatable, monkeypatch):
    photos = repeatable[0][0]
    before = [photos.pixels(row, SIDE) for row in range(4)]
    for _ in DataLoader(BalancedPhotos(repeatable[0], 200, SIDE), 50, num_workers=1):
        pass  # a worker decodes every photo
    monkeypatch.setattr(decoded, "decode", lambda *arguments: pytest.fail("decoded a second time"))
    assert all(torch.equal(photos.pixels(row, SIDE), seen) for row, seen in enumerate(before))
    assert all(photos.pixels(row, SIDE).shape == (3, SIDE, SIDE) for row in range(len(photos)))


def test_padded_crops_of_another_side_are_resized(repeatable):
    photos = repeatable[0][0]
    before = photos.pixels(1, SIDE)
    small = PILImage.fromarray(before.permute(1, 2, 0).numpy()).resize((17, 17), PILImage.Resampling.BILINEAR)
    assert np.array_equal(photos.pixels(1, 17).permute(1, 2, 0), small)
    assert torch.equal(photos.pixels(1, SIDE), before)


def test_images_beyond_the_memory_limit_are_decoded_at_each_access(repeatable):
    photos = repeatable[0][0].photos
    whole = DecodedColumn(photos, "image", 10**9)
    half, none = (DecodedColumn(photos, "image", rows * whole[0].nbytes) for rows in (8, 0))
    for row in (0, 12, 0, 12):
        assert np.array_equal(whole[row], half[row]) and np.array_equal(whole[row], none[row])
    assert len(half._known) == 8 and not len(none._known)
    assert np.array_equal(pickle.loads(pickle.dumps(half))[12], whole[12])


def test_a_stream_gives_the_same_padded_crops_and_split(tmp_path, photographed):
    source = DataSource("people", str(photographed), validation_fraction=0.3)
    at_once, streamed = (
        load_split(replace(source, streaming=streaming), str, 32, seed=0) for streaming in (False, True)
    )
    assert at_once[2] == streamed[2]
    for whole, stream in zip(at_once[:2], streamed[:2]):
        for column in ("identity", "expression", "expression_id"):
            assert whole[column][:] == stream[column][:]
        assert [row["image"]["bytes"] for row in whole] == [row["image"]["bytes"] for row in stream]


def test_a_stream_splits_as_the_set_does_where_nobody_is_named_and_a_photo_has_no_face(tmp_path, photographed):
    lines = [json.loads(line) for line in (photographed / "metadata.jsonl").read_text().splitlines()]
    rows = [{"image": str(photographed / line["file_name"]), "expression": line["expression"]} for line in lines]
    PILImage.new("RGB", (64, 64)).save(tmp_path / "nobody.png")
    rows.insert(0, {"image": str(tmp_path / "nobody.png"), "expression": "anger"})
    photos = Dataset.from_list(rows, features=Features(image=Image(), expression=Value("string")))
    photos.to_parquet(tmp_path / "people.parquet")
    source = DataSource("people", str(tmp_path / "people.parquet"), validation_fraction=0.4)
    at_once, streamed = (
        load_split(replace(source, streaming=streaming), str, 32, seed=0) for streaming in (False, True)
    )
    assert at_once[2] == streamed[2]
    for whole, stream in zip(at_once[:2], streamed[:2]):
        assert [row["image"]["bytes"] for row in whole] == [row["image"]["bytes"] for row in stream]


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_may_be_classes_and_may_be_missing(tmp_path, streaming):
    photo = {"bytes": b"no photo", "path": None}
    for name, feature, values, expected in (
        ("classes", ClassLabel(names=["happiness", "neutral"]), [1, 0, -1, None], ["neutral", "happiness", "", ""]),
        ("gaps", Value("string"), ["anger", None, "", "other"], ["anger", "", "", "other"]),
    ):
        path = tmp_path / f"{name}.parquet"
        rows = [{"image": photo, "expression": value} for value in values]
        Dataset.from_list(rows, features=Features(image=Image(), expression=feature)).to_parquet(path)
        photos = load_photos(str(path), streaming=streaming)
        assert [row["expression"] for row in photos] == expected


def test_each_photo_is_a_group_where_no_column_names_its_file(photographed):
    photos = load_photos(str(photographed))
    assert len(set().union(*row_groups(photos, "file_name"))) == len(photos)


def test_people_on_both_sides_and_photos_without_a_name_are_reported(tmp_path, photographed, caplog):
    source = DataSource("people", str(photographed), validation_path=str(tmp_path / "others"))
    shutil.copytree(photographed, tmp_path / "others")
    table = tmp_path / "others" / "metadata.jsonl"
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    table.write_text("\n".join(json.dumps(line | {"identity": ""} if number == 0 else line)
                               for number, line in enumerate(lines)))  # fmt: skip
    prepare_sets(Accelerator(cpu=True), [source], str, EXPRESSIONS, 32, 0)
    assert "people are in training and in validation" in caplog.text and "have no identity" not in caplog.text
    turned = replace(source, path=str(tmp_path / "others"), validation_path=None, validation_fraction=0.3)
    prepare_sets(Accelerator(cpu=True), [turned], str, EXPRESSIONS, 32, 0)
    assert "have no identity, so G_et and stage 2 do not use this set" in caplog.text
    alone = DataSource("one", "one.parquet", validation_path="one.parquet")
    with pytest.raises(InvalidInputError, match=r"one\.parquet is a single file, which has no split `validation`"):
        prepare_sets(Accelerator(cpu=True), [alone], str, EXPRESSIONS, 32, 0)


def test_validation_pairs_of_photographs_differ_in_their_labels(photographed_crops):
    sets, _ = label_photo_sets({"people": photographed_crops}, EXPRESSIONS)
    assert not ValidationPairs(sets, 32, per_set=20).batches  # each person has one label
    sets[0].expressions[::2] = (sets[0].expressions[::2] + 1) % len(EXPRESSIONS)
    (batch,) = ValidationPairs(sets, 32, per_set=20).batches.values()
    assert len(batch["source"]) > 5 and (batch["source_expression"] != batch["target_expression"]).all()
    sets[0].pair_weight = 0
    assert not ValidationPairs(sets, 32, per_set=20).batches


def test_pairs_of_the_paper_have_no_truth(repeatable):
    pairs = ExpressionPairs(repeatable[0], 20, SIDE, ground_truth_share=0.0)
    assert not any(pairs[number]["has_truth"] for number in range(20))


def test_sets_without_identities_cannot_make_pairs(tmp_path):
    cropped = make_padded_crops(load_photos(str(loose_crops(tmp_path / "fer.parquet"))), 32, align=False)
    sets, identities = label_photo_sets({"fer": cropped}, EXPRESSIONS)
    assert identities == [] and not sets[0].has_identities
    with pytest.raises(ValueError, match="identities"):
        ExpressionPairs(sets, 4, SIDE)


def test_unknown_expressions_are_named_with_the_way_to_add_them(repeatable):
    with pytest.raises(InvalidInputError, match=r"avatars: .*\['happiness'\].*model\.expressions"):
        label_photo_sets({"avatars": repeatable[0][0].photos}, ["anger", "sadness", "surprise"])


def test_several_processes_crop_as_one_does_and_name_a_damaged_photo(tmp_path, monkeypatch):
    alone, photos = (load_photos(str(loose_crops(tmp_path / f"{name}.parquet", 12))) for name in ("one", "faces"))
    alone = make_padded_crops(alone, 32, align=False)
    monkeypatch.setattr(padded_crops, "PHOTOS_PER_PROCESS", 4)
    monkeypatch.setattr(padded_crops.os, "cpu_count", lambda: 2)
    together = make_padded_crops(photos, 32, align=False)
    assert len(together.cache_files) == 2, "one process made them all"
    assert together.to_list() == alone.to_list()
    damaged = photos.map(lambda row, number: {"image": {"bytes": b"?", "path": None}} if number == 9 else row,
                         with_indices=True)  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"faces\[9\]"):
        make_padded_crops(damaged, 32, align=False, name="faces")


def test_the_truth_is_cut_with_the_targets_crop_transform():
    """With two alignments of one scene, the registered truth must coincide with the target's crop."""
    side = 200
    y, x = np.mgrid[0:side, 0:side]
    scene = PILImage.fromarray(np.uint8(np.stack([x, y, 127 + 100 * np.sin(x / 9)], -1)))
    size = padded_crop_size(64)
    crop_transforms = [
        np.array([[0.01, 0.0, -0.5], [0.0, 0.01, -0.5]]),
        np.array([[0.0098, 0.0008, -0.55], [-0.0008, 0.0098, -0.4]]),
    ]
    pixels = [
        torch.from_numpy(np.array(crop_face(scene, zoom_out(f, PADDED_CROP_MARGIN), size))).permute(2, 0, 1)
        for f in crop_transforms
    ]
    photos = PhotoSet("scene", [0, 1], *[np.array([0, 0])] * 3, np.array([0, 1]), np.stack(crop_transforms))
    registration = ExpressionPairs._rendered_registration(photos, target=0, truth=1)
    jitter = draw_crop_transforms(1, AugmentationConfig(flip=1.0), torch.Generator().manual_seed(0), "cpu")
    target = cut_crops(to_range(pixels[0][None]), jitter, 64)
    truth = cut_crops(to_range(pixels[1][None]), jitter, 64, registration=registration[None])
    unregistered = cut_crops(to_range(pixels[1][None]), jitter, 64)
    inside = (..., slice(12, -12), slice(12, -12))
    assert (target - truth)[inside].abs().mean() < 0.005
    assert (target - unregistered)[inside].abs().mean() > 5 * (target - truth)[inside].abs().mean()


def test_paper_augmentation_draws_the_papers_samples():
    crop_transforms = draw_crop_transforms(2000, AugmentationConfig.paper(), torch.Generator().manual_seed(0), "cpu")
    flipped = torch.det(crop_transforms[:, :, :2]) < 0
    assert 0.4 < flipped.float().mean() < 0.6
    angles = torch.rad2deg(torch.atan2(-crop_transforms[:, 0, 1], crop_transforms[:, 1, 1])).round().unique()
    assert angles.tolist() == [-6, -3, 0, 3, 6]
    shifts = {tuple(shift) for shift in (crop_transforms[:, :, 2] * 75 / 2).round().int().tolist()}
    assert shifts == {(0, 0), (-5, -5), (-5, 5), (5, -5), (5, 5)}
    assert torch.allclose(torch.det(crop_transforms[:, :, :2]).abs(), torch.ones(2000))


def test_photometry_repeats_and_the_paper_has_none():
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    drawn = Photometry.draw(4, AugmentationConfig(grey=0.5), generator, "cpu")
    assert torch.equal(drawn.apply(images), drawn.apply(images))
    assert not torch.allclose(drawn.apply(images), images)
    plain = Photometry.draw(4, AugmentationConfig.paper(), generator, "cpu")
    torch.testing.assert_close(plain.apply(images), images, atol=1e-5, rtol=0)
