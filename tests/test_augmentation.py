"""What the augmentation draws."""

import torch

from tergan_hf.data.augmentation import draw_mixture


def test_mixup_blends_the_mixable_with_each_other_and_keeps_most_of_every_photo():
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
    # Every photo has its own; the larger of Beta(0.3, 0.3)'s two is near 1 more often than not, but blends occur.
    assert (shares.std(1) > 0).all()
    assert 0.8 < shares.mean() < 0.95 and shares.min() < 0.6


def test_the_same_generator_draws_the_same_mixture():
    first, again = (draw_mixture(torch.ones(16).bool(), 0.4, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


def test_with_nothing_to_mix_everything_stays():
    partners, _ = draw_mixture(torch.zeros(5).bool(), 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(partners, torch.arange(5))
