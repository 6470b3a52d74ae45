"""Random choices of the augmentation: mixup, patch mixes, elastic deformations, ground truth of photographs."""

import torch

from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.crops import cut_crops, draw_crop_transforms, draw_elastic_deformations
from tergan_hf.data.ground_truth import confine_truth
from tergan_hf.data.mixing import draw_mixture, draw_patch_mixes


def test_mixup_pairs_the_mixable_photos_and_keeps_at_least_half_of_each():
    generator = torch.Generator().manual_seed(0)
    mixable = torch.tensor([True, False, True, True, False, True, True, True])
    moved, shares = 0, []
    for _ in range(200):
        partners, share = draw_mixture(mixable, 0.3, generator)
        assert torch.equal(partners[~mixable], torch.nonzero(~mixable)[:, 0])
        assert mixable[partners[mixable]].all() and torch.equal(partners.sort().values, torch.arange(8))
        moved += int((partners != torch.arange(8)).sum())
        shares.append(share)
    shares = torch.stack(shares)
    assert moved > 0 and shares.shape == (200, 8)
    assert ((shares >= 0.5) & (shares <= 1)).all()
    # Each photo has its own weight. The larger of the two is usually near 1 for Beta(0.3, 0.3), but mixtures occur.
    assert (shares.std(1) > 0).all()
    assert 0.8 < shares.mean() < 0.95 and shares.min() < 0.6


def test_mixup_repeats_with_the_same_generator():
    first, again = (draw_mixture(torch.ones(16).bool(), 0.4, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


def test_mixup_without_mixable_photos_changes_nothing():
    partners, _ = draw_mixture(torch.zeros(5).bool(), 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(partners, torch.arange(5))


def test_patch_mixes_combine_different_people_with_the_same_expressions():
    expressions = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 1], [1, 1], [0, 1], [0, 2]])
    identities = torch.tensor([4, 5, 5, 6, 6, 7, 8])
    mixable = torch.tensor([True, True, True, True, True, False, True])
    generator, partners_of_first = torch.Generator().manual_seed(0), set()
    for _ in range(50):
        partners, shares = draw_patch_mixes(expressions, identities, mixable, 0.8, generator)
        mixed = partners != torch.arange(7)
        assert not mixed[3:].any()  # nobody else has both expressions, and row 5 is not mixable
        assert (identities[partners] != identities)[mixed].all() and mixable[partners[mixed]].all()
        assert (shares[~mixed] == 1).all()
        assert ((shares[mixed] >= 0.5) & (shares[mixed] <= 0.8)).all()
        partners_of_first.add(int(partners[0]))
    assert partners_of_first == {0, 1, 2}


def test_photos_without_a_label_are_not_mixed():
    expressions, identities = torch.tensor([[0, -1], [0, -1]]), torch.tensor([4, 5])
    partners, _ = draw_patch_mixes(expressions, identities, torch.ones(2).bool(), 1.0, torch.Generator())
    assert partners.tolist() == [0, 1]


def test_elastic_deformations_are_smooth():
    deformations = draw_elastic_deformations(
        torch.tensor([0.02, 0.02, 0.02, 0.0]), 64, torch.Generator().manual_seed(0), "cpu"
    )
    assert deformations.shape == (4, 2, 64, 64)
    # Amounts are shares of the crop, whose coordinates span 2.
    assert 0.5 < deformations[:3].std() / 0.04 < 1.5 and not deformations[3].any()
    assert deformations.diff(dim=3).abs().max() < 0.1 * deformations.abs().max()
    assert not torch.equal(deformations[0], deformations[1])


def test_a_deformed_crop_samples_at_the_offset():
    columns = torch.linspace(-1, 1, 52).expand(2, 3, 52, 52)
    crop_transforms = draw_crop_transforms(2, AugmentationConfig(), torch.Generator().manual_seed(1), "cpu")
    deformations = torch.zeros(2, 2, 32, 32)
    deformations[:, 0] = 0.1
    shifted = crop_transforms.clone()
    shifted[:, :, 2] += 0.1 * crop_transforms[:, :, 0]
    torch.testing.assert_close(
        cut_crops(columns, crop_transforms, 32, deformations=deformations), cut_crops(columns, shifted, 32)
    )


def test_another_photograph_is_the_truth_for_the_face_only():
    target = torch.full((1, 3, 64, 64), -0.2)
    truth = torch.full((1, 3, 64, 64), 0.0)  # brighter all over
    truth[:, :, :8] = truth[:, :, :, :4] = 1.0  # another background
    truth[:, :, 44:52, 24:40] = -1.0  # an open mouth
    still = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[None]
    confined = confine_truth(target, truth, still)
    assert torch.equal(confined[:, :, :, :3], target[:, :, :, :3])
    torch.testing.assert_close(confined[0, :, 47, 30], torch.full((3,), -1.0))
    cheek = confined[0, :, 36, 20]
    assert (cheek - target[0, :, 36, 20]).abs().max() < 0.5 * 0.2  # it has the light of the target
    moved = confine_truth(target, truth, torch.tensor([[1.0, 0, 0.8], [0, 1, 0]])[None])
    assert (moved != target)[:, :, :, :32].any() and not (moved != target)[:, :, :, 40:].any()
