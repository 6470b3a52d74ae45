"""Mixed images: mixup for the classifier, patch mixes of two people with the same expression for the decoder."""

import torch
from torch.nn import functional as F


PATCH_SHARES = 0.5, 0.8  # of the face, for the person whose identity the mix keeps
PATCH_KNOTS = 3  # side of the random field that decides which person shows where
PATCH_SIDE = 32  # side of the field after interpolation
PATCH_SOFTNESS = 0.12  # of the field's standard deviation, the width of the transition between the faces


def draw_patch_mixes(
    expressions: torch.Tensor,
    identities: torch.Tensor,
    mixable: torch.Tensor,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw pairs of people to mix: aligned faces with the same expression, mixed in patches, make another face with it.

    Args:
        expressions: (B, K) labels of the K images of each pair.
        identities: (B,) people of the pairs.
        mixable: (B,) bool, the pairs that may be mixed.
        probability: probability of mixing a pair, if another person in the batch has the same expressions.

    Returns:
        partners (B,) int64 and shares (B,), the part of the face that stays the person's own. An unmixed pair has its
        own row number and the share 1.
    """
    device = expressions.device
    expressions, identities, mixable = expressions.cpu(), identities.cpu(), mixable.cpu()
    partners, shares = torch.arange(len(expressions)), torch.ones(len(expressions))
    low, high = PATCH_SHARES
    for row in torch.nonzero(mixable)[:, 0].tolist():
        mixed, share = torch.rand(2, generator=generator).tolist()
        alike = (expressions == expressions[row]).all(1) & (identities != identities[row])
        alike &= (expressions[row] >= 0).all()  # two photos without a label need not show the same
        others = torch.nonzero(mixable & alike)[:, 0]
        if mixed < probability and len(others):
            partners[row] = others[torch.randint(len(others), (), generator=generator)]
            shares[row] = low + (high - low) * share
    return partners.to(device), shares.to(device)


def draw_patch_masks(shares: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """
    Draw masks of smooth patches for patch mixes. Each patch shows one face at its full contrast; a mean of two smiles,
    as in mixup, would have grey teeth.

    Args:
        shares: (B,) from `draw_patch_mixes`.
        side: side of the images in pixels.

    Returns:
        (B, 1, side, side) from 0, the partner's face, to 1, the own face. It is 1 everywhere if the share is 1.
    """
    field = torch.randn(len(shares), 1, PATCH_KNOTS, PATCH_KNOTS, generator=generator).to(shares.device)
    field = F.interpolate(field, size=(PATCH_SIDE, PATCH_SIDE), mode="bicubic", align_corners=True)
    ranked = field.flatten(1).sort(dim=1, descending=True).values
    last = (shares * ranked.shape[1]).long().clamp(max=ranked.shape[1] - 1)
    level = ranked.gather(1, last[:, None])[:, :, None, None]
    masks = torch.sigmoid((field - level) / (PATCH_SOFTNESS * field.std(dim=(2, 3), keepdim=True)))
    masks = torch.where(shares[:, None, None, None] < 1, masks, 1.0)
    return F.interpolate(masks, size=(side, side), mode="bilinear")


def draw_mixture(mixable: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw partners and weights for mixup (Zhang et al. 2018), with λ ~ Beta(alpha, alpha) for each photo.

    Args:
        mixable: (B,) bool, the photos that may be mixed.

    Returns:
        partners (B,) int64, a photo's own row number if it is not mixed, and λ (B,), the photo's own weight, at least
        one half.
    """
    rows = torch.nonzero(mixable.cpu())[:, 0]
    partners = torch.arange(len(mixable))
    partners[rows] = rows[torch.randperm(len(rows), generator=generator)]
    gammas = torch._standard_gamma(torch.full((2, len(mixable)), alpha), generator=generator)
    share = gammas.amax(0).clamp(min=1e-30) / gammas.sum(0).clamp(min=1e-30)
    return partners.to(mixable.device), share.to(mixable.device)
