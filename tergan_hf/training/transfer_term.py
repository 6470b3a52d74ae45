"""What f(e) is for: the miss of a decoder that stays as it is and is told the f(e) that is being learnt (ours, not in
the paper)."""

import copy

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from ..modeling_tergan import TerGanModel
from . import losses
from .arguments import TrainingArguments
from .back_translation import BackTranslation
from .batches import PairBatch, augment_pairs
from .generator_objective import truth_terms


PAIRS_SHARE = 1 / 3  # of a batch of photos: a pair costs about as much as three of them


class TransferTerm:
    """
    The ground truth and structure losses of eq. 10, for G_es alone.

    Args:
        model: whose decoder and G_et to use; it is copied.
    """

    def __init__(self, model: TerGanModel, arguments: TrainingArguments, accelerator: Accelerator):
        model = copy.deepcopy(model).to(accelerator.device, memory_format=torch.channels_last)
        self.model, self.arguments = model.eval().requires_grad_(False), arguments
        self.back_translation = None
        if arguments.pairs.back_translation:
            self.back_translation = BackTranslation(self.model, arguments, accelerator)

    def vary(self, raw: dict, generator: torch.Generator) -> PairBatch:
        """Collated items of `ExpressionPairs` and, with back-translation, as many `photographs` → crops of some."""
        pairs = raw["pairs"]
        used = max(1, round(PAIRS_SHARE * len(pairs["source"])))
        pairs = {name: values[:used] for name, values in pairs.items()}
        batch = augment_pairs({"pairs": pairs}, self.arguments, self.model.config.image_size, generator)
        if self.back_translation is not None:
            batch = self.back_translation(batch, raw["photographs"], generator)
        return batch

    @staticmethod
    def shown(batch: PairBatch, side: int) -> torch.Tensor:
        """What G_es has to read: sources, then targets, (2B, C, side, side)."""
        crops = torch.cat([batch.source, batch.target if batch.read_target is None else batch.read_target])
        return F.interpolate(crops, size=(side, side), mode="bilinear", antialias=True)

    def loss(self, batch: PairBatch, embeddings: torch.Tensor) -> torch.Tensor:
        """
        Args:
            embeddings: (2B, expression_embedding_size), f(e) of what is `shown`.
        """
        expression, own = embeddings.chunk(2)
        with torch.no_grad():
            target = self.model.encode_target(batch.target, with_expression=False)
        target.expression_embedding = own
        generated = self.model.change(expression, target).pixel_values
        terms = truth_terms(generated, batch, self.model.config)
        return generated.new_zeros(()) + losses.total_loss(terms, self.model.config)
