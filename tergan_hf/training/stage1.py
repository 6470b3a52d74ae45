"""Stage 1 (section 3.1.4): G_es learns to classify expressions, G_et to classify identities."""

from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from ..configuration_tergan import TerGanConfig
from ..data.augmentation import AugmentationConfig, Photometry, cut_crops, draw_framings, erase_rectangles, to_range
from ..data.sampling import BalancedPhotos, Chips
from ..modeling_tergan import TerGanEncoder, initialize_layer
from .arguments import TrainingArguments
from .checkpoints import find_checkpoint
from .loop import TrainingLoop, dataset_length
from .monitoring import classification_accuracy


class EncoderClassifier(nn.Module):
    """An encoder with the classification layer of its pre-training, which is dropped afterwards."""

    def __init__(self, encoder: TerGanEncoder, num_classes: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.embedding.out_features, num_classes)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, num_classes) logits."""
        return self.head(self.encoder(pixel_values))


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
) -> EncoderClassifier:
    """
    Train one encoder as a classifier, or load it where an earlier part of a resumed run has finished it.

    Args:
        label: `"expression"` trains G_es on every set, `"identity"` trains G_et on the sets with identities.
        validation_sets: measured during `"expression"`; who was kept out of training cannot be told by name.

    Returns:
        the classifier with averaged weights where averaging is on.
    """
    stage = f"{label}_stage"
    if label == "identity":
        sets = [chips for chips in sets if chips.has_identities]
        size, classes = config.identity_embedding_size, config.num_identities
    else:
        size, classes = config.expression_embedding_size, config.num_labels
    classifier = EncoderClassifier(TerGanEncoder(config, size), classes)
    classifier.apply(lambda layer: initialize_layer(layer, config))
    finished = Path(arguments.output_dir) / "stages" / f"{label}.safetensors"
    named = arguments.resume_from_checkpoint not in (None, "latest") and find_checkpoint(arguments, stage)
    if arguments.resume_from_checkpoint and finished.is_file() and not named:
        classifier.load_state_dict(load_file(finished))
        return classifier

    classifier.to(memory_format=torch.channels_last)
    settings = getattr(arguments, stage)
    loop = TrainingLoop(accelerator, arguments, stage, [classifier], averaged=classifier)
    model, optimizer = loop.modules[0], loop.optimizers[0]

    def train_step(batch, generator):
        crops = augment_photos(batch["chip"], arguments.classifier_augmentation, config.image_size, generator)
        with accelerator.autocast():
            logits = model(crops.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(logits, batch[label], label_smoothing=settings.label_smoothing)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss, "accuracy": (logits.argmax(1) == batch[label]).float().mean()}

    def evaluate(step):
        return {
            f"accuracy_{chips.name}": classification_accuracy(loop.average.module, chips, config.image_size)
            for chips in validation_sets
        }

    length = dataset_length(accelerator, settings)
    balance = "expressions" if label == "expression" else "identities"
    dataset = BalancedPhotos(sets, length, seed=arguments.seed, balance=balance)
    loop.run(dataset, train_step, evaluate if label == "expression" else None)
    if settings.ema_decay and settings.steps:
        classifier.load_state_dict(loop.average.module.state_dict())
    loop.close()
    if accelerator.is_main_process:
        finished.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in classifier.state_dict().items()}, finished)
    return classifier
