"""Registration of photographs of one face."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tergan_hf.data.crops import cut_crops, to_range
from tergan_hf.data.padded_crops import PADDED_CROP_MARGIN
from tergan_hf.data.registration import register_faces
from tergan_hf.model.face_alignment_tergan import crop_face, zoom_out
from tergan_hf.model.face_detection_tergan import FaceDetector

from .conftest import EXAMPLES


@pytest.fixture(scope="module")
def padded_crops() -> torch.Tensor:
    """Padded crops of seven people, (7, 3, 208, 208)."""
    detector, side = FaceDetector(), 208
    shown = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        photo = Image.open(path)
        shown.append(
            np.asarray(crop_face(photo, zoom_out(detector.detect(photo)[0].crop_transform, PADDED_CROP_MARGIN), side))
        )
    return to_range(torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2))


def similarities(count: int, pixels: float, degrees: float, scale: float, seed: int = 0) -> torch.Tensor:
    """Random similarity transforms (count, 2, 3) of crops of 128 pixels, up to the given limits."""
    x, y, angle, size = torch.rand(4, count, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    angle, size = torch.deg2rad(degrees * angle), 1 + scale * size
    cos, sin, shift = size * angle.cos(), size * angle.sin(), 2 * pixels / 128
    return torch.stack([cos, -sin, shift * x, sin, cos, shift * y], dim=1).view(count, 2, 3)


def pixels_apart(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(B,) largest distance at the eyes and the mouth, in pixels of 128-pixel crops."""
    places = torch.tensor([[-0.36, -0.33, 1], [0.36, -0.33, 1], [0, 0.47, 1]])
    return 64 * ((some - others) @ places.T).norm(dim=1).amax(1)


def crops(padded_crops: torch.Tensor, crop_transforms: torch.Tensor | None = None) -> torch.Tensor:
    """Crops of 128 pixels, by default the aligned ones."""
    if crop_transforms is None:
        crop_transforms = torch.eye(2, 3).expand(len(padded_crops), 2, 3)
    return cut_crops(padded_crops, crop_transforms, 128)


def test_shift_rotation_and_scale_are_found_despite_another_light_and_another_mouth(padded_crops):
    reference, moved = crops(padded_crops), similarities(len(padded_crops), pixels=4, degrees=4, scale=0.04)
    reference = reference.clone()
    reference[:, :, 84:104, 40:88] = -0.9  # a mouth wide open
    reference = (reference * 0.8 + torch.linspace(-0.3, 0.3, 128)).clamp(-1, 1)  # light from one side
    images = crops(padded_crops, moved)
    # `moved` maps the images to the reference, so the registration is its inverse.
    truth = torch.linalg.inv(torch.cat([moved, torch.tensor([[0.0, 0, 1]]).expand(len(moved), 1, 3)], dim=1))[:, :2]
    still = torch.eye(2, 3).expand(len(padded_crops), 2, 3)
    assert pixels_apart(still, truth).mean() > 3
    left = pixels_apart(register_faces(images, reference), truth)
    assert left.median() < 0.3 and left.max() < 1


def test_registration_of_unrelated_images_stays_small(padded_crops):
    still = torch.eye(2, 3).expand(len(padded_crops), 2, 3)
    reference = crops(padded_crops)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    empty = torch.zeros_like(reference)
    for images, target in ((empty, reference), (reference, empty), (empty, empty)):
        assert torch.equal(register_faces(images, target), still)
    far = crops(padded_crops, similarities(len(padded_crops), 0, 0, 0) + torch.tensor([[0.0, 0, 0.5], [0, 0, 0.4]]))
    for images in (noise, far):
        found = register_faces(images, reference)
        assert pixels_apart(found, still).max() < 20 and found.isfinite().all()
    assert pixels_apart(register_faces(reference, reference), still).max() < 0.05


def test_cutting_with_the_registration_aligns_the_crops(padded_crops):
    moved = similarities(len(padded_crops), pixels=5, degrees=5, scale=0.05, seed=1)
    still = torch.eye(2, 3).expand(len(padded_crops), 2, 3)
    at_once = crops(padded_crops, moved)
    twice = cut_crops(padded_crops, still, 128, registration=register_faces(crops(padded_crops), at_once))
    assert F.l1_loss(twice, at_once) < 0.01 < F.l1_loss(crops(padded_crops), at_once)
