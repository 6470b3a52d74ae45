"""Detection, alignment, reading and paste-back."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

from tergan_hf.model.face_alignment_tergan import (
    TEMPLATE,
    compose_transforms,
    crop_face,
    fit_crop_transform,
    invert_transform,
    whole_image_transform,
    zoom_out,
)
from tergan_hf.model.face_blending_tergan import MOVEMENT, paste_change, paste_crop
from tergan_hf.model.face_detection_tergan import FaceDetector
from tergan_hf.model.image_loading_tergan import ImageInputError, read_image
from tergan_hf.model.modeling_tergan import TerGanChange
from tergan_hf.model.torchvision_compat import non_maximum_suppression

from .conftest import EXAMPLES


def apply(crop_transform, points):
    return points @ crop_transform[:, :2].T + crop_transform[:, 2]


def gradient(width, height):
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.uint8(np.stack([x, y, 255 - x], axis=-1)))


def test_similarity_framing_undoes_any_similarity():
    angle, scale, shift = 0.4, 123.0, np.array([50.0, -20.0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = TEMPLATE @ rotation.T * scale + shift
    np.testing.assert_allclose(apply(fit_crop_transform(landmarks), landmarks), TEMPLATE, atol=1e-9)


def test_similarity_framing_does_not_mirror():
    crop_transform = fit_crop_transform(TEMPLATE * 100 + np.array([[0, 0], [0, 0], [3, 4], [0, 0], [0, 0]]))
    assert np.linalg.det(crop_transform[:, :2]) > 0


def test_a_smile_hardly_moves_the_framing():
    landmarks = TEMPLATE * 100
    smile = landmarks + np.array([[0, 0], [0, 0], [0, 0], [-4, -3], [4, -3]])
    corners = np.array([[0, 0], [100, 0], [0, 100], [100, 100]], float)
    moved = apply(fit_crop_transform(smile), corners) - apply(fit_crop_transform(landmarks), corners)
    assert np.abs(moved).max() < 0.03


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2))])
def test_unusable_landmarks_are_refused(landmarks):
    with pytest.raises(ValueError, match="landmarks"):
        fit_crop_transform(landmarks)


def test_framings_compose_and_invert():
    crop_transform = fit_crop_transform(TEMPLATE * 80 + 7)
    identity = compose_transforms(crop_transform, invert_transform(crop_transform))
    np.testing.assert_allclose(identity, np.eye(2, 3), atol=1e-12)
    wide = invert_transform(zoom_out(crop_transform, 1.5))
    narrow = invert_transform(crop_transform)
    assert abs(np.linalg.det(wide[:, :2])) == pytest.approx(1.5**2 * abs(np.linalg.det(narrow[:, :2])))
    np.testing.assert_allclose(apply(wide, np.array([[0.5, 0.5]])), apply(narrow, np.array([[0.5, 0.5]])))


def test_crop_of_the_whole_image_is_the_image():
    image = gradient(64, 64)
    assert np.abs(np.asarray(crop_face(image, whole_image_transform(64, 64), 64), int) - np.asarray(image)).max() <= 1


@pytest.mark.parametrize("side", [40, 300, 2000])
def test_crop_shows_the_framed_square_at_any_resolution(side):
    image = gradient(side, side)
    crop_transform = zoom_out(whole_image_transform(side, side), 0.5)  # the middle half
    crop = np.asarray(crop_face(image, crop_transform, 32), float)
    assert crop[:, 0, 0].mean() == pytest.approx(255 * (0.25 + 0.5 / 64), abs=4)
    assert crop[:, -1, 0].mean() == pytest.approx(255 * (0.75 - 0.5 / 64), abs=4)


def test_crop_repeats_the_edge_outside_the_photo():
    image = Image.new("RGB", (50, 50), (200, 100, 50))
    crop = np.asarray(crop_face(image, zoom_out(whole_image_transform(50, 50), 3.0), 30))
    assert np.abs(crop.astype(int) - np.array([200, 100, 50])).max() <= 1


def test_a_change_of_nothing_changes_no_pixel():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    crop_transform = fit_crop_transform(TEMPLATE * 50 + 20)
    pasted = paste_change(photo, crop_transform, np.zeros((32, 32, 3)), np.zeros((32, 32, 2)))
    assert np.array_equal(np.asarray(pasted), np.asarray(photo))


@pytest.mark.parametrize("way", ["crop", "residual", "residual and flow"])
def test_paste_changes_the_face_and_nothing_around_it(way):
    photo = Image.new("RGB", (200, 160), (100, 100, 100))
    crop_transform = fit_crop_transform(TEMPLATE * 80 + np.array([60, 40]))
    if way == "crop":
        pasted = paste_crop(photo, crop_transform, np.full((32, 32, 3), 150.0))
    else:
        flow = np.zeros((32, 32, 2)) if "flow" in way else None
        pasted = paste_change(photo, crop_transform, np.full((32, 32, 3), 50.0), flow)
    pasted = np.asarray(pasted, int)
    assert (pasted[80, 100] == 150).all()
    outside = np.ones((160, 200), bool)
    outside[38:122, 58:142] = False
    assert (pasted[outside] == 100).all()
    assert np.abs(np.diff(pasted[80, :, 0])).max() <= 12, "the border must fade"


@pytest.mark.parametrize("side, keeps_sharp", [(48, False), (96, True)])
def test_pixels_move_linearly_in_photos_of_the_networks_size_and_by_a_cubic_in_larger_ones(side, keeps_sharp):
    step = np.full((side, side, 3), 60, np.uint8)
    step[:, side // 2 :] = 180
    flow = np.zeros((32, 32, 2))
    flow[..., 0] = 0.5 / side  # half a pixel
    crop_transform = whole_image_transform(side, side)
    pasted = np.asarray(paste_change(Image.fromarray(step), crop_transform, np.zeros((32, 32, 3)), flow))[
        side // 2, :, 0
    ]
    assert pasted[side // 2 - 1] == 120
    assert (pasted.max() > 180 and pasted.min() < 60) == keeps_sharp


def test_what_is_painted_keeps_its_detail_in_photos_of_the_networks_size():
    photo = Image.new("RGB", (64, 64), (128, 128, 128))
    waves = 60 * np.cos(np.arange(64) * np.pi / 2)  # 4 pixels long
    residual = np.broadcast_to(waves[None, :, None], (64, 64, 3))
    crop_transform = compose_transforms(np.array([[1, 0, 0.5 / 64], [0, 1, 0]]), whole_image_transform(64, 64))
    pasted = np.asarray(paste_change(photo, crop_transform, residual), float)[32, 16:48, 0] - 128
    assert np.abs(pasted).max() > 0.9 * 60 * np.cos(np.pi / 4), "between pixels a straight line is only 0.7 as high"


def test_flow_fetches_the_photos_own_pixels():
    photo = gradient(256, 256)
    crop_transform = whole_image_transform(256, 256)
    flow = np.zeros((32, 32, 2))
    flow[..., 0] = 0.1  # a tenth of the side to the right
    pasted = np.asarray(paste_change(photo, crop_transform, np.zeros((32, 32, 3)), flow), int)
    expected = np.asarray(photo, int)[:, 26:]
    assert np.abs(pasted[64:192, 64:192] - expected[64:192, 64:192]).max() <= 2


def test_a_movement_fades_out_around_the_crop():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8))
    crop_transform = zoom_out(whole_image_transform(200, 160), 0.5)  # x 50 to 150, y 40 to 120
    flow = np.full((32, 32, 2), 0.05)
    changed = (np.asarray(paste_change(photo, crop_transform, np.zeros((32, 32, 3)), flow)) != np.asarray(photo)).any(
        2
    )
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert 40 - 80 * MOVEMENT.outside - 1 <= rows[0] < 40 and 120 < rows[-1] <= 120 + 80 * MOVEMENT.outside
    assert 50 - 100 * MOVEMENT.outside - 1 <= columns[0] < 50 and 150 < columns[-1] <= 150 + 100 * MOVEMENT.outside


def test_flow_turns_with_the_face():
    """In a photo turned by 90° the same flow must move pixels along the turned axis."""
    photo = gradient(200, 200)
    turned = np.array([[0.0, 1 / 200, 0.0], [-1 / 200, 0.0, 1.0]])  # crop x runs down the photo
    flow = np.zeros((32, 32, 2))
    flow[..., 0] = 0.1
    pasted = np.asarray(paste_change(photo, turned, np.zeros((32, 32, 3)), flow), int)
    expected = np.asarray(photo, int)[20:]
    assert np.abs(pasted[60:140, 60:140] - expected[60:140, 60:140]).max() <= 2


def test_a_change_seen_from_further_away_is_the_same_change():
    crop_transform, margin = np.array([[1 / 90, 0.0, -0.4], [0.0, 1 / 90, -0.3]]), 1.25
    maps = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    residual, flow = F.interpolate(maps, size=(64, 64), mode="bicubic").split([3, 2], dim=1)
    photo = Image.fromarray(np.random.default_rng(0).integers(60, 190, (8, 8, 3), dtype=np.uint8))
    photo = photo.resize((170, 170), Image.Resampling.BICUBIC)

    def pasted(change: TerGanChange, crop_transform: np.ndarray) -> np.ndarray:
        residual, flow = (maps[0].permute(1, 2, 0).numpy() for maps in (change.residual, change.flow))
        return np.asarray(paste_change(photo, crop_transform, 20 * residual, 0.03 * flow, fades=False), int)

    near = TerGanChange(None, flow, residual)
    expected = pasted(near, crop_transform)
    result = pasted(near.zoom_out(margin), zoom_out(crop_transform, margin))
    inside = np.s_[30:114, 39:123]
    assert np.abs(expected - np.asarray(photo, int))[inside].max() > 20
    assert np.abs(result - expected)[inside].max() <= 3


def test_a_face_that_is_replaced_has_no_change_to_move():
    for ask in (TerGanChange.mirror, lambda change: change.zoom_out(1.1)):
        with pytest.raises(ValueError, match="replaces the whole face"):
            ask(TerGanChange(torch.zeros(1, 3, 8, 8)))


def test_paste_of_a_face_outside_the_photo_is_the_photo():
    photo = Image.new("RGB", (50, 50), "red")
    crop_transform = fit_crop_transform(TEMPLATE * 40 + 500)
    for pasted in (
        paste_crop(photo, crop_transform, np.zeros((8, 8, 3))),
        paste_change(photo, crop_transform, np.ones((8, 8, 3))),
    ):
        assert np.array_equal(np.asarray(pasted), np.asarray(photo))


def test_detector_finds_the_example_faces(smiling):
    faces = FaceDetector().detect(smiling.convert("RGB"))
    assert len(faces) == 1
    left_eye, right_eye, nose, left_mouth, _ = faces[0].landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert faces[0].confidence > 0.95


def test_landmarks_stay_when_the_photo_is_moved_or_mirrored():
    detector, moved, mirrored = FaceDetector(), [], []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        face = detector.detect(photo)[0]
        crop = np.sqrt(np.linalg.det(face.crop_transform[:, :2])) * 128  # pixels of the crop / pixels of the photo
        for pixels in (5, 11, 26):
            found = detector.detect(ImageOps.expand(photo, (pixels, 2 * pixels, 0, 0), fill="grey"))[0].landmarks
            moved.append(crop * np.linalg.norm(found - [pixels, 2 * pixels] - face.landmarks, axis=1).mean())
        found = detector.detect(ImageOps.mirror(photo))[0].landmarks[[1, 0, 2, 4, 3]]
        mirrored.append(crop * np.linalg.norm([photo.width, 0] + [-1, 1] * found - face.landmarks, axis=1).mean())
    assert np.mean(moved) < 0.4 and np.mean(mirrored) < 0.4


def test_a_refinement_without_confidence_is_not_used(smiling, monkeypatch):
    detector, photo = FaceDetector(), smiling.convert("RGB")
    sure = detector.detect(photo)[0].landmarks
    assert detector.refine_landmarks(photo, sure)[1] > 0.9
    assert detector.refine_landmarks(Image.new("RGB", photo.size, "grey"), sure)[1] < 0.7
    monkeypatch.setattr(detector, "refine_landmarks", lambda image, landmarks: (landmarks + 100, 0.5))
    assert np.abs(detector.detect(photo)[0].landmarks - sure).max() < 10


def test_detector_puts_the_largest_face_first_and_keeps_photo_pixels(smiling):
    big = smiling.convert("RGB").resize((1500, 1500))
    canvas = Image.new("RGB", (2400, 1500), "white")
    canvas.paste(smiling.convert("RGB").resize((600, 600)), (0, 0))
    canvas.paste(big, (900, 0))
    faces = FaceDetector().detect(canvas)
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert faces[0].box[0] > 900


@pytest.mark.parametrize(
    "image", [Image.new("RGB", (200, 200), "grey"), Image.new("RGB", (3, 2)), gradient(500, 30), gradient(9000, 4)]
)
def test_detector_finds_nothing_where_nothing_is(image):
    assert FaceDetector().detect(image) == []


def test_reading_honours_exif_rotation_and_modes(tmp_path):
    image = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", "x").size == (20, 40)
    assert read_image(Image.new("L", (5, 5), 9), "x").getpixel((0, 0)) == (9, 9, 9)
    assert read_image(Image.new("RGBA", (5, 5), (0, 0, 0, 0)), "x").getpixel((0, 0)) == (255, 255, 255)
    assert read_image(Image.new("CMYK", (5, 5)), "x").mode == "RGB"
    deep = Image.fromarray(np.full((5, 5), 32768, np.uint16))
    assert read_image(deep, "x").getpixel((0, 0))[0] == pytest.approx(127, abs=1)


def test_reading_names_what_it_cannot_read(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:2000])
    for bad in ("text.jpg", "half.png"):
        with pytest.raises(ImageInputError, match=rf"portrait.*{bad}"):
            read_image(tmp_path / bad, "portrait")
    with pytest.raises(FileNotFoundError, match=r"portrait.*gone\.jpg"):
        read_image(tmp_path / "gone.jpg", "portrait")
    for bad in (np.zeros((5, 5)), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8), 7, None):
        with pytest.raises(ImageInputError, match="portrait"):
            read_image(bad, "portrait")


def test_non_maximum_suppression_keeps_the_best_of_overlapping_boxes():
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 5]], dtype=torch.float)
    scores = torch.tensor([0.8, 0.9, 0.5, 0.7])
    # 1 beats 0 (IoU 81/119); 3 overlaps 1 by 36/114; 2 stands alone.
    assert non_maximum_suppression(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert non_maximum_suppression(boxes, scores, 0.3).tolist() == [1, 2]
    assert non_maximum_suppression(boxes[:0], scores[:0], 0.5).tolist() == []
