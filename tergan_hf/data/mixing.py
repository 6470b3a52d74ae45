"""Mixed images: with anybody's for the classifier, with those of the same expression for the decoder."""

import torch


BLEND_SHARES = 0.5, 0.8  # of the person whose name a blend keeps


def draw_blends(
    expressions: torch.Tensor,
    identities: torch.Tensor,
    among: torch.Tensor,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw whose images are mixed with whose: mixup (Zhang et al. 2018) among equal labels. Aligned faces with the same
    expression, mixed, are another face with it.

    Args:
        expressions: (B, K) labels, those of each image of a pair. identities: (B,). among: (B,) bool, the pairs that
            may be mixed at all.
        probability: that one of them is, if somebody else's in the batch has its expressions.

    Returns:
        partners (B,) int64 and the shares (B,) that are left of its own, as of `draw_mixture`; its own number and 1
        where it stays as it is.
    """
    device = expressions.device
    expressions, identities, among = expressions.cpu(), identities.cpu(), among.cpu()
    partners, shares = torch.arange(len(expressions)), torch.ones(len(expressions))
    low, high = BLEND_SHARES
    for row in torch.nonzero(among)[:, 0].tolist():
        mixed, share = torch.rand(2, generator=generator).tolist()
        alike = (expressions == expressions[row]).all(1) & (identities != identities[row])
        others = torch.nonzero(among & alike)[:, 0]
        if mixed < probability and len(others):
            partners[row] = others[torch.randint(len(others), (), generator=generator)]
            shares[row] = low + (high - low) * share
    return partners.to(device), shares.to(device)


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
