"""Portraits in any expression: fit, exact flow, uncovered pixels, and a reproducible set."""

import io
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf.data import __main__ as command
from tergan_hf.data.flow_maps import decode_flow_map, encode_fine_flow_map, match_flow_map
from tergan_hf.data.ground_truth import true_flow
from tergan_hf.data.loading import load_photos
from tergan_hf.expressions import sampling
from tergan_hf.expressions.blendshapes import BLENDSHAPES, COLUMN_NAMES, Expression, to_vector
from tergan_hf.model.outputs_tergan import warp
from tergan_hf.portraits import assets, set_building
from tergan_hf.portraits.camera import Camera, rotation_matrix
from tergan_hf.portraits.fitting import Fitter
from tergan_hf.portraits.landmarks import EYES
from tergan_hf.portraits.lighting import LightChange
from tergan_hf.portraits.occluders import has_spectacles
from tergan_hf.portraits.portrait import Portrait, cut_frame
from tergan_hf.portraits.rendering import Session, View
from tergan_hf.portraits.smile_prior import SmilePrior
from tergan_hf.portraits.warping import interpolate_membrane, pixel_grid, sample

from .portrait_model import make_correspondence, make_face_model, make_photo, use_portrait_model


SIZE = 128


@pytest.fixture(scope="module")
def fitter() -> Fitter:
    model = make_face_model()
    return Fitter(model, make_correspondence(model))


@pytest.fixture(scope="module")
def portrait(fitter) -> Portrait:
    frame = cut_frame(*make_photo(fitter.model), SIZE, 1.4)
    return Portrait(fitter, frame, SmilePrior.empty(fitter.model))


def weights(**named: float) -> np.ndarray:
    vector = np.zeros(len(BLENDSHAPES), np.float32)
    for name, weight in named.items():
        vector[BLENDSHAPES.index(name)] = weight
    return vector


def grey(rendering) -> np.ndarray:
    return rendering.image.astype(np.float32).mean(2)


def test_the_fit_recovers_camera_and_expression(fitter):
    model = fitter.model
    rotation = rotation_matrix(np.array([0.05, -0.12, 0.03]))
    camera = Camera(rotation, (250.0, 230.0), 17.0)
    shape = model.shape(np.array([1.0, -0.5], np.float32), weights(jawOpen=0.3))
    points = fitter.correspondence.pick(model, camera.project(shape - model.middle))[:, :2]
    fit = fitter.fit(points, posed=True)
    assert fit.landmark_error < 0.8 and fit.residual_error < 0.3
    assert np.abs(fit.camera.rotation - rotation).max() < 0.03
    assert fit.expression[BLENDSHAPES.index("jawOpen")] == pytest.approx(0.3, abs=0.1)


def test_the_camera_derivative_is_right():
    random = np.random.default_rng(0)
    points = random.normal(0, 5, (6, 3))
    camera = Camera(rotation_matrix(np.array([0.1, 0.2, 0.0])), (100.0, 90.0), 20.0)
    for k, step in enumerate(1e-4 * np.eye(6)):
        moved = (camera.moved(step).project(points) - camera.project(points))[:, :2].ravel() / 1e-4
        assert moved == pytest.approx(camera.pose_jacobian(points)[:, k], rel=0.02, abs=0.5)


def test_the_neutral_face_is_the_photo(portrait):
    neutral = Session(portrait).render(weights())
    photo = cv2.resize(portrait.picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(neutral.image - np.clip(photo, 0, 255)).max() <= 0.5
    assert not neutral.uncovered.any() and np.abs(neutral.flow).max() == 0


def test_flow_leads_to_the_photo_and_matches_the_vertices(portrait):
    session = Session(portrait)
    photo, smile = session.photo(), session.render(weights(mouthSmileLeft=0.8, mouthSmileRight=0.8))
    fetched = sample(photo.image.astype(np.float32), pixel_grid(SIZE) + smile.flow).mean(2)
    moved = ~smile.uncovered & (np.abs(smile.flow).max(2) > 1)
    assert moved.sum() > 100
    # The remaining difference is shading.
    assert np.abs(fetched - grey(smile))[moved].mean() < 0.5 * np.abs(grey(photo) - grey(smile))[moved].mean()
    # The corner of the mouth rises about as far as the model's, and the flow there leads back down.
    corner = smile.landmarks[4]
    risen = (photo.landmarks[4] - corner)[1]
    x, y = (int(value) for value in corner)
    assert risen > 0.4 * portrait.cm / 2
    assert smile.flow[y - 1 : y + 2, x - 1 : x + 2, 1].mean() == pytest.approx(float(risen), abs=0.25 * float(risen))


def test_an_open_mouth_is_uncovered_and_the_forehead_is_still(portrait):
    opened = Session(portrait).render(weights(jawOpen=0.6))
    between = portrait.points2d[[13, 14]].mean(0) / 2 + [0, 0.6 * portrait.cm / 2]
    x, y = (int(value) for value in between)
    assert opened.uncovered[y - 1 : y + 2, x - 1 : x + 2].all()
    assert opened.uncovered.mean() < 0.1
    assert np.abs(opened.flow[: SIZE // 4]).max() < 0.2


def test_a_blink_marks_hidden_skin(portrait):
    session = Session(portrait)
    photo, blink = session.photo(), session.render(weights(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    fetched = sample(photo.image.astype(np.float32), pixel_grid(SIZE) + blink.flow).mean(2)
    unmarked = (np.abs(fetched - grey(blink)) > 30) & ~blink.uncovered
    assert unmarked.sum() == 0
    for ring in EYES.values():
        x, y = (int(value) for value in portrait.points2d[ring].mean(0) / 2)
        assert blink.uncovered[y, x]
        assert abs(grey(blink)[y, x] - grey(photo)[y, x]) > 15  # skin instead of an iris


def test_gaze_moves_the_iris_and_the_flow_agrees(portrait):
    vector = to_vector(Expression("other", 1.0, {}, (24.0, 0.0)))
    assert vector[-2:] == pytest.approx([0.8, 0.0])
    gaze = Session(portrait).render(vector[: len(BLENDSHAPES)])
    for ring in EYES.values():
        x, y = portrait.points2d[ring].mean(0) / 2
        shift = 1.2 * portrait.cm / 2 * np.sin(np.radians(24))
        at = (int(y), int(x + shift))
        assert gaze.flow[at][0] == pytest.approx(-shift, abs=0.3)
        assert grey(gaze)[at] < 110  # the iris is here now
    assert np.abs(gaze.flow[-SIZE // 4 :]).max() < 0.05


def test_a_turned_session_moves_the_nose_and_its_neutral_face_has_no_flow(portrait):
    session = Session(portrait, View(10.0, 0.0, LightChange((1.0, 0.0), 0.3)))
    neutral = session.render(weights())
    assert neutral.landmarks[2, 0] > Session(portrait).photo().landmarks[2, 0] + 1.5
    assert np.abs(neutral.flow[~neutral.uncovered]).max() < 0.05
    assert np.abs(neutral.image.astype(int) - Session(portrait).photo().image).mean() > 1


def test_spectacles_do_not_move(fitter, portrait):
    photo, landmarks = make_photo(fitter.model)
    bar = photo.copy()
    right, left = landmarks[EYES["Right"]].mean(0), landmarks[EYES["Left"]].mean(0)
    cv2.line(bar, tuple(map(int, right)), tuple(map(int, left)), (20, 20, 20), 5)
    frame = cut_frame(bar, landmarks, SIZE, 1.4)
    assert has_spectacles(frame.picture, frame.points, portrait.cm)
    assert not has_spectacles(portrait.picture, portrait.points2d, portrait.cm)
    covered = Portrait(fitter, frame, SmilePrior.empty(fitter.model))
    brows = weights(browInnerUp=1.0)
    assert not covered.renderable(brows).any() and portrait.renderable(brows).any()
    bridge = portrait.nearest[168]
    assert covered.mobility[bridge] < 0.2 < portrait.mobility[bridge]


def test_a_membrane_interpolates_between_known_and_still_pixels():
    known, still = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    known[24:40, 24:40] = True
    still[-4:] = True
    field = interpolate_membrane(np.full((64, 64, 1), 3.0, np.float32), known, still)[..., 0]
    assert (field[known] == 3).all() and (field[still] == 0).all()
    assert 0.5 < field[50, 32] < 2.5 and (field >= 0).all() and (field <= 3.001).all()


def test_renderings_repeat_bit_by_bit(fitter, portrait):
    again = Portrait(fitter, cut_frame(*make_photo(fitter.model), SIZE, 1.4), SmilePrior.empty(fitter.model))
    expression = weights(jawOpen=0.4, eyeBlinkLeft=0.6, mouthSmileLeft=0.5)
    first, second = (Session(one).render(expression) for one in (portrait, again))
    for name in ("image", "flow", "uncovered", "landmarks"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_fine_and_coarse_flow_maps_are_decoded():
    motion = np.random.default_rng(0).uniform(-0.15, 0.15, (2, 16, 16))
    levels = torch.from_numpy(encode_fine_flow_map(motion, 1)).permute(2, 0, 1)
    assert np.abs(decode_flow_map(levels).numpy() - motion).max() <= 0.51 / 640 / 256
    assert np.abs(decode_flow_map(levels[:2]).numpy() - motion).max() <= 0.51 / 640
    assert torch.equal(match_flow_map(levels[:2], (4, 16, 16))[:2], levels[:2])
    coarse = torch.full((2, 16, 16), 140, dtype=torch.uint8)
    assert (decode_flow_map(match_flow_map(coarse, (4, 32, 32))) - 12 / 640).abs().max() < 1e-6


@pytest.fixture
def build(monkeypatch, tmp_path, fitter):
    """A function that runs the command on three synthetic people."""
    use_portrait_model(monkeypatch, tmp_path, fitter)
    monkeypatch.setattr(set_building, "PEOPLE_PER_SHARD", 1)

    def run(output, *options):
        monkeypatch.setattr(sys, "argv", [
            "tergan_hf.data", "portraits", "--source", str(tmp_path / "source"), "--ict", str(tmp_path / "ict"),
            "--landmarker", str(tmp_path / "landmarker"), "--output", str(tmp_path / output), "--processes", "1",
            "--size", "64", "--expressions", "2", *options,
        ])  # fmt: skip
        command.main()
        return tmp_path / output

    return run


def test_the_set_is_reproducible_and_continues_after_a_kill(build):
    first, second = build("one"), build("two")
    files = sorted(path.name for path in first.iterdir())
    assert len([name for name in files if name.endswith(".parquet")]) == 3
    contents = {name: (first / name).read_bytes() for name in files}
    assert contents == {name: (second / name).read_bytes() for name in files}
    (second / "README.md").unlink()
    (second / "train-00001-of-00003.parquet").unlink()
    build("two")
    assert contents == {name: (second / name).read_bytes() for name in files}


def test_columns_of_the_set(build):
    folder = build("set", "--exclude", "b", "--sessions", "2")
    rows = load_photos(str(folder))
    assert set(rows["identity"]) == {"source_a", "source_c"} and len(rows) == 2 * 2 * 3
    row = rows[1]
    assert len(row["blendshapes"]) == len(COLUMN_NAMES) == 53
    assert np.array(row["landmarks"]).shape == (5, 2) and 0 < np.min(row["landmarks"]) < np.max(row["landmarks"]) < 64
    neutral = [one for one in rows if one["expression"] == "neutral"]
    assert {one["expression_id"] for one in neutral} == {0} and {one["session"] for one in neutral} == {0, 1}
    card = (folder / "README.md").read_text()
    assert "--exclude b" in card and "eyeBlinkLeft" in card


def test_validation_people_are_a_split_and_teach_nothing(build, monkeypatch, tmp_path):
    taught = []
    monkeypatch.setattr(
        assets, "cached_smile_prior",
        lambda people, *_: taught.extend(people) or tmp_path / "smile_prior.npz",
    )  # fmt: skip
    (tmp_path / "names.txt").write_text("source_a\nb\n")
    folder = str(build("set", "--validation", f"@{tmp_path / 'names.txt'}"))
    assert set(load_photos(folder)["identity"]) == {"source_c"} == {one.identity for one in taught}
    assert set(load_photos(folder, "validation")["identity"]) == {"source_a", "source_b"}


def test_training_reads_the_flow_of_the_set(build, monkeypatch):
    """Warp one picture of a session to another, where both show the same skin."""
    shown = [
        Expression("happiness", share, {"mouthSmileLeft": share, "mouthSmileRight": share, "jawOpen": 0.3 * share})
        for share in (0.4, 1.0)
    ]
    monkeypatch.setattr(sampling, "draw_expressions", lambda *_: shown)
    rows = load_photos(str(build("set", "--size", "128", "--sessions", "1")))
    target, truth = rows[1], rows[2]
    assert truth["intensity"] == 1 and target["identity"] == truth["identity"]

    def picture(column, row):
        return np.array(Image.open(io.BytesIO(row[column]["bytes"])))

    maps = [torch.from_numpy(picture("flow", row)).permute(2, 0, 1)[None] for row in (target, truth)]
    whole = torch.eye(2, 3)[None]
    flow, known = true_flow(*maps, whole, whole, 128)
    photos = [torch.from_numpy(picture("image", row)).permute(2, 0, 1)[None].float() for row in (target, truth)]
    both = [torch.from_numpy(np.array(row["uncovered"]) == 0)[None, None] for row in (target, truth)]
    moved = known & both[0] & both[1] & (flow.abs().amax(1, keepdim=True) > 0.01)
    before = ((photos[0] - photos[1]).abs().mean(1, keepdim=True))[moved].mean()
    after = ((warp(photos[0], flow) - photos[1]).abs().mean(1, keepdim=True))[moved].mean()
    assert moved.sum() > 100 and after < 0.6 * before


def test_unknown_people_and_wrong_sizes_are_refused(build):
    with pytest.raises(SystemExit, match="no person has that name"):
        build("set", "--exclude", "zz")
    with pytest.raises(SystemExit, match="leave nobody for the split train"):
        build("set", "--exclude", "a", "--validation", "b", "c")
    with pytest.raises(SystemExit, match="multiple of 8"):
        build("set", "--size", "100")


def test_people_differ_in_wrinkles_and_agree_in_motion(fitter, portrait):
    frown = weights(browDownLeft=1.0, browDownRight=1.0)
    frame = cut_frame(*make_photo(fitter.model), SIZE, 1.4)
    other = Portrait(fitter, frame, SmilePrior.empty(fitter.model), seed=5)
    first, second = Session(portrait).render(frown), Session(other).render(frown)
    assert np.array_equal(first.flow, second.flow)
    assert np.abs(first.image.astype(int) - second.image).max() > 2
