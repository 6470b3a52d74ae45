"""Stage 2 (section 3.1.4): the whole network. Each step (a) makes x̄ from f(e)(x_s) and f(i)(x_t), (b) sends x̄ back
through both encoders; then D learns to tell x̄ from photos."""

import copy
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F
from torch.utils.data import StackDataset

from ..configuration_tergan import TerGanConfig
from ..data.crops import cut_crops, draw_bends, draw_framings, to_range
from ..data.device_photos import DevicePhotos
from ..data.framing import chip_size
from ..data.ground_truth import confine_truth, true_flow
from ..data.mixing import draw_blends
from ..data.occlusion import draw_occluders
from ..data.photometry import Photometry
from ..data.sampling import BalancedPhotos, Chips, ExpressionPairs
from ..modeling_tergan import TerGanModel
from . import losses
from .arguments import TrainingArguments
from .discriminators import Discriminator, EmbeddingDiscriminator
from .loop import TrainingLoop, dataset_length
from .monitoring import ValidationPairs, classification_accuracy
from .stage1 import EncoderClassifier, augment_photos


@dataclass
class PairBatch:
    """Crops in [-1, 1], (B, C, S, S), with their labels.

    Args:
        true_flow, flow_known: of `ground_truth.true_flow`, at half the crops' size, or `None`.
        uncovered: (B, 1, S/2, S/2) bool, where a rendered target is known to hide what its truth shows, or `None`.
        read_target: the target framed for G_es, or `None`: as it is in `target`.
        photos, photo_expression: further labelled photos for the recognition term, or `None`.
    """

    source: torch.Tensor
    target: torch.Tensor
    truth: torch.Tensor
    has_truth: torch.Tensor
    source_expression: torch.Tensor
    target_identity: torch.Tensor
    true_flow: torch.Tensor | None = None
    flow_known: torch.Tensor | None = None
    uncovered: torch.Tensor | None = None
    read_target: torch.Tensor | None = None
    photos: torch.Tensor | None = None
    photo_expression: torch.Tensor | None = None


class GeneratorObjective(nn.Module):
    """
    Everything the generator's optimiser owns, G_es, G_et, G_de and, behind gradient reversal, D_es and D_et, with the
    frozen stage-1 encoders of eq. 8 and 9. `forward` gives x̄ and all terms of eq. 10 but the adversarial one, which
    needs D.
    """

    def __init__(self, model: TerGanModel, expression: EncoderClassifier, identity: EncoderClassifier):
        super().__init__()
        config = model.config
        self.config, self.model = config, model
        model.expression_encoder.load_state_dict(expression.encoder.state_dict())
        model.identity_encoder.load_state_dict(identity.encoder.state_dict())
        self.expression_discriminator = EmbeddingDiscriminator(config, config.expression_embedding_size)
        self.identity_discriminator = EmbeddingDiscriminator(config, config.identity_embedding_size)
        self.recognition_head = copy.deepcopy(expression.head)
        self.trains_expression = not config.freeze_expression_encoder
        self.recognition_head.requires_grad_(config.recognition_weight > 0 and self.trains_expression)
        if not self.trains_expression:
            model.expression_encoder.requires_grad_(False)
            self.expression_discriminator.requires_grad_(False)
        self.frozen_expression = copy.deepcopy(expression.encoder).requires_grad_(False)
        self.frozen_identity = copy.deepcopy(identity.encoder).requires_grad_(False)
        # No term of eq. 10 trains section 4.4's classifier: it is stage 1's, or fitted at the end on frozen features.
        model.classifier.requires_grad_(False)

    def train(self, mode: bool = True):
        super().train(mode)
        self.frozen_expression.eval()
        self.frozen_identity.eval()
        if self.config.freeze_batch_norm or not self.trains_expression:
            self.model.expression_encoder.eval()
        if self.config.freeze_batch_norm:
            self.model.identity_encoder.eval()
        return self

    def forward(self, batch: PairBatch, costly: bool = True) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """→ x̄ (B, C, S, S) and the terms by name. Terms of weight 0 are not computed, `losses.COSTLY_TERMS` only where
        asked for."""
        model, config, terms = self.model, self.config, {}
        count = len(batch.source)
        if batch.photos is None:
            expression = model.encode_expression(batch.source)
        else:
            both = model.encode_expression(torch.cat([batch.source, batch.photos]))
            expression = both[:count]
        target = batch.target
        if batch.read_target is not None:
            target = model.encode_target(batch.target, with_expression=False)
            target.expression_embedding = model.encode_expression(batch.read_target)
        change = model.change(expression, target)
        generated, identity = change.pixel_values, change.identity_embedding

        if costly and config.identity_feature_weight:
            terms["identity_feature"] = self._features(self.frozen_identity, generated, batch.target)
        if costly and config.expression_feature_weight:
            terms["expression_feature"] = self._features(self.frozen_expression, generated, batch.source)
        if config.identity_reconstruction_weight:
            terms["identity_reconstruction"] = losses.reconstruction_loss(generated, batch.target)
        if config.expression_reconstruction_weight:
            terms["expression_reconstruction"] = losses.reconstruction_loss(generated, batch.source)
        # Eq. 4 and 5 minimise over the encoders alone, so x̄ is a constant there.
        if costly and config.expression_consistency_weight and self.trains_expression:
            terms["expression_consistency"] = self._consistency(
                self.expression_discriminator, expression, model.encode_expression(generated.detach())
            )
        if costly and config.identity_consistency_weight:
            terms["identity_consistency"] = self._consistency(
                self.identity_discriminator, identity, model.encode_identity(generated.detach())
            )
        if config.ground_truth_weight:
            terms["ground_truth"] = losses.ground_truth_loss(
                generated, batch.truth, batch.target, batch.has_truth, config.ground_truth_focus,
                config.relative_truth, batch.uncovered, config.uncovered_focus,
            )  # fmt: skip
        if config.structure_weight:
            terms["structure"] = losses.structure_loss(
                generated, batch.truth, batch.target, batch.has_truth, config.relative_truth
            )
        if config.smoothness_weight and change.flow is not None:
            terms["smoothness"] = losses.smoothness_loss(change.flow)
        if config.motion_weight and change.flow is not None and batch.true_flow is not None:
            flow = F.avg_pool2d(change.flow, change.flow.shape[-1] // batch.true_flow.shape[-1])
            terms["motion"] = losses.motion_loss(flow, batch.true_flow, batch.flow_known)
        if config.recognition_weight and self.trains_expression:
            terms["recognition"] = F.cross_entropy(self.recognition_head(expression), batch.source_expression)
            if batch.photos is not None:
                logits = self.recognition_head(both[count:])
                terms["recognition"] = (terms["recognition"] + F.cross_entropy(logits, batch.photo_expression)) / 2
        return generated, terms

    def _consistency(self, discriminator: nn.Module, real: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
        reversal = 1.0
        if self.config.pause_reversal_at_chance:
            with torch.no_grad():
                fooled = losses.consistency_loss(discriminator(real), discriminator(generated)) > losses.CHANCE
            reversal = 0.0 if fooled else 1.0
        return losses.consistency_loss(discriminator(real, reversal), discriminator(generated, reversal))

    def _features(self, encoder: nn.Module, generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            real_features = encoder.feature_maps(real)
        return losses.feature_loss(encoder.feature_maps(generated), real_features, self.config.feature_layer_weights)


class AdversarialSteps:
    """One update of the generator's side, then one of D; neither touches the other's parameters.

    Args:
        objective, discriminator: as the accelerator prepared them.
        plain_discriminator: D without the accelerator's wrapper. The generator's loss runs through it with its
            parameters switched off.
        costly_interval: see `PairArguments`.
    """

    def __init__(
        self, accelerator, objective, discriminator, plain_discriminator, optimizers, max_grad_norm=5.0,
        costly_interval=1,
    ):  # fmt: skip
        self.max_grad_norm, self.costly_interval = max_grad_norm, costly_interval
        self.accelerator = accelerator
        self.objective, self.discriminator = objective, discriminator
        self.plain_discriminator = plain_discriminator
        self.generator_optimizer, self.discriminator_optimizer = optimizers

    def generator_step(
        self, batch: PairBatch, config: TerGanConfig, costly: bool = True
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Minimise eq. 10 over G_es, G_et, G_de, with D_es and D_et behind gradient reversal. → x̄, terms."""
        self.plain_discriminator.requires_grad_(False)
        with self.accelerator.autocast():
            generated, terms = self.objective(batch, costly)
            if costly and config.adversarial_weight:
                expression_logits, identity_logits = self.plain_discriminator(generated)
                terms["adversarial"] = losses.generator_loss(
                    expression_logits.float(), identity_logits.float(), batch.source_expression, batch.target_identity
                )
            loss = losses.total_loss(terms, config, self.costly_interval)
        self.accelerator.backward(loss)
        self._update(self.objective, self.generator_optimizer)
        self.plain_discriminator.requires_grad_(True)
        return generated.detach(), {"total": loss, **terms}

    def discriminator_step(self, batch: PairBatch, generated: torch.Tensor) -> torch.Tensor:
        """Minimise eq. 1 over D."""
        with self.accelerator.autocast():
            count = len(generated)
            expression, identity = self.discriminator(torch.cat([batch.source, batch.target, generated]))
        loss = losses.discriminator_loss(
            expression[:count].float(), identity[count : 2 * count].float(), expression[2 * count :].float(),
            batch.source_expression, batch.target_identity,
        )  # fmt: skip
        self.accelerator.backward(loss)
        self._update(self.discriminator, self.discriminator_optimizer)
        return loss

    def _update(self, module: nn.Module, optimizer: torch.optim.Optimizer):
        self.accelerator.clip_grad_norm_(module.parameters(), self.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()


def augment_pairs(raw: dict, arguments: TrainingArguments, size: int, generator: torch.Generator) -> PairBatch:
    """Collated items of `ExpressionPairs` (and `BalancedPhotos`) → varied crops. Target and truth vary alike, the
    source on its own, but all three are mirrored together: an expression has a left and a right."""
    config, pairs = arguments.pair_augmentation, raw["pairs"]
    count, device = len(pairs["source"]), pairs["source"].device
    target_framing = draw_framings(count, config, generator, device)
    share = 1.0 if config.reading is None else config.reading
    steady = replace(config, **{name: share * getattr(config, name) for name in ("scale", "shift", "angle")})
    source_framing = _mirror_alike(draw_framings(count, steady, generator, device), target_framing)
    target_light = Photometry.draw(count, config, generator, device)
    source_light = Photometry.draw(count, config, generator, device)
    bends = draw_bends(count, config.bend, size, generator, device) if config.bend else None
    photographed = pairs["has_truth"] & ~pairs["is_rendered"]
    source, target, truth = (to_range(pairs[part]) for part in ("source", "target", "truth"))
    if config.blend:
        shown = torch.stack([pairs["source_expression"], pairs["target_expression"]], dim=1)
        partners, shares = draw_blends(shown, pairs["target_identity"], photographed, config.blend, generator)
        shares = shares[:, None, None, None]
        source, target, truth = (torch.lerp(image[partners], image, shares) for image in (source, target, truth))
    target = cut_crops(target, target_framing, size, bends=bends)
    truth = cut_crops(truth, target_framing, size, pairs["registration"], bends)
    truth = torch.where(photographed[:, None, None, None], confine_truth(target, truth, target_framing), truth)
    if config.occlusion:
        mask, colours = draw_occluders(count, config.occlusion, size, generator, device)
        target, truth = (image + mask * (colours - image) for image in (target, truth))
    target, truth = target_light.apply(target), target_light.apply(truth)
    read_target = None
    if config.reading is not None:
        framing = _mirror_alike(draw_framings(count, steady, generator, device), target_framing)
        read_target = _channels_last(_reframe(target, target_framing, framing))
    flow = known = uncovered = None
    if pairs["has_motion"].any():
        flow, known = true_flow(
            pairs["target_motion"], pairs["truth_motion"], target_framing, pairs["to_photo"], size // 2,
            None if bends is None else F.avg_pool2d(bends, 2),
        )  # fmt: skip
        seen = pairs["has_motion"][:, None, None, None].expand_as(known)
        if config.occlusion:
            seen = seen & (F.avg_pool2d(mask, 2) == 0)
        known, uncovered = known & seen, ~known & seen
    photos = photo_expression = None
    if "photos" in raw:
        used = max(1, round(arguments.pairs.recognition_share * count))
        photos = _channels_last(
            augment_photos(raw["photos"]["chip"][:used], arguments.classifier_augmentation, size, generator)
        )
        photo_expression = raw["photos"]["expression"][:used]
    return PairBatch(
        source=_channels_last(source_light.apply(cut_crops(source, source_framing, size))),
        target=_channels_last(target),
        truth=truth,
        has_truth=pairs["has_truth"],
        true_flow=flow,
        flow_known=known,
        uncovered=uncovered,
        read_target=read_target,
        source_expression=pairs["source_expression"],
        target_identity=pairs["target_identity"],
        photos=photos,
        photo_expression=photo_expression,
    )


def _mirror_alike(framings: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The framings, mirrored where the others are: an expression has a left and a right."""
    opposite = torch.sign(torch.det(framings[:, :, :2])) != torch.sign(torch.det(others[:, :, :2]))
    mirror = torch.where(opposite, -1.0, 1.0)
    return framings * torch.stack([mirror, torch.ones_like(mirror), torch.ones_like(mirror)], dim=1).unsqueeze(1)


def _reframe(crops: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Crops (B, C, S, S) cut with the framings `before`, as (nearly) cut with `after`; past their borders the edge
    repeats."""
    inverse = torch.linalg.inv(before[:, :, :2])
    theta = inverse @ torch.cat([after[:, :, :2], after[:, :, 2:] - before[:, :, 2:]], dim=2)
    grid = F.affine_grid(theta, list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def train_generator(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    model: TerGanModel,
    expression: EncoderClassifier,
    identity: EncoderClassifier,
    sets: list[Chips],
    validation_sets: list[Chips],
) -> TerGanModel:
    """Stage 2 on the sets with identities (and, for the recognition term, on all). Returns the model, with averaged
    weights where averaging is on."""
    config = model.config
    objective = GeneratorObjective(model, expression, identity).to(memory_format=torch.channels_last)
    discriminator = Discriminator(config).to(memory_format=torch.channels_last)
    loop = TrainingLoop(accelerator, arguments, "generator_stage", [objective, discriminator], averaged=model)
    objective_module, discriminator_module = loop.modules
    objective_module.train()
    steps = AdversarialSteps(
        accelerator, objective_module, discriminator_module, discriminator, loop.optimizers,
        loop.settings.max_grad_norm, arguments.pairs.costly_interval,
    )  # fmt: skip
    previews = ValidationPairs(validation_sets, config.image_size, seed=arguments.seed)

    side, share = chip_size(config.image_size), arguments.pairs.ground_truth_share
    reads_photos = config.recognition_weight and arguments.pairs.recognition_share and objective.trains_expression
    stored = first_rows = None
    if arguments.photos_on_device and loop.settings.steps:
        drawn = [chips for chips in sets if reads_photos or chips.has_identities]
        stored = DevicePhotos(drawn, side, accelerator.device, with_motion=True)
        first_rows = stored.first_rows

    def train_step(raw, generator):
        if stored is not None:
            raw = {part: stored.look_up(items) for part, items in raw.items()}
        batch = augment_pairs(raw, arguments, config.image_size, generator)
        costly = loop.step % arguments.pairs.costly_interval == 0
        generated, terms = steps.generator_step(batch, config, costly)
        if costly and config.adversarial_weight:
            terms["discriminator"] = steps.discriminator_step(batch, generated)
        return terms

    def evaluate(step):
        average = loop.average.module.eval()
        measured = previews.expression_gain(average)
        previews.save_sheet(average, f"{arguments.output_dir}/samples/{loop.name}-{step:07d}.png")
        reader = nn.Sequential(average.expression_encoder, objective.recognition_head)
        for chips in validation_sets if objective.trains_expression else []:
            measured[f"accuracy_{chips.name}"] = classification_accuracy(reader, chips, config.image_size)
        return measured

    length = dataset_length(accelerator, loop.settings)
    parts = {"pairs": ExpressionPairs(sets, length, side, arguments.seed, share, first_rows)}
    if reads_photos:
        parts["photos"] = BalancedPhotos(sets, length, side, arguments.seed + 1, first_rows=first_rows)
    loop.run(StackDataset(**parts), train_step, evaluate)
    if loop.settings.ema_decay and loop.settings.steps:
        model.load_state_dict(loop.average.module.state_dict())
    loop.close()
    return model
