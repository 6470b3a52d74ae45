"""Stage 1 (section 3.1.4): G_es learns to classify expressions, G_et to classify identities."""

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save
from torch import nn
from torch.nn import functional as F

from ..data.device_photos import DevicePhotos
from ..data.mixing import draw_mixture
from ..data.padded_crops import padded_crop_size
from ..data.photo_set import PhotoSet
from ..data.sampling import BalancedPhotos
from ..expressions.blendshapes import COLUMN_NAMES
from ..model.atomic_file_tergan import write_whole
from ..model.blendshapes_tergan import mirror_blendshapes
from ..model.configuration_tergan import TerGanConfig
from ..model.encoder_tergan import TerGanEncoder
from ..model.errors_tergan import InvalidInputError
from ..model.initialization_tergan import initialize_layer
from ..model.modeling_tergan import TerGanModel
from .arguments import TrainingArguments
from .batches import augment_photos
from .checkpoints import find_checkpoints, forget_later_parts
from .displacements import DisplacementMetric, fit_displacement_metric
from .encoder_classifier import BlendshapeTargets, EncoderClassifier
from .loop import TrainingLoop, dataset_length
from .losses import require_finite
from .monitoring import blendshape_accuracy, classification_accuracy
from .optimizers import clip_and_step


class ClassificationSteps:
    """
    One update of an encoder as a classifier.

    Args:
        model, optimizer: as the accelerator prepared them; the model is an `EncoderClassifier`.
        label: `"expression"` or `"identity"`, the column to classify.
        size: of the crops in pixels, at least that of every network.
        targets: the blendshapes to read, if any.
        metric: of the displacements that their errors cause, for `losses.displacement`.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        arguments: TrainingArguments,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        label: str,
        size: int,
        targets: BlendshapeTargets,
        metric: DisplacementMetric | None = None,
    ):
        self.accelerator, self.model, self.optimizer = accelerator, model, optimizer
        self.settings, self.augmentation = getattr(arguments, f"{label}_stage"), arguments.classifier_augmentation
        self.losses = arguments.losses
        self.label, self.size, self.targets, self.metric = label, size, targets, metric
        self.classes = accelerator.unwrap_model(model).head.out_features

    def step(self, batch: dict, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Collated items of `BalancedPhotos` → what to log: loss, its terms, accuracy and norm of the gradients."""
        crops, mirrored = augment_photos(batch["padded_crop"], self.augmentation, self.size, generator)
        wanted = self._wanted(batch, mirrored)
        if self.settings.mixup:
            # A mixture of two faces has nobody's blendshapes, so exact ones are not mixed.
            partners, share = draw_mixture(~batch["is_rendered"], self.settings.mixup, generator)
            crops = torch.lerp(crops[partners], crops, share[:, None, None, None])
            wanted = {name: torch.lerp(own[partners], own, share[:, None]) for name, own in wanted.items()}
        crops = crops.contiguous(memory_format=torch.channels_last)
        with self.accelerator.autocast():
            read = self.model(crops)
        terms = {"label": self._cross_entropy(read.logits, wanted["label"])}
        loss = terms["label"]
        if read.original_logits is not None:
            terms["original_label"] = self._cross_entropy(read.original_logits, wanted["original_label"])
            loss = loss + self.losses.original_label * terms["original_label"]
        if read.blendshapes is not None:
            terms["blendshapes"] = self.targets.loss(read.blendshapes, wanted["blendshapes"])
            loss = loss + self.losses.blendshapes * terms["blendshapes"]
            if self.metric is not None:
                columns = self.targets.to_columns(read.blendshapes.float())
                terms["displacement"] = self.metric.loss(columns, wanted["blendshapes"])
                loss = loss + self.losses.displacement * terms["displacement"]
        require_finite({"loss": loss, **terms})
        self.accelerator.backward(loss)
        norm = clip_and_step(self.accelerator, self.model, self.optimizer, self.settings.max_grad_norm)
        labelled = batch[self.label] >= 0
        right = (read.logits.argmax(1) == batch[self.label]) & labelled
        accuracy = right.sum() / labelled.sum().clamp(min=1)
        return {"loss": loss, **terms, "accuracy": accuracy, "gradient_norm": norm}

    def _wanted(self, batch: dict, mirrored: torch.Tensor) -> dict[str, torch.Tensor]:
        """Targets of the heads: distributions (B, classes), zeros where unknown, and blendshapes, NaN where
        unknown."""
        if self.label == "identity":
            return {"label": F.one_hot(batch["identity"], self.classes).float()}
        second = batch["original_expression"]
        turned = mirror_blendshapes(batch["blendshapes"], COLUMN_NAMES)
        return {
            "label": batch["label_distribution"],
            "original_label": F.one_hot(second.clamp(min=0), self.classes) * (second >= 0).float()[:, None],
            "blendshapes": torch.where(mirrored[:, None], turned, batch["blendshapes"]),
        }

    def _cross_entropy(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean over the photos with a target. Label smoothing as in `F.cross_entropy`."""
        known = wanted.sum(1)
        each = F.cross_entropy(logits.float(), wanted, label_smoothing=self.settings.label_smoothing, reduction="none")
        return (each * (known > 0)).sum() / known.sum().clamp(min=1)


def pretrain_encoder(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    config: TerGanConfig,
    label: str,
    sets: list[PhotoSet],
    num_classes: int,
    validation_sets: Sequence[PhotoSet] = (),
    start: TerGanModel | None = None,
) -> EncoderClassifier:
    """
    Train one encoder as a classifier, or load it if an earlier part of a resumed run has finished it.

    Args:
        label: `"expression"` trains G_es on every set, `"identity"` trains G_et on the sets with identities.
        num_classes: N_e or N_i.
        validation_sets: measured while `"expression"` trains. Identities that were kept out cannot be classified.
        start: a model whose encoder (and, for expressions, classifier) to start from. Default: initial weights.

    Returns:
        the classifier, with averaged weights if averaging is on.
    """
    stage = f"{label}_stage"
    settings = getattr(arguments, stage)
    names_expressions = label == "expression"
    if not names_expressions:
        sets = [photos for photos in sets if photos.has_identities]
    targets = BlendshapeTargets(sets if names_expressions and arguments.losses.blendshapes else [])
    with_original = names_expressions and arguments.losses.original_label > 0
    with_original = with_original and any(photos.original_expressions is not None for photos in sets)
    classifier = _build(config, label, num_classes, targets, with_original, start)
    finished = Path(arguments.output_dir) / "stages" / f"{label}.safetensors"
    named = arguments.resume_from_checkpoint not in (None, "latest") and find_checkpoints(arguments, stage)
    if arguments.resume_from_checkpoint and finished.is_file() and not named:
        classifier.load_state_dict(load_file(finished))
        return classifier

    if named and accelerator.is_main_process:
        forget_later_parts(arguments, stage, finished)
    if settings.steps:
        _train(accelerator, arguments, classifier, label, sets, num_classes, targets, validation_sets)
    if accelerator.is_main_process:
        finished.parent.mkdir(parents=True, exist_ok=True)
        write_whole(finished, save({name: value.contiguous() for name, value in classifier.state_dict().items()}))
    return classifier


def _train(
    accelerator: Accelerator, arguments: TrainingArguments, classifier: EncoderClassifier, label: str,
    sets: list[PhotoSet], num_classes: int, targets: BlendshapeTargets, validation_sets: Sequence[PhotoSet],
):  # fmt: skip
    """Train a classifier in place, from the last checkpoint if the run is resumed."""
    stage = f"{label}_stage"
    settings, names_expressions = getattr(arguments, stage), label == "expression"
    if not any(photos.weight for photos in sets):
        raise InvalidInputError(
            f"{stage} has no set to draw from: "
            + ("the weight of every set is 0" if sets else "no source has the column `identity` for every photo")
        )
    # What the encoder would reduce larger crops to.
    size = classifier.encoder.image_size
    classifier.train().to(memory_format=torch.channels_last)
    loop = TrainingLoop(accelerator, arguments, stage, [classifier], averaged=classifier)
    metric = None
    if len(targets) and arguments.losses.displacement:
        metric = fit_displacement_metric(sets)
    steps = ClassificationSteps(
        accelerator, arguments, loop.modules[0], loop.optimizers[0], label, size, targets, metric
    )
    side = padded_crop_size(size)
    balance, evenly = ("expressions", arguments.class_balance) if names_expressions else ("identities", 1.0)
    stored = None
    if arguments.photos_on_device:
        stored = DevicePhotos(sets, side, accelerator.device)
    photos = BalancedPhotos(
        sets, dataset_length(accelerator, settings), side, arguments.seed, balance, class_balance=evenly,
        first_rows=stored.first_rows if stored else None, num_labels=num_classes if names_expressions else 0,
        blendshape_balance=arguments.blendshape_balance,
    )  # fmt: skip

    def train_step(batch, generator):
        return steps.step(stored.look_up(batch) if stored else batch, generator)

    def evaluate(step):
        measured = {}
        for photos in validation_sets:
            if len(photos.labelled_rows):
                measured[f"accuracy_{photos.name}"] = classification_accuracy(loop.averaged_module, photos, size)
            if len(targets) and photos.blendshapes is not None:
                read = blendshape_accuracy(loop.averaged_module, photos, size, targets.to_columns, metric)
                measured.update({f"{name}_{photos.name}": value for name, value in read.items()})
        return measured

    loop.run(photos, train_step, evaluate if names_expressions else None)
    if settings.ema_decay:
        classifier.load_state_dict(loop.averaged_module.state_dict())
    loop.close()


def _build(
    config: TerGanConfig, label: str, num_classes: int, targets: BlendshapeTargets, with_original: bool,
    start: TerGanModel | None,
) -> EncoderClassifier:  # fmt: skip
    build = TerGanEncoder.of_expression if label == "expression" else TerGanEncoder.of_identity
    classifier = EncoderClassifier(build(config), num_classes, targets, with_original)
    classifier.apply(initialize_layer)
    if start is not None:
        classifier.encoder.load_state_dict(getattr(start, f"{label}_encoder").state_dict())
        if label == "expression":
            classifier.head.load_state_dict(start.classifier.state_dict())
    return classifier
