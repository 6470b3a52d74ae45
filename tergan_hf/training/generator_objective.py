"""The generator's side of stage 2: its networks, and eq. 10 without the adversarial term."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from ..expressions.blendshapes import COLUMN_NAMES, column_units
from ..model.modeling_tergan import TerGanModel
from . import losses
from .arguments import LossArguments, TrainingArguments
from .batches import PairBatch
from .discriminators import EmbeddingDiscriminator
from .encoder_classifier import EncoderClassifier


def truth_terms(generated: torch.Tensor, batch: PairBatch, weights: LossArguments) -> dict[str, torch.Tensor]:
    """Distances between x̄ (B, C, S, S) and its truth, by name. Terms of weight 0 are left out."""
    terms = {}
    if weights.ground_truth:
        terms["ground_truth"] = losses.ground_truth_loss(
            generated, batch.truth, batch.target, batch.has_truth, weights.ground_truth_focus,
            weights.relative_truth, batch.uncovered, weights.uncovered_focus, batch.eyes, weights.eye_focus,
        )  # fmt: skip
    if weights.structure:
        terms["structure"] = losses.structure_loss(
            generated, batch.truth, batch.target, batch.has_truth, weights.relative_truth, batch.eyes,
            weights.eye_focus,
        )  # fmt: skip
    return terms


class GeneratorObjective(nn.Module):
    """
    Everything that the generator's optimiser owns: G_es, G_et, G_de and, behind gradient reversal, D_es and D_et. It
    also holds the frozen stage-1 encoders of eq. 8 and 9. `forward` gives x̄ and the terms of eq. 10, except the
    adversarial one, which needs D.
    """

    def __init__(
        self,
        model: TerGanModel,
        expression: EncoderClassifier,
        identity: EncoderClassifier,
        arguments: TrainingArguments,
    ):
        super().__init__()
        config, weights = model.config, arguments.losses
        self.model, self.weights, self.freeze_batch_norm = model, weights, arguments.freeze_batch_norm
        model.expression_encoder.load_state_dict(expression.encoder.state_dict())
        model.identity_encoder.load_state_dict(identity.encoder.state_dict())
        self.expression_discriminator = EmbeddingDiscriminator(
            config.expression_embedding_size, arguments.discriminators
        )
        self.identity_discriminator = EmbeddingDiscriminator(config.identity_embedding_size, arguments.discriminators)
        self.recognition_head = copy.deepcopy(expression.head)
        self.trains_expression = not arguments.freeze_expression_encoder
        self.recognition_head.requires_grad_(weights.recognition > 0 and self.trains_expression)
        if not self.trains_expression:
            model.expression_encoder.requires_grad_(False)
            self.expression_discriminator.requires_grad_(False)
        self.frozen_expression = copy.deepcopy(expression.encoder).requires_grad_(False)
        self.frozen_identity = copy.deepcopy(identity.encoder).requires_grad_(False)
        # No term of eq. 10 trains section 4.4's classifier. It comes from stage 1 or is fitted at the end.
        model.classifier.requires_grad_(False)
        if model.blendshape_regressor is not None:
            model.blendshape_regressor.requires_grad_(False)

    def train(self, mode: bool = True):
        super().train(mode)
        self.frozen_expression.eval()
        self.frozen_identity.eval()
        if self.freeze_batch_norm or not self.trains_expression:
            self.model.expression_encoder.eval()
        if self.freeze_batch_norm:
            self.model.identity_encoder.eval()
        return self

    def forward(self, batch: PairBatch, costly: bool = True) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute x̄ (B, C, S, S) and the terms by name. Terms of weight 0 are left out, and `losses.COSTLY_TERMS`
        unless `costly`."""
        model, weights, terms = self.model, self.weights, {}
        count = len(batch.source)
        if batch.photos is None:
            expression = model.encode_expression(batch.source)
        else:
            both = model.encode_expression(torch.cat([batch.source, batch.photos]))
            expression = both[:count]
        target = model.encode_target(batch.target, with_expression=False)
        if not model.config.replaces_target or batch.edited_by_name is not None:
            seen = batch.target if batch.encoder_target is None else batch.encoder_target
            target.expression_embedding = model.encode_expression(seen)
        if batch.edited_by_name is not None:
            expression = torch.where(
                batch.edited_by_name[:, None], self._edited(target.expression_embedding, batch), expression
            )
        change = model.change(expression, target)
        generated, identity = change.pixel_values, change.identity_embedding
        assert generated is not None

        if costly and weights.identity_feature:
            terms["identity_feature"] = self._features(self.frozen_identity, generated, batch.target)
        if costly and weights.expression_feature:
            terms["expression_feature"] = self._features(self.frozen_expression, generated, batch.source)
        if weights.identity_reconstruction:
            terms["identity_reconstruction"] = losses.reconstruction_loss(generated, batch.target)
        if weights.expression_reconstruction:
            terms["expression_reconstruction"] = losses.reconstruction_loss(generated, batch.source)
        # Eq. 4 and 5 minimise over the encoders alone, so x̄ is a constant there (decided).
        constant = generated.detach()
        if costly and weights.expression_consistency and self.trains_expression:
            terms["expression_consistency"] = self._consistency(
                self.expression_discriminator, expression, model.encode_expression(constant)
            )
        if costly and weights.identity_consistency:
            terms["identity_consistency"] = self._consistency(
                self.identity_discriminator, identity, model.encode_identity(constant)
            )
        terms |= truth_terms(generated, batch, weights)
        if weights.smoothness and change.flow is not None:
            terms["smoothness"] = losses.smoothness_loss(change.flow)
        if weights.flow and change.flow is not None and batch.true_flow is not None:
            flow = F.avg_pool2d(change.flow, change.flow.shape[-1] // batch.true_flow.shape[-1])
            terms["flow"] = losses.flow_loss(flow, batch.true_flow, batch.flow_known, batch.eyes, weights.eye_focus)
        if weights.recognition and self.trains_expression:
            terms["recognition"] = losses.labelled_cross_entropy(
                self.recognition_head(expression), batch.source_expression
            )
            if batch.photos is not None:
                logits = self.recognition_head(both[count:])
                terms["recognition"] = (
                    terms["recognition"] + losses.labelled_cross_entropy(logits, batch.photo_expression)
                ) / 2
        return generated, terms

    def _edited(self, own: torch.Tensor, batch: PairBatch) -> torch.Tensor:
        """f(e) that editing by name asks for: the target's own, moved by the change of its blendshapes."""
        assert batch.blendshape_change is not None
        names = self.model.config.blendshape_names
        columns = [COLUMN_NAMES.index(name) for name in names]
        units = batch.blendshape_change.new_tensor(column_units(names))
        return self.model.move_blendshapes(own, batch.blendshape_change[:, columns] * units)

    def _consistency(self, discriminator: nn.Module, real: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
        reversal = 1.0
        if self.weights.pause_reversal_at_chance:
            # Outside autocast: it would keep the weights that it casts here, without their gradients, for the loss
            # below (pytorch/pytorch#65766).
            with torch.no_grad(), torch.autocast(real.device.type, enabled=False):
                loss = losses.consistency_loss(discriminator(real.float()), discriminator(generated.float()))
                fooled = loss > losses.CHANCE
            reversal = 0.0 if fooled else 1.0
        return losses.consistency_loss(discriminator(real, reversal), discriminator(generated, reversal))

    def _features(self, encoder: nn.Module, generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            real_features = encoder.feature_maps(real)
        return losses.feature_loss(encoder.feature_maps(generated), real_features, self.weights.feature_layers)
