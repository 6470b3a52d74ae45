"""Mixed images: mixtures with anybody's for the classifier, blends with the same expression for the decoder."""

import torch
from torch.nn import functional as F


PATCH_SHARES = 0.5, 0.8  # of the person whose name a blend keeps
PATCH_KNOTS = 3  # of the random field that says who is seen where
PATCH_SIDE = 32  # positions of that field
PATCH_SOFTNESS = 0.12  # of the field's standard deviation: over so much one face passes into the other


def draw_patch_mixes(
    expressions: torch.Tensor,
    identities: torch.Tensor,
    among: torch.Tensor,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw whose images are blended with whose: aligned faces with the same expression, put together, are another face
    with it.

    Args:
        expressions: (B, K) labels, those of each image of a pair. identities: (B,). among: (B,) bool, the pairs that
            may be mixed at all.
        probability: that one of them is, if somebody else's in the batch has its expressions.

    Returns:
        partners (B,) int64 and the shares (B,) of the face that stay its own; its own number and 1 where it stays as
        it is.
    """
    device = expressions.device
    expressions, identities, among = expressions.cpu(), identities.cpu(), among.cpu()
    partners, shares = torch.arange(len(expressions)), torch.ones(len(expressions))
    low, high = PATCH_SHARES
    for row in torch.nonzero(among)[:, 0].tolist():
        mixed, share = torch.rand(2, generator=generator).tolist()
        alike = (expressions == expressions[row]).all(1) & (identities != identities[row])
        others = torch.nonzero(among & alike)[:, 0]
        if mixed < probability and len(others):
            partners[row] = others[torch.randint(len(others), (), generator=generator)]
            shares[row] = low + (high - low) * share
    return partners.to(device), shares.to(device)


def draw_patch_masks(shares: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """
    Where a blend shows its own face and where its partner's: in smooth patches, each at its full contrast. The mean of
    two smiles everywhere, as mixup takes it, has grey teeth.

    Args:
        shares: (B,) of `draw_patch_mixes`. side: of the images.

    Returns:
        (B, 1, side, side) from 0, the partner's, to 1, its own; 1 all over where the share is 1.
    """
    field = torch.randn(len(shares), 1, PATCH_KNOTS, PATCH_KNOTS, generator=generator)
    field = F.interpolate(field, size=(PATCH_SIDE, PATCH_SIDE), mode="bicubic", align_corners=True)
    own = shares.cpu()
    ranked = field.flatten(1).sort(dim=1, descending=True).values
    last = (own * ranked.shape[1]).long().clamp(max=ranked.shape[1] - 1)
    level = ranked.gather(1, last[:, None])[:, :, None, None]
    masks = torch.sigmoid((field - level) / (PATCH_SOFTNESS * field.std(dim=(2, 3), keepdim=True)))
    masks = torch.where(own[:, None, None, None] < 1, masks, 1.0)
    return F.interpolate(masks.to(shares.device), size=(side, side), mode="bilinear")


def draw_mixture(mixable: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Mixup (Zhang et al. 2018): who is blended with whom, and how much, λ ~ Beta(alpha, alpha) for each photo.

    Args:
        mixable: (B,) bool; the others stay as they are.

    Returns:
        partners (B,) int64, each photo's own number where it is not mixed, and λ (B,), how much of itself a photo
        keeps, at least one half.
    """
    rows = torch.nonzero(mixable.cpu())[:, 0]
    partners = torch.arange(len(mixable))
    partners[rows] = rows[torch.randperm(len(rows), generator=generator)]
    gammas = torch._standard_gamma(torch.full((2, len(mixable)), alpha), generator=generator)
    share = gammas.amax(0).clamp(min=1e-30) / gammas.sum(0).clamp(min=1e-30)
    return partners.to(mixable.device), share.to(mixable.device)
