"""Rendering: poses, sessions, sets of photos and their exact ground truth."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf.data import __main__ as data_command
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.building import build_set
from tergan_hf.data.contact_sheet import CAPTION_HEIGHT
from tergan_hf.data.crops import cut_crops, draw_elastic_deformations, to_range
from tergan_hf.data.device_photos import DevicePhotos
from tergan_hf.data.ground_truth import true_flow
from tergan_hf.data.loading import DataSource, load_photos
from tergan_hf.data.padded_crops import make_padded_crops, padded_crop_size
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.expressions.blendshapes import BLENDSHAPES, COLUMN_NAMES, Expression, expand_sides, to_vector
from tergan_hf.expressions.sampling import OTHER, expression_set
from tergan_hf.model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from tergan_hf.model.face_alignment_tergan import fit_crop_transform, whole_image_transform, zoom_out
from tergan_hf.model.outputs_tergan import warp
from tergan_hf.rendering import __main__ as sheet_command
from tergan_hf.rendering.avatar_set import DESCRIPTION
from tergan_hf.rendering.avatars import AvatarSettings, plan_avatars
from tergan_hf.rendering.gltf import GltfError
from tergan_hf.rendering.library import HEADS, head_files, missing_heads
from tergan_hf.rendering.people import blend_heads, read_head
from tergan_hf.rendering.scene import Camera, draw_plain_session, draw_session
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.batches import augment_pairs

from .heads import make_head, write_heads


SETTINGS = AvatarSettings(people=4, sessions=1, expressions=9, expression_sets=2, size=64)
PHOTOS = 4 * (9 + 1)


@pytest.fixture(scope="module")
def heads_folder(tmp_path_factory):
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def rendered(heads_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("rendered")
    assert render(heads_folder, output, SETTINGS) == {"train": PHOTOS}
    return output


def render(source, output, settings):
    return build_set(plan_avatars(source, settings, DESCRIPTION), output).rows


def person(heads_folder, **changes):
    heads = [read_head(path) for path in sorted(heads_folder.glob("*.glb"))[:1]]
    return blend_heads(heads, np.ones(1), **changes)


def vector(gaze=(0.0, 0.0), **weights):
    return to_vector(Expression("other", 1.0, expand_sides(weights), gaze))


def straight(**changes):
    session = draw_session(np.random.default_rng(0), 64)
    changes = {"yaw": 0, "pitch": 0, "roll": 0, "zoom": 1, "shift": (0, 0), "light_angle": 0, "key": 0.8} | changes
    return replace(session, **changes)


def test_expression_sets_repeat_exactly():
    assert expression_set(0, 1, 9) == expression_set(0, 1, 9) != expression_set(0, 0, 9)


def test_only_the_expression_changes_within_a_session(heads_folder):
    camera = Camera(person(heads_folder), draw_session(np.random.default_rng(0), 64), 64)
    neutral, again = camera.take(vector()), camera.take(vector())
    assert np.array_equal(neutral.pixels, again.pixels)
    assert np.abs(neutral.flow).max() < 1e-6 and not neutral.uncovered.any()
    opened = camera.take(vector(jawOpen=1.0))
    assert not np.array_equal(neutral.pixels, opened.pixels)
    # The lower lip was higher in the neutral face.
    assert opened.flow[1].min() < -0.05
    left_eye, right_eye, nose, left_corner, right_corner = neutral.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_eye[1] < nose[1] < left_corner[1]
    assert left_corner[0] < right_corner[0]


def test_the_nose_casts_a_shadow_away_from_the_light(heads_folder):
    session = replace(
        draw_session(np.random.default_rng(0), 64), yaw=0, pitch=0, roll=0, light_angle=1.0, light_height=0.0, fill=0,
        gloss=0,
    )  # fmt: skip
    subject = person(heads_folder)
    subject.face.texture[:] = 200
    left, right = (
        Camera(subject, replace(session, light_angle=angle), 64).take(vector()).pixels[:, :, 1]
        for angle in (-1.0, 1.0)
    )
    middle = (slice(20, 44), slice(14, 50))
    np.testing.assert_allclose(left[middle].astype(float).mean(), right[middle].astype(float).mean(), atol=4)
    assert right[middle][:, 20:].mean() > right[middle][:, :16].mean() + 10
    assert left[middle][:, :16].mean() > left[middle][:, 20:].mean() + 10


def test_a_plain_session_multiplies_grey_levels_and_has_one_background_colour(heads_folder):
    subject = person(heads_folder)
    subject.face.texture[:] = 150
    dim = replace(draw_plain_session(np.random.default_rng(0), 64), key=0.4, ambient=0.2, fill=0.1)
    bright = replace(dim, key=0.8, ambient=0.4, fill=0.2)
    first, second = (Camera(subject, each, 64).take(vector()).pixels for each in (dim, bright))
    np.testing.assert_allclose(first[0, 0].astype(int), dim.background[0, 0], atol=1.5)
    face = (slice(24, 40), slice(20, 44))
    assert first[face].std() > 1  # shaded by the shape
    np.testing.assert_allclose(2.0 * first[face], second[face].astype(int), atol=2)


def test_a_plain_set_shows_the_same_expressions(heads_folder, rendered, tmp_path):
    assert render(heads_folder, tmp_path / "plain", replace(SETTINGS, look="plain")) == {"train": PHOTOS}
    natural, plain = load_photos(str(rendered)), load_photos(str(tmp_path / "plain"))
    by_number = dict(zip(natural["expression_id"], natural["blendshapes"]))
    both = [(by_number[number], shown) for number, shown in zip(plain["expression_id"], plain["blendshapes"])
            if number in by_number]  # fmt: skip
    assert len(both) > 4 and all(one == other for one, other in both)
    with pytest.raises(ValueError, match="--look must be one of natural, plain"):
        replace(SETTINGS, look="fancy")


def test_gaze_moves_the_iris(heads_folder):
    camera = Camera(person(heads_folder), straight(), 64)
    middle = [dark_centre(camera, vector())]
    for gaze in ((-30.0, 0.0), (30.0, 0.0), (0.0, 20.0), (0.0, -20.0)):
        moved = dark_centre(camera, vector(gaze)) - middle[0]
        assert np.sign(moved[0]) == np.sign(gaze[0]) or abs(moved[0]) < 0.3
        assert np.sign(moved[1]) == -np.sign(gaze[1]) or abs(moved[1]) < 0.3
        assert np.linalg.norm(moved) > 0.5


def dark_centre(camera, shown):
    """The mean position of the dark pixels around the left eye as the viewer sees it."""
    photo = camera.take(shown)
    x, y = (int(value) for value in photo.landmarks[0])
    window = photo.pixels[y - 5 : y + 6, x - 5 : x + 6].astype(float).mean(2)
    dark = np.clip(120 - window, 0, None)
    rows, columns = np.mgrid[0:11, 0:11]
    return np.array([(dark * columns).sum(), (dark * rows).sum()]) / dark.sum()


def test_a_blink_closes_its_own_eye(heads_folder):
    camera = Camera(person(heads_folder), straight(), 64)
    assert [camera.parts[index].eyeball.side for index in camera.person.eyeballs] == ["Right", "Left"]

    def seen(**weights):
        camera.take(vector(**weights))
        return [int((camera.mesh == index).sum()) for index in camera.person.eyeballs]

    open_eyes = seen()
    assert min(open_eyes) > 20
    for amount in (1.0, 1.2):
        assert seen(eyeBlink=amount, eyeWide=0.5) == [0, 0]
    wink = seen(eyeBlinkLeft=1.0)
    assert wink[0] > 0.8 * open_eyes[0] and wink[1] == 0


def test_the_mouth_is_lit_inside(tmp_path):
    head = read_head(make_head(tmp_path / "toothed.glb", teeth=True))
    photo = Camera(blend_heads([head], np.ones(1)), straight(), 64).take(vector())
    x, y = (int(value) for value in photo.landmarks[3:].mean(0))
    assert photo.pixels[y, x].max() > 50  # the texture is black
    red, green, blue = (int(value) for value in photo.pixels[y, x])
    assert red > 1.2 * max(green, blue)


def test_surfaces_that_the_neutral_photo_hides_are_uncovered(heads_folder):
    """The lids of these heads come from behind the eyeballs."""
    blink = Camera(person(heads_folder), straight(), 64).take(vector(eyeBlinkLeft=1.0))
    (right_x, _), (left_x, left_y) = blink.landmarks[:2].astype(int)
    assert blink.uncovered[left_y - 1 : left_y + 2, left_x - 1 : left_x + 2].all()
    assert not blink.uncovered[:, : right_x + 8].any() and blink.uncovered.mean() < 0.1


def test_an_aligned_session_has_one_crop_transform_for_all_expressions(heads_folder):
    """It is the alignment by the neutral landmarks, and stays when the mouth opens."""
    subject, session = person(heads_folder), draw_session(np.random.default_rng(0), 60)
    camera = Camera(subject, session, 60, margin=1.2)
    neutral = camera.take(vector())
    expected = zoom_out(whole_image_transform(60, 60), 1 / 1.2)
    np.testing.assert_allclose(fit_crop_transform(neutral.landmarks), expected, atol=1e-3)
    opened = camera.take(vector(jawOpen=1.0))
    np.testing.assert_allclose(opened.landmarks[:2], neutral.landmarks[:2], atol=1e-3)
    assert opened.flow[1].min() < -0.05


def test_the_set_has_the_columns_that_training_needs(rendered):
    photos = load_photos(str(rendered))
    assert len(photos) == PHOTOS
    needed = {
        "image", "identity", "session", "expression_id", "expression", "intensity", "mixed_with", "heads", "landmarks",
        "flow", "uncovered", "blendshapes",
    }  # fmt: skip
    assert needed <= set(photos.column_names)
    assert {"neutral", "other"} < set(photos["expression"]) <= {*EXPRESSIONS_WITH_NEUTRAL, "other"}
    shown = np.array(photos["blendshapes"])
    assert shown.shape == (PHOTOS, len(COLUMN_NAMES)) and shown[:, : len(BLENDSHAPES)].min() == 0
    for row in photos:
        assert (row["expression_id"] == 0) == (row["expression"] == "neutral") == (not any(row["blendshapes"]))
    assert (rendered / "LICENSE").read_text() == "MIT"
    assert ", ".join(COLUMN_NAMES) in (rendered / "README.md").read_text()


@pytest.mark.parametrize("streaming", [False, True])
def test_photos_of_a_session_are_cropped_as_its_neutral_photo(rendered, streaming):
    """So what does not move has the same pixels in all of them."""
    padded = make_padded_crops(load_photos(str(rendered), streaming=streaming), 32).to_list()
    neutral = {row["identity"]: row for row in padded if row["expression_id"] == 0}
    assert len(neutral) == SETTINGS.people
    moved = 0
    for row in padded:
        ours = np.array(neutral[row["identity"]]["landmarks"])
        np.testing.assert_allclose(row["crop_transform"], fit_crop_transform(ours), atol=1e-6)
        moved += not np.allclose(row["landmarks"], ours, atol=0.1)
    assert moved > PHOTOS / 4


def test_the_command_on_the_card_gives_the_same_bytes(heads_folder, rendered, tmp_path, monkeypatch):
    card = (rendered / "README.md").read_text()
    command = re.search(r"python -m tergan_hf\.data (.*)", card)[1]
    command = command.replace("SOURCE", str(heads_folder)).replace("FOLDER", str(tmp_path / "again"))
    monkeypatch.setattr(sys, "argv", ["", *command.split()])
    data_command.main()
    for path in rendered.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_wrong_heads_and_settings_are_refused(heads_folder, rendered, tmp_path):
    with pytest.raises(ValueError, match=r"no \.glb file"):
        head_files(tmp_path)
    with pytest.raises(ValueError, match="people 4 there, 5 now"):
        render(heads_folder, rendered, replace(SETTINGS, people=5))
    with pytest.raises(ValueError, match="--expression-sets must be at least 1"):
        replace(SETTINGS, expression_sets=0)
    with pytest.raises(ValueError, match="multiple of 4"):
        replace(SETTINGS, size=66)
    with pytest.raises(ValueError, match="--only names heads that do not exist: Z"):
        head_files(heads_folder, only=("Z",))
    with pytest.raises(ValueError, match="--exclude names heads that do not exist: Z"):
        head_files(heads_folder, ("Z",))
    assert list(head_files(heads_folder, ("A",))) == ["B", "C"]
    make_head(tmp_path / "plain.glb", morphs=())
    with pytest.raises(GltfError, match=r"plain\.glb.*morph"):
        plan_avatars(tmp_path, SETTINGS, DESCRIPTION)  # before the first photo


def test_sessions_differ_in_pose_and_light_with_poses_within_twenty_degrees():
    sessions = [draw_session(np.random.default_rng(number), 8) for number in range(150)]
    for name, most in (("yaw", 20.1), ("pitch", 20.1), ("roll", 20.1)):
        angles = np.rad2deg([getattr(session, name) for session in sessions])
        assert np.abs(angles).max() <= most and angles.std() > 1.5
    assert np.std([session.key for session in sessions]) > 0.1
    assert np.std([session.light_angle for session in sessions]) > 0.3


def test_a_sheet_shows_people_and_expressions(heads_folder, tmp_path, monkeypatch):
    def draw(*options):
        paths = ["--source", str(heads_folder), "--output", str(tmp_path / "sheet.png")]
        monkeypatch.setattr(sys, "argv", ["", *paths, "--size", "32", *options])
        sheet_command.main()
        return np.asarray(Image.open(tmp_path / "sheet.png"))

    whole = draw("--people", "3")  # two people in a row of fourteen photos
    assert whole.shape == (CAPTION_HEIGHT + 2 * 2 * (32 + CAPTION_HEIGHT), 14 * 32, 3)
    below = whole[CAPTION_HEIGHT + 2 * (32 + CAPTION_HEIGHT) :]
    assert below[:32, 32 * 3 : 32 * 7].std() > 5 and (below[:32, 32 * 7 :] == 255).all()
    one = draw("--people", "1", "--start", "2", "--expressions", "jaw open", "--intensities", "0", "1")
    assert one.shape == (CAPTION_HEIGHT + 2 * (32 + CAPTION_HEIGHT), 32, 3)
    still, opened = (one[top : top + 32].astype(int) for top in (CAPTION_HEIGHT, 2 * CAPTION_HEIGHT + 32))
    assert np.abs(still - opened).max() > 20
    natural, plain = (
        draw("--people", "1", "--expressions", "neutral", "--look", look) for look in ("natural", "plain")
    )
    assert np.abs(natural.astype(int) - plain).max() > 20
    for options, message in (
        (("--source", str(tmp_path)), r"holds no \.glb file"),
        (("--expressions", "joy"), "--expressions joy: use some of neutral"),
        (("--people", "0"), "--people must be 1 or more"),
        (("--output", str(tmp_path / "sheet.what")), "sheet.what does not have the extension of an image"),
        (("--exclude", "Z"), "heads that do not exist: Z"),
    ):
        with pytest.raises(SystemExit, match=f"tergan_hf.rendering: .*{message}"):
            draw(*options)


def test_a_clone_of_the_library_gives_what_a_folder_of_copies_gives(tmp_path):
    """The library has a folder for each ethnicity, more people, and each person in several clothes."""
    copies, clone = tmp_path / "copies", tmp_path / "clone"
    copies.mkdir()
    for name in ("X_AIAN_M_1", "AIAN_F_1"):
        made = make_head(copies / f"{name}_Casual.glb")
        inner = clone / "avatars" / name.removeprefix("X_")[:4]
        inner.mkdir(parents=True, exist_ok=True)
        for clothes in ("Busi", "Casual", "Util"):
            (inner / f"{name}_{clothes}.glb").write_bytes(made.read_bytes())
    (clone / "avatars" / "AIAN" / "AIAN_F_2_Casual.glb").write_bytes(b"not in the published weights")
    plans = [plan_avatars(source, SETTINGS, DESCRIPTION) for source in (copies, clone)]
    assert list(head_files(clone)) == ["AIAN_F_1", "X_AIAN_M_1"]
    assert plans[0].record() == plans[1].record()
    of_copies, of_clone = (plan.make_rows(plan.shards[0].job) for plan in plans)
    assert [row["image"] for row in of_copies] == [row["image"] for row in of_clone]
    absent = ", ".join(sorted(set(HEADS) - set(head_files(clone))))
    assert plans[1].missing == [f"32 of 34 heads; without them the rendered people are different: {absent}"]
    assert missing_heads(dict.fromkeys(HEADS[2:]), HEADS[:2]) == []
    assert missing_heads({"A": copies}) == []  # other heads than the library's


def test_excluded_heads_are_in_no_person_and_only_these_in_the_validation_set(heads_folder, tmp_path):
    small = AvatarSettings(people=3, sessions=1, expressions=2, size=32)
    for name, settings, expected in (
        ("train", replace(small, exclude=("B",)), {"A", "C"}), ("validation", replace(small, only=("B",)), {"B"}),
    ):  # fmt: skip
        render(heads_folder, tmp_path / name, settings)
        heads = load_photos(str(tmp_path / name))["heads"]
        assert {head for names in heads for head in names.split("+")} == expected


def labelled(rendered):
    """The photos with one of the seven labels."""
    return load_photos(str(rendered)).filter(lambda label: label != OTHER, input_columns="expression")


def draw_exact_pairs(rendered) -> dict:
    """A batch of 40 pairs with ground truth, with padded crops for 64 pixels."""
    cropped = make_padded_crops(labelled(rendered), 64)
    sets, _ = label_photo_sets({"rendered": cropped}, list(EXPRESSIONS_WITH_NEUTRAL))
    pairs = ExpressionPairs(sets, 40, padded_crop_size(64), ground_truth_share=1.0)
    return torch.utils.data.default_collate([pairs[number] for number in range(40)])


def test_photos_on_the_device_equal_the_drawn_ones(rendered):
    cropped = make_padded_crops(labelled(rendered), 64)
    sets, _ = label_photo_sets({"some": cropped, "others": cropped.select(range(7))}, list(EXPRESSIONS_WITH_NEUTRAL))
    side = padded_crop_size(64)
    stored = DevicePhotos(sets, side, torch.device("cpu"), with_flow_maps=True)
    for kind in (BalancedPhotos, ExpressionPairs):
        loaded, numbered = kind(sets, 40, side), kind(sets, 40, side, first_rows=stored.first_rows)
        wanted, drawn = (
            torch.utils.data.default_collate([items[n] for n in range(40)]) for items in (loaded, numbered)
        )
        found = stored.look_up(drawn)
        assert found.keys() == wanted.keys()
        torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("elastic_deformation", [0, 0.04])
def test_warping_by_the_exact_flow_turns_the_target_into_the_truth(rendered, elastic_deformation):
    """These heads have no teeth, so the target warped by the exact flow must come near the truth."""
    batch = draw_exact_pairs(rendered)
    assert batch["has_flow"].all()
    mirrored = torch.tensor([[-0.95, 0.1, 0.03], [0.1, 0.95, -0.02]]).expand(40, 2, 3)
    deformations = draw_elastic_deformations(
        torch.full((40,), elastic_deformation), 64, torch.Generator().manual_seed(0), "cpu"
    )
    target = cut_crops(to_range(batch["target"]), mirrored, 64, deformations=deformations)
    truth = cut_crops(to_range(batch["truth"]), mirrored, 64, batch["registration"], deformations)
    flow, known = true_flow(
        batch["target_flow_map"], batch["truth_flow_map"], mirrored, batch["to_photo"], 64, deformations
    )
    moving = flow.abs().flatten(1).amax(1) > 0.05
    assert moving.sum() > 10 and known.float().mean() > 0.9
    miss = (warp(target, flow) - truth).abs().mean(1, keepdim=True)
    still = (target - truth).abs().mean(1, keepdim=True)
    moved = (flow.abs().amax(1, keepdim=True) > 0.02) & known
    assert miss[moved].mean() < 0.5 * still[moved].mean()


def test_uncovered_marks_only_surfaces_that_the_target_hides(rendered):
    raw = draw_exact_pairs(rendered)
    raw["has_flow"][:5] = False
    arguments = TrainingArguments(
        sources=[DataSource("rendered", "folder")], pair_augmentation=AugmentationConfig(occlusion=1)
    )
    batch = augment_pairs({"pairs": raw}, arguments, 64, torch.Generator().manual_seed(0))
    assert not (batch.uncovered & batch.flow_known).any()
    assert not batch.uncovered[:5].any() and not batch.flow_known[:5].any()  # the flow is unknown
    same = (raw["target"] == raw["truth"]).flatten(1).all(1)
    changed = ~same
    changed[:5] = False
    share = batch.uncovered.float().flatten(1).mean(1)
    assert same.any() and share[same].mean() < 0.001 < share[changed].mean() < 0.05
    hidden = ~(batch.uncovered | batch.flow_known)[5:]
    assert hidden.flatten(1).any(1).all()  # by the occluder in front of each face
