"""f(e) that tells nothing of who shows an expression: what all who show it agree on (ours, not in the paper)."""

import copy

import numpy as np
import torch

from ..data.loading import NO_RECIPE
from ..data.sampling import Chips
from ..modeling_tergan import TerGanEncoder
from .finalize import embed_expressions, spread_rows


PEOPLE = 20  # whose mean f(e) stands for a recipe


class Consensus:
    """
    What f(e) is to become. For a photo with a recipe: the mean of what a G_es reads in photos of several people with
    that recipe, or in their mirror images. For any other photo: what that G_es reads in it, so that it stays.

    Args:
        encoder: G_es as it is, on the device to compute on; it is copied.
        sets: training photos. Recipes of different sets are different ones.

    Raises:
        ValueError: no set has recipes.
    """

    def __init__(self, encoder: TerGanEncoder, sets: list[Chips]):
        self.encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
        self._number: dict[tuple[int, int], int] = {}
        means, everything = [], []
        for place, chips in enumerate(sets):
            recipes = np.unique(chips.recipes[chips.recipes != NO_RECIPE])
            if not len(recipes):
                continue
            rows = [spread_rows(np.flatnonzero(chips.recipes == recipe), PEOPLE) for recipe in recipes]
            read = embed_expressions(self.encoder, chips, np.concatenate(rows), mirrored=True).unflatten(0, (-1, 2))
            everything.append(read.flatten(0, 1))
            for recipe, own in zip(recipes.tolist(), read.split([len(row) for row in rows])):
                self._number[place, recipe] = len(means)
                means.append(own.mean(0))
        if not means:
            raise ValueError("expression_stage.consensus needs a set whose photos have recipes")
        self.means, self.scale = torch.stack(means), torch.cat(everything).std(0).clamp(min=1e-6)

    @torch.no_grad()
    def wanted(self, batch: dict, crops: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """
        Args:
            batch: items of `BalancedPhotos`. crops: (B, C, S, S) in [-1, 1], made from them. mirrored: (B,) bool,
                which crops are mirror images.

        Returns:
            (B, expression_embedding_size).
        """
        keys = zip(batch["set"].tolist(), batch["recipe"].tolist())
        numbers = torch.tensor([self._number.get(key, -1) for key in keys], device=crops.device)
        agreed = self.means[numbers.clamp(min=0), mirrored.long()]
        return torch.where((numbers >= 0)[:, None], agreed, self.encoder(crops).float())

    def loss(self, embeddings: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean squared error over the variance of f(e)'s numbers among photos with recipes."""
        return ((embeddings.float() - wanted) / self.scale).square().mean()
