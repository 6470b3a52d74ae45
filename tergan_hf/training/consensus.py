"""f(e) that tells nothing of who shows an expression: what all who show it agree on (ours, not in the paper)."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ..data.framing import chip_size
from ..data.loading import NO_RECIPE
from ..data.sampling import Chips
from ..modeling_tergan import TerGanEncoder
from ..quantization_tergan import pool
from .finalize import choose_rows, embed_expressions, spread_rows
from .nuances import Nuances


PEOPLE = 20  # whose mean f(e) stands for a recipe
NUANCE_WEIGHT = 0.12  # of what nuances miss, as a share of their variance
BEGINNING_PHOTOS = 4000  # of a set


class Consensus:
    """
    What f(e) is to become. For a photo with a recipe: the mean of what a G_es reads in photos of several people with
    that recipe, or in their mirror images. For any other photo: what that G_es reads in it, so that it stays.

    Args:
        encoder: G_es as it is, on the device to compute on; it is copied.
        sets: training photos. Recipes of different sets are different ones.
        nuances: so many directions of f(e), which the classifier does not see, are to tell what f(e) does not yet, see
            `nuances.Nuances`. Photos without recipes may have any values there.
        classifier: on f(e). neutral: its class of that name.

    Raises:
        ValueError: no set has recipes, or f(e) is too short for so many nuances.
    """

    def __init__(
        self,
        encoder: TerGanEncoder,
        sets: list[Chips],
        nuances: int = 0,
        classifier: nn.Linear | None = None,
        neutral: int | None = None,
    ):
        self.encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
        self.sets = [(place, chips) for place, chips in enumerate(sets) if (chips.recipes != NO_RECIPE).any()]
        if not self.sets:
            raise ValueError("expression_stage.consensus needs a set whose photos have recipes")
        self._number: dict[tuple[int, int], int] = {}
        recipes, means, everything = [], [], []
        for place, chips in self.sets:
            found = np.unique(chips.recipes[chips.recipes != NO_RECIPE])
            rows = [spread_rows(np.flatnonzero(chips.recipes == recipe), PEOPLE) for recipe in found]
            read = embed_expressions(self.encoder, chips, np.concatenate(rows), mirrored=True).unflatten(0, (-1, 2))
            everything.append(read.flatten(0, 1))
            for recipe in found.tolist():
                self._number[place, recipe] = len(self._number)
            recipes.append(found)
            means.append(torch.stack([own.mean(0) for own in read.split([len(row) for row in rows])]))
        self.means, everything = torch.cat(means), torch.cat(everything)
        self.scale = everything.std(0).clamp(min=1e-6)
        self.nuances = None
        if nuances:
            photos = [chips for _, chips in self.sets]
            self.nuances = Nuances(photos, recipes, means, classifier, neutral, nuances)
            self.means = self.nuances.added_to(self.means)

    @torch.no_grad()
    def begin(self, encoder: TerGanEncoder, vary: Callable[[torch.Tensor], torch.Tensor]):
        """
        Let an encoder's last layer read nuances, where they are asked for.

        Args:
            encoder: changed in place. vary: uint8 chips for crops of the encoder's size → these crops.
        """
        if self.nuances is None:
            return
        features, wanted = [], []
        device, side = encoder.embedding.weight.device, chip_size(encoder.image_size)
        for place, chips in self.sets:
            for rows in torch.from_numpy(choose_rows(chips, BEGINNING_PHOTOS)).split(200):
                rows = rows[torch.from_numpy(chips.recipes[rows.numpy()] != NO_RECIPE)].tolist()
                crops = vary(torch.stack([chips.pixels(row, side) for row in rows]).to(device))
                features.append(pool(encoder.feature_maps(crops)[-1]).flatten(1))
                wanted.append(self.means[[self._number[place, int(chips.recipes[row])] for row in rows], 0])
        self.nuances.teach_last_layer(encoder.embedding, torch.cat(features), torch.cat(wanted))

    @torch.no_grad()
    def wanted(self, batch: dict, crops: torch.Tensor, mirrored: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            batch: items of `BalancedPhotos`. crops: (B, C, S, S) in [-1, 1], made from them. mirrored: (B,) bool,
                which crops are mirror images.

        Returns:
            (B, expression_embedding_size), and (B,) bool, which of them are agreed on.
        """
        keys = zip(batch["set"].tolist(), batch["recipe"].tolist())
        numbers = torch.tensor([self._number.get(key, -1) for key in keys], device=crops.device)
        agreed = self.means[numbers.clamp(min=0), mirrored.long()]
        known = numbers >= 0
        return torch.where(known[:, None], agreed, self.encoder(crops).float()), known

    def losses(self, embeddings: torch.Tensor, wanted: torch.Tensor, known: torch.Tensor) -> dict[str, torch.Tensor]:
        """`consensus`, the mean squared error over the variance of f(e)'s numbers among photos with recipes, nuances
        left out; `nuances`, theirs over their variance, times `NUANCE_WEIGHT`."""
        missed = embeddings.float() - wanted
        if self.nuances is None:
            return {"consensus": (missed / self.scale).square().mean()}
        missed, nuances = self.nuances.split(missed)
        return {
            "consensus": (missed / self.scale).square().mean(),
            "nuances": NUANCE_WEIGHT * (nuances * known).sum() / known.sum().clamp(min=1),
        }
