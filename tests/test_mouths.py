"""The discriminator of mouths: where it looks, and what it teaches."""

import math

import pytest
import torch
from torch.nn import functional as F

from tergan_hf.data.crops import cut_crops
from tergan_hf.data.ground_truth import cut_mouths
from tergan_hf.training.batches import PairBatch
from tergan_hf.training.discriminators import MouthDiscriminator
from tergan_hf.training.mouths import MouthPatches, discriminator_loss, generator_terms


SIZE = 96
STILL = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])


def transform(angle: float, scale: float, shift: tuple[float, float], mirrored: bool = False) -> torch.Tensor:
    turned = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if mirrored:
        turned = turned @ torch.diag(torch.tensor([-1.0, 1.0]))
    return torch.cat([turned, torch.tensor(shift)[:, None]], dim=1)[None]


def smooth_image(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), size=(SIZE, SIZE), mode="bicubic") * 2 - 1


@pytest.mark.parametrize("mirrored", [False, True])
def test_mouths_lie_at_the_same_place_however_a_crop_was_cut(mirrored):
    padded = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1
    padded = F.interpolate(padded, size=(2 * SIZE, 2 * SIZE), mode="bicubic")
    upright = cut_mouths(cut_crops(padded, STILL, SIZE), STILL)
    moved = transform(0.1, 0.95, (0.03, -0.04), mirrored)
    assert upright.shape == (1, 3, SIZE // 3, SIZE // 2)
    found = cut_mouths(cut_crops(padded, moved, SIZE), moved)
    inside = (slice(None), slice(None), slice(2, -6), slice(2, -2))
    assert (found - upright)[inside].abs().mean() < 0.03
    assert (found.flip(3) - upright)[inside].abs().mean() > 0.1


def batch_of(truth: torch.Tensor, uncovered: torch.Tensor | None) -> PairBatch:
    count = len(truth)
    labels = torch.zeros(count, dtype=torch.long)
    return PairBatch(
        truth, truth, truth, torch.ones(count, dtype=torch.bool), labels, labels, uncovered=uncovered,
        target_transform=STILL.expand(count, 2, 3),
    )  # fmt: skip


def teeth(count: int = 1) -> torch.Tensor:
    """What a closed mouth hides, at half the crops' size."""
    uncovered = torch.zeros(count, 1, SIZE // 2, SIZE // 2, dtype=torch.bool)
    uncovered[:, :, 36:42, 18:30] = True
    return uncovered


@pytest.fixture
def discriminator() -> MouthDiscriminator:
    torch.manual_seed(0)
    return MouthDiscriminator(3, (8, 16, 16)).eval()


def test_only_what_was_uncovered_is_judged(discriminator):
    truth, generated = smooth_image(1), smooth_image(2)
    elsewhere = generated.clone()
    elsewhere[:, :, : SIZE // 2] = 0  # the upper half of the face
    elsewhere[:, :, :, :20] = 0
    for other, same in ((elsewhere, True), (truth, False)):
        terms = [
            generator_terms(discriminator, MouthPatches.of(image, batch_of(truth, teeth())))
            for image in (generated, other)
        ]
        assert (terms[0]["mouth_adversarial"] == terms[1]["mouth_adversarial"]) == same
        assert (terms[0]["mouth_features"] == terms[1]["mouth_features"]) == same
    assert terms[1]["mouth_features"] == 0 < terms[0]["mouth_features"]


@pytest.mark.parametrize("uncovered", [None, teeth() & False], ids=["unknown", "nothing"])
def test_without_anything_uncovered_there_is_nothing_to_judge(discriminator, uncovered):
    patches = MouthPatches.of(smooth_image(2), batch_of(smooth_image(1), uncovered))
    assert all(term == 0 for term in generator_terms(discriminator, patches).values())
    assert discriminator_loss(discriminator, patches) == 0


def test_it_learns_to_prefer_true_mouths_to_blurred_ones():
    def mouths(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Stripes of random phase, as teeth may stand, and what the L1 makes of them."""
        phases = torch.rand(4, generator=torch.Generator().manual_seed(seed))[:, None, None, None] * 8
        truth = torch.sin((torch.arange(SIZE) + phases) * math.pi / 4).expand(4, 3, SIZE, SIZE)
        return truth, 0.1 * truth

    torch.manual_seed(0)
    discriminator = MouthDiscriminator(3, (8, 16, 16))
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.5, 0.999))
    for step in range(60):
        truth, blurred = mouths(step)
        loss = discriminator_loss(discriminator, MouthPatches.of(blurred, batch_of(truth, teeth(4))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.8
    truth, blurred = mouths(1000)
    painted = blurred.clone().requires_grad_()
    term = generator_terms(discriminator, MouthPatches.of(painted, batch_of(truth, teeth(4))))["mouth_adversarial"]
    term.backward()
    mouth = (slice(None), slice(None), slice(74, 82), slice(40, 56))
    assert (painted.grad * truth)[mouth].sum() < 0, "it does not ask for stronger stripes"
    assert painted.grad[:, :, : SIZE // 2].abs().max() == 0
