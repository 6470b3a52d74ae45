"""Stage 2 (section 3.1.4): the whole network. Each step (a) decodes x̄ from f(e)(x_s) and f(i)(x_t) and (b) sends x̄
back through both encoders; then D learns to tell x̄ from photos."""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import StackDataset
from transformers.modeling_outputs import ImageClassifierOutput

from ..data.device_photos import DevicePhotos
from ..data.padded_crops import padded_crop_size
from ..data.photo_set import PhotoSet
from ..data.sampling import BalancedPhotos, ExpressionPairs
from ..model.modeling_tergan import TerGanModel
from . import losses, mouths
from .arguments import OptimizerArguments, TrainingArguments
from .batches import PairBatch, augment_pairs
from .blendshape_fitting import fit_blendshape_layers
from .checkpoints import find_checkpoints
from .classifier import fit_head
from .discriminator_files import load_discriminators, save_discriminators
from .discriminators import Discriminator, MouthDiscriminator
from .encoder_classifier import EncoderClassifier
from .generator_objective import GeneratorObjective
from .loop import TrainingLoop, dataset_length
from .monitoring import ValidationPairs, classification_accuracy
from .optimizers import clip_and_step


class AdversarialSteps:
    """One update of the generator's side, then one of D. Neither touches the other's parameters.

    Args:
        objective, discriminator: as the accelerator prepared them.
        plain_discriminator: D without the accelerator's wrapper, through which the generator's loss runs with frozen
            parameters.
        optimizers: of objective, discriminator and, if there is one, the discriminator of mouths.
        weights: `LossArguments`. costly_interval: see `PairArguments`.
        mouth_discriminator, plain_mouth_discriminator: a `MouthDiscriminator` with and without the accelerator's
            wrapper, or `None`.
    """

    def __init__(
        self, accelerator, objective, discriminator, plain_discriminator, optimizers, weights, max_grad_norm=5.0,
        costly_interval=1, mouth_discriminator=None, plain_mouth_discriminator=None,
    ):  # fmt: skip
        self.weights, self.max_grad_norm, self.costly_interval = weights, max_grad_norm, costly_interval
        self.accelerator = accelerator
        self.objective, self.discriminator = objective, discriminator
        self.plain_discriminator = plain_discriminator
        self.generator_optimizer, self.discriminator_optimizer = optimizers[:2]
        self.mouth_discriminator, self.plain_mouth_discriminator = mouth_discriminator, plain_mouth_discriminator
        self.mouth_optimizer = optimizers[2] if mouth_discriminator is not None else None
        self.judges = [judge for judge in (plain_discriminator, plain_mouth_discriminator) if judge is not None]

    def generator_step(
        self, batch: PairBatch, costly: bool = True, judges_mouths: bool = True
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Minimise eq. 10 over G_es, G_et and G_de, with D_es and D_et behind gradient reversal. Returns x̄ and what
        to log: the terms, those of the mouth only if `judges_mouths`, their total and the norm of its gradients."""
        for judge in self.judges:
            judge.requires_grad_(False)
        with self.accelerator.autocast():
            generated, terms = self.objective(batch, costly)
            if costly and self.weights.adversarial:
                expression_logits, identity_logits = self.plain_discriminator(generated)
                terms["adversarial"] = losses.generator_loss(
                    expression_logits.float(), identity_logits.float(), batch.source_expression, batch.target_identity
                )
            if judges_mouths and self.plain_mouth_discriminator is not None:
                terms |= mouths.generator_terms(
                    self.plain_mouth_discriminator, mouths.MouthPatches.of(generated, batch)
                )
            total = {"total": losses.total_loss(terms, self.weights, self.costly_interval)} if terms else {}
        if total:  # or else all terms are costly ones, and this is a step between
            losses.require_finite({**terms, **total})
            self.accelerator.backward(total["total"])
            total["gradient_norm"] = self._update(self.objective, self.generator_optimizer)
        for judge in self.judges:
            judge.requires_grad_(True)
        return generated.detach(), total | terms

    def discriminator_step(self, batch: PairBatch, generated: torch.Tensor) -> torch.Tensor:
        """Minimise eq. 1 over D."""
        with self.accelerator.autocast():
            count = len(generated)
            expression, identity = self.discriminator(torch.cat([batch.source, batch.target, generated]))
        loss = losses.discriminator_loss(
            expression[:count].float(), identity[count : 2 * count].float(), expression[2 * count :].float(),
            batch.source_expression, batch.target_identity,
        )  # fmt: skip
        losses.require_finite({"discriminator": loss})
        self.accelerator.backward(loss)
        self._update(self.discriminator, self.discriminator_optimizer)
        return loss

    def mouth_discriminator_step(self, batch: PairBatch, generated: torch.Tensor) -> torch.Tensor:
        """Minimise the hinge loss over the discriminator of mouths."""
        with self.accelerator.autocast():
            loss = mouths.discriminator_loss(self.mouth_discriminator, mouths.MouthPatches.of(generated, batch))
        losses.require_finite({"mouth_discriminator": loss})
        self.accelerator.backward(loss)
        self._update(self.mouth_discriminator, self.mouth_optimizer)
        return loss

    def _update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        return clip_and_step(self.accelerator, module, optimizer, self.max_grad_norm)


class _Reader(nn.Module):
    """Crops → `ImageClassifierOutput` with the logits of a head on f(e)."""

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        return ImageClassifierOutput(logits=self.head(self.encoder(pixel_values)))


def train_generator(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    model: TerGanModel,
    expression: EncoderClassifier,
    identity: EncoderClassifier,
    sets: list[PhotoSet],
    validation_sets: list[PhotoSet],
    num_identities: int,
) -> TerGanModel:
    """
    Run stage 2 on the sets with identities and, for the recognition term, on all sets.

    Args:
        expression, identity: stage 1's results. num_identities: N_i.

    Returns:
        the model, with averaged weights if averaging is on. With 0 steps, the encoders of stage 1 in `model`.
    """
    config = model.config
    if not arguments.generator_stage.steps:
        model.expression_encoder.load_state_dict(expression.encoder.state_dict())
        model.identity_encoder.load_state_dict(identity.encoder.state_dict())
        return model.to(accelerator.device)
    objective = GeneratorObjective(model, expression, identity, arguments).to(memory_format=torch.channels_last)
    discriminator = Discriminator(config, arguments.discriminators, num_identities).to(
        memory_format=torch.channels_last
    )
    if arguments.pretrained_run:
        load_discriminators(objective, discriminator, arguments)
    if arguments.pairs.edited_by_name and not find_checkpoints(arguments, "generator_stage"):
        objective.to(accelerator.device)
        fit_blendshape_layers(model, sets, regressor=False)
    modules: list[nn.Module] = [objective, discriminator]
    judges_mouths = bool(arguments.losses.mouth_adversarial or arguments.losses.mouth_features)
    optimizers = {}
    if judges_mouths:
        sizes = arguments.discriminators
        optimizers[len(modules)] = OptimizerArguments(learning_rate=sizes.mouth_learning_rate)
        modules.append(MouthDiscriminator(config.num_channels, sizes.mouth_channels))
    loop = TrainingLoop(accelerator, arguments, "generator_stage", modules, model, optimizers)
    objective_module, discriminator_module = loop.modules[:2]
    objective_module.train()
    steps = AdversarialSteps(
        accelerator, objective_module, discriminator_module, discriminator, loop.optimizers,
        arguments.losses, loop.settings.max_grad_norm, arguments.pairs.costly_interval,
        *([loop.modules[2], modules[2]] if judges_mouths else []),
    )  # fmt: skip
    previews = ValidationPairs(validation_sets, config.image_size, seed=arguments.seed)

    side, share = padded_crop_size(config.image_size), arguments.pairs.ground_truth_share
    reads_photos = arguments.losses.recognition and arguments.pairs.recognition_share and objective.trains_expression
    stored = first_rows = None
    if arguments.photos_on_device:
        drawn = [photos for photos in sets if reads_photos or photos.has_identities]
        stored = DevicePhotos(drawn, side, accelerator.device, with_flow_maps=True)
        first_rows = stored.first_rows

    def train_step(raw, generator):
        if stored is not None:
            raw = {part: stored.look_up(items) for part, items in raw.items()}
        batch = augment_pairs(raw, arguments, config.image_size, generator)
        costly = loop.step % arguments.pairs.costly_interval == 0
        mouths_begun = judges_mouths and loop.step >= arguments.losses.mouth_start * loop.settings.steps
        generated, terms = steps.generator_step(batch, costly, mouths_begun)
        if costly and arguments.losses.adversarial:
            terms["discriminator"] = steps.discriminator_step(batch, generated)
        if mouths_begun:
            terms["mouth_discriminator"] = steps.mouth_discriminator_step(batch, generated)
        return terms

    def evaluate(step):
        average = loop.averaged_module.eval()
        measured = previews.expression_gain(average)
        previews.save_sheet(average, f"{arguments.output_dir}/samples/{loop.name}-{step:07d}.png")
        labelled = [photos for photos in validation_sets if objective.trains_expression and len(photos.labelled_rows)]
        if labelled:
            encoder = average.expression_encoder
            # Stage 1's classifier no longer fits: G_es has moved.
            reader = _Reader(encoder, fit_head(encoder, sets, config.num_labels, arguments.class_balance))
            for photos in labelled:
                measured[f"accuracy_{photos.name}"] = classification_accuracy(reader, photos, config.image_size)
        return measured

    length = dataset_length(accelerator, loop.settings)
    parts = {
        "pairs": ExpressionPairs(
            sets, length, side, arguments.seed, share, first_rows, blendshape_balance=arguments.blendshape_balance
        )
    }
    if reads_photos:
        parts["photos"] = BalancedPhotos(sets, length, side, arguments.seed + 1, first_rows=first_rows)
    loop.run(StackDataset(**parts), train_step, evaluate)
    if loop.settings.ema_decay:
        model.load_state_dict(loop.averaged_module.state_dict())
    loop.close()
    if accelerator.is_main_process:
        save_discriminators(objective, discriminator, arguments.output_dir)
    return model
