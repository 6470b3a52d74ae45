"""Stage 1 (section 3.1.4): G_es learns to classify expressions, G_et to classify identities."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from ..configuration_tergan import TerGanConfig
from ..data.augmentation import AugmentationConfig
from ..data.crops import cut_crops, draw_framings, to_range
from ..data.device_photos import DevicePhotos
from ..data.framing import chip_size
from ..data.loading import NO_RECIPE
from ..data.mixing import draw_mixture
from ..data.occlusion import erase_rectangles
from ..data.photometry import Photometry
from ..data.sampling import BalancedPhotos, Chips
from ..modeling_tergan import TerGanEncoder, TerGanForImageClassification, TerGanModel, initialize_layer
from .arguments import TrainingArguments
from .checkpoints import find_checkpoint
from .consensus import Consensus
from .loop import TrainingLoop, dataset_length
from .monitoring import classification_accuracy


class EncoderClassifier(nn.Module):
    """An encoder with the layers of its pre-training, which are dropped afterwards: one names the class, one, where
    `num_activations` is not 0, reads the muscles' activations. With `keeps_statistics` the encoder's batch norms stay
    in evaluation mode."""

    def __init__(
        self, encoder: TerGanEncoder, num_classes: int, num_activations: int = 0, keeps_statistics: bool = False
    ):
        super().__init__()
        self.keeps_statistics = keeps_statistics
        self.encoder = encoder
        self.head = nn.Linear(encoder.embedding.out_features, num_classes)
        self.activation_head = nn.Linear(encoder.embedding.out_features, num_activations) if num_activations else None

    def train(self, mode: bool = True):
        super().train(mode)
        if self.keeps_statistics:
            self.encoder.eval()
        return self

    def forward(self, pixel_values: torch.Tensor, in_full: bool = False):
        """(B, C, S, S) → (B, num_classes) logits; in full these, the activations (B, num_activations) or `None`, and
        the embedding."""
        embedding = self.encoder(pixel_values)
        logits = self.head(embedding)
        if not in_full:
            return logits
        return logits, None if self.activation_head is None else self.activation_head(embedding), embedding


class ActivationTargets:
    """The muscles' activations as numbers to predict: centred, divided by their deviation over the training sets.
    Muscles that never move are left out."""

    def __init__(self, sets: list[Chips]):
        known = [chips.activations for chips in sets if chips.activations is not None]
        self.moving = np.zeros(0, dtype=int)
        if known:
            values = np.concatenate(known)
            self.moving = np.flatnonzero(values.std(0) > 0.01)
            self.mean = torch.from_numpy(values.mean(0)[self.moving])
            self.std = torch.from_numpy(values.std(0)[self.moving])

    def __len__(self) -> int:
        return len(self.moving)

    def loss(self, predicted: torch.Tensor, batch: dict) -> torch.Tensor:
        """Mean squared error over variance, over the photos whose activations are known."""
        device = predicted.device
        wanted = (batch["activations"][:, self.moving] - self.mean.to(device)) / self.std.to(device)
        known = batch["has_activations"]
        per_photo = (predicted.float() - wanted).square().mean(1)
        return (per_photo * known).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def soften_labels(
    labels: torch.Tensor,
    teachers: Sequence[TerGanForImageClassification],
    crops: torch.Tensor,
    by_hand: torch.Tensor,
    share: float,
) -> torch.Tensor:
    """
    Mix labels given by hand with what models answer for the very crops the student sees (Beyer et al. 2022, Knowledge
    distillation: A good teacher is patient and consistent). For photos as they are, they would mostly repeat the
    labels they have learnt.

    Args:
        labels: (B, num_labels), rows summing to 1. crops: (B, C, S, S) in [-1, 1].
        teachers: the mean of their answers for a crop and its mirror image counts.
        by_hand: (B,) bool; the others were rendered from their label, which stays.
        share: of the answers.

    Returns:
        (B, num_labels), rows summing to 1.
    """
    # All crops, so that every step has the same shapes: a GPU chooses its convolutions anew for each new one.
    answers = [teacher(view).logits.float().softmax(1) for teacher in teachers for view in (crops, crops.flip(3))]
    return torch.where(by_hand[:, None], torch.lerp(labels, torch.stack(answers).mean(0), share), labels)


def augment_photos(
    chips: torch.Tensor, config: AugmentationConfig, image_size: int, generator: torch.Generator
) -> torch.Tensor:
    """(B, 3, H, H) uint8 chips → (B, 3, image_size, image_size) varied crops in [-1, 1]."""
    framings = draw_framings(len(chips), config, generator, chips.device)
    crops = cut_crops(to_range(chips), framings, image_size)
    crops = Photometry.draw(len(chips), config, generator, chips.device).apply(crops)
    return erase_rectangles(crops, config.erase, generator) if config.erase else crops


def pretrain_encoder(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    config: TerGanConfig,
    label: str,
    sets: list[Chips],
    validation_sets: list[Chips],
    start: TerGanModel | None = None,
    teachers: Sequence[TerGanForImageClassification] = (),
) -> EncoderClassifier:
    """
    Train one encoder as a classifier, or load it where an earlier part of a resumed run has finished it.

    Args:
        label: `"expression"` trains G_es on every set, `"identity"` trains G_et on the sets with identities.
        validation_sets: measured during `"expression"`; who was kept out of training cannot be told by name.
        start: a model whose encoder (and, for expressions, classifier) to go on from; default: initial weights.
        teachers: whose answers `distillation` mixes with the labels.

    Returns:
        the classifier with averaged weights where averaging is on.
    """
    stage = f"{label}_stage"
    settings = getattr(arguments, stage)
    agrees = label == "expression" and settings.consensus > 0 and settings.steps > 0
    if label == "identity":
        sets = [chips for chips in sets if chips.has_identities]
        classifier = EncoderClassifier(TerGanEncoder.of_identity(config), config.num_identities)
        targets = ActivationTargets([])
    else:
        targets = ActivationTargets(sets if config.activation_weight else [])
        encoder = TerGanEncoder.of_expression(config)
        # Consensus is among photos with recipes, and statistics of theirs would not fit the others.
        classifier = EncoderClassifier(encoder, config.num_labels, len(targets), keeps_statistics=agrees)
    classifier.apply(lambda layer: initialize_layer(layer, config))
    if start is not None:
        classifier.encoder.load_state_dict(getattr(start, f"{label}_encoder").state_dict())
        if label == "expression":
            classifier.head.load_state_dict(start.classifier.state_dict())
    if settings.steps:
        classifier.encoder.leave_int8()
    finished = Path(arguments.output_dir) / "stages" / f"{label}.safetensors"
    named = arguments.resume_from_checkpoint not in (None, "latest") and find_checkpoint(arguments, stage)
    if arguments.resume_from_checkpoint and finished.is_file() and not named:
        classifier.load_state_dict(load_file(finished))
        return classifier

    classes = classifier.head.out_features
    distills = label == "expression" and settings.distillation > 0
    if distills:
        for teacher in teachers:
            if teacher.config.expressions != config.expressions:
                raise ValueError(
                    f"{teacher.name_or_path} cannot teach {', '.join(config.expressions)}: it knows "
                    f"{', '.join(teacher.config.expressions)}"
                )
        teachers = [teacher.to(accelerator.device, memory_format=torch.channels_last).eval() for teacher in teachers]
    consensus = None
    if agrees:
        neutral = config.expressions.index("neutral") if "neutral" in config.expressions else None
        consensus = Consensus(
            start.expression_encoder.to(accelerator.device), sets, settings.nuances, start.classifier, neutral
        )
        classifier.train()
    classifier.to(memory_format=torch.channels_last)
    loop = TrainingLoop(accelerator, arguments, stage, [classifier], averaged=classifier)
    model, optimizer = loop.modules[0], loop.optimizers[0]

    # The encoders reduce what is larger than they look at.
    seen = classifier.encoder.image_size
    size = max(seen, *(teacher.expression_encoder.image_size for teacher in teachers)) if distills else seen

    side = chip_size(size)
    stored = DevicePhotos(sets, side, accelerator.device) if arguments.photos_on_device and settings.steps else None

    augmentation = arguments.classifier_augmentation
    straight = replace(augmentation, flip=0.0)
    if consensus is not None:
        draw = torch.Generator().manual_seed(arguments.seed)
        consensus.begin(classifier.encoder, lambda chips: augment_photos(chips, straight, seen, draw))

    def train_step(batch, generator):
        if stored is not None:
            batch = stored.look_up(batch)
        if consensus is None:
            crops = augment_photos(batch["chip"], augmentation, size, generator)
        else:
            crops = augment_photos(batch["chip"], straight, size, generator)
            mirrored = (torch.rand(len(crops), generator=generator) < augmentation.flip).to(crops.device)
            crops = torch.where(mirrored[:, None, None, None], crops.flip(3), crops)
        wanted = F.one_hot(batch[label], classes).float()
        if settings.mixup:
            # A mixture's muscles are activated like nobody's, and it has nobody's recipe.
            whole = batch["has_activations"] if len(targets) else torch.zeros_like(batch["has_activations"])
            mixable = ~(whole | (batch["recipe"] != NO_RECIPE)) if agrees else ~whole
            partners, share = draw_mixture(mixable, settings.mixup, generator)
            crops = torch.lerp(crops[partners], crops, share[:, None, None, None])
            wanted = torch.lerp(wanted[partners], wanted, share[:, None])
        crops = crops.contiguous(memory_format=torch.channels_last)
        measured = {}
        if distills:
            with accelerator.autocast():
                wanted = soften_labels(wanted, teachers, crops, ~batch["has_activations"], settings.distillation)
        with accelerator.autocast():
            logits, activations, embedding = model(crops, in_full=True)
        logits = logits.float()
        loss = F.cross_entropy(logits, wanted, label_smoothing=settings.label_smoothing)
        if activations is not None:
            measured["activation"] = targets.loss(activations, batch)
            loss = loss + config.activation_weight * measured["activation"]
        if consensus is not None:
            agreed = consensus.losses(embedding, *consensus.wanted(batch, crops, mirrored))
            loss = torch.lerp(loss, sum(agreed.values()), settings.consensus)
            measured |= agreed
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss, "accuracy": (logits.argmax(1) == batch[label]).float().mean(), **measured}

    def evaluate(step):
        return {
            f"accuracy_{chips.name}": classification_accuracy(loop.average.module, chips, seen)
            for chips in validation_sets
        }

    length = dataset_length(accelerator, settings)
    balance, evenly = ("expressions", arguments.class_balance) if label == "expression" else ("identities", 1.0)
    first_rows = None if stored is None else stored.first_rows
    dataset = BalancedPhotos(sets, length, side, arguments.seed, balance, class_balance=evenly, first_rows=first_rows)
    loop.run(dataset, train_step, evaluate if label == "expression" else None)
    if settings.ema_decay and settings.steps:
        classifier.load_state_dict(loop.average.module.state_dict())
    loop.close()
    if accelerator.is_main_process:
        finished.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in classifier.state_dict().items()}, finished)
    return classifier
