"""Stage 1 (section 3.1.4): G_es learns to classify expressions, G_et to classify identities."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torch.utils.data import StackDataset

from ..configuration_tergan import TerGanConfig
from ..data.device_photos import DevicePhotos
from ..data.framing import chip_size
from ..data.loading import NO_RECIPE
from ..data.mixing import draw_mixture
from ..data.sampling import BalancedPhotos, Chips, ExpressionPairs
from ..modeling_tergan import TerGanEncoder, TerGanForImageClassification, TerGanModel, initialize_layer
from .arguments import TrainingArguments
from .back_translation import back_translated_photos
from .batches import augment_photos
from .checkpoints import find_checkpoint
from .consensus import Consensus
from .encoder_classifier import ActivationTargets, EncoderClassifier
from .loop import TrainingLoop, dataset_length
from .monitoring import classification_accuracy
from .teachers import check_teachers, soften_labels
from .transfer_term import TransferTerm


class ClassificationSteps:
    """
    One update of an encoder as a classifier.

    Args:
        model, optimizer: as the accelerator prepared them; the model is an `EncoderClassifier`.
        label: `"expression"` or `"identity"`, the column to name. classes: how many.
        size: of the crops, at least what each network looks at.
        targets: the muscles' activations to read, if any. teachers: whose answers are mixed with the labels.
        consensus: what f(e) is to become, or `None`. transfer: what is made by f(e), or `None`.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        arguments: TrainingArguments,
        config: TerGanConfig,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        label: str,
        classes: int,
        size: int,
        targets: ActivationTargets,
        teachers: Sequence[TerGanForImageClassification],
        consensus: Consensus | None,
        transfer: TransferTerm | None,
    ):
        self.accelerator, self.model, self.optimizer = accelerator, model, optimizer
        self.settings, self.augmentation = getattr(arguments, f"{label}_stage"), arguments.classifier_augmentation
        self.activation_weight = config.activation_weight
        self.label, self.classes, self.size = label, classes, size
        self.targets, self.teachers, self.consensus, self.transfer = targets, teachers, consensus, transfer

    def step(self, raw: dict, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Collated items of `BalancedPhotos` and, with transfer, of `ExpressionPairs` → the loss, its terms and the
        accuracy, for the log."""
        batch = raw["photos"]
        crops, mirrored = self._vary(batch["chip"], generator)
        wanted = F.one_hot(batch[self.label], self.classes).float()
        if self.settings.mixup:
            partners, share = draw_mixture(self._mixable(batch), self.settings.mixup, generator)
            crops = torch.lerp(crops[partners], crops, share[:, None, None, None])
            wanted = torch.lerp(wanted[partners], wanted, share[:, None])
        crops = crops.contiguous(memory_format=torch.channels_last)
        # Where places are looked up, half precision is too coarse.
        pairs = self.transfer.vary(raw, generator) if self.transfer is not None else None
        with self.accelerator.autocast():
            if self.teachers:
                by_hand = ~batch["has_activations"]
                wanted = soften_labels(wanted, self.teachers, crops, by_hand, self.settings.distillation)
            if pairs is None:
                logits, activations, embedding = self.model(crops, in_full=True)
            else:
                # Together: processes that train together expect the model to run once a step.
                shown = torch.cat([crops, self.transfer.shown(pairs, crops.shape[-1])])
                answers = self.model(shown.contiguous(memory_format=torch.channels_last), in_full=True)
                logits, activations, embedding = (None if a is None else a[: len(crops)] for a in answers)
                transferred = self.transfer.loss(pairs, answers[2][len(crops) :].float())
        logits = logits.float()
        loss = F.cross_entropy(logits, wanted, label_smoothing=self.settings.label_smoothing)
        terms = {}
        if activations is not None:
            terms["activation"] = self.targets.loss(activations, batch)
            loss = loss + self.activation_weight * terms["activation"]
        if self.consensus is not None:
            agreed = self.consensus.losses(embedding, *self.consensus.wanted(batch, crops, mirrored))
            loss = torch.lerp(loss, sum(agreed.values()), self.settings.consensus)
            terms |= agreed
        if pairs is not None:
            terms["transfer"] = self.settings.transfer * transferred
            loss = loss + terms["transfer"]
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": loss, "accuracy": (logits.argmax(1) == batch[self.label]).float().mean(), **terms}

    def _vary(self, chips: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Crops, and which of them are mirror images, where that is asked for."""
        if self.consensus is None:
            return augment_photos(chips, self.augmentation, self.size, generator), None
        crops = augment_photos(chips, replace(self.augmentation, flip=0.0), self.size, generator)
        mirrored = (torch.rand(len(crops), generator=generator) < self.augmentation.flip).to(crops.device)
        return torch.where(mirrored[:, None, None, None], crops.flip(3), crops), mirrored

    def _mixable(self, batch: dict) -> torch.Tensor:
        """A mixture's muscles are activated like nobody's, and it has nobody's recipe."""
        whole = batch["has_activations"] if len(self.targets) else torch.zeros_like(batch["has_activations"])
        return ~(whole | (batch["recipe"] != NO_RECIPE)) if self.consensus is not None else ~whole


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
    names_expressions = label == "expression"
    agrees = names_expressions and settings.consensus > 0 and settings.steps > 0
    if not names_expressions:
        sets = [chips for chips in sets if chips.has_identities]
    targets = ActivationTargets(sets if names_expressions and config.activation_weight else [])
    classifier = _build(config, label, len(targets), agrees, start)
    if settings.steps:
        classifier.encoder.leave_int8()
    finished = Path(arguments.output_dir) / "stages" / f"{label}.safetensors"
    named = arguments.resume_from_checkpoint not in (None, "latest") and find_checkpoint(arguments, stage)
    if arguments.resume_from_checkpoint and finished.is_file() and not named:
        classifier.load_state_dict(load_file(finished))
        return classifier

    teachers = teachers if names_expressions and settings.distillation > 0 else ()
    check_teachers(teachers, config)
    teachers = [teacher.to(accelerator.device, memory_format=torch.channels_last).eval() for teacher in teachers]
    # The encoders reduce what is larger than they look at.
    seen = classifier.encoder.image_size
    size = max(seen, *(teacher.expression_encoder.image_size for teacher in teachers)) if teachers else seen
    consensus = _agree(accelerator, config, settings.nuances, sets, start) if agrees else None
    transfer = TransferTerm(start, arguments, accelerator) if agrees and settings.transfer else None
    classifier.train().to(memory_format=torch.channels_last)
    loop = TrainingLoop(accelerator, arguments, stage, [classifier], averaged=classifier)
    classes, side = classifier.head.out_features, chip_size(size)
    steps = ClassificationSteps(
        accelerator, arguments, config, loop.modules[0], loop.optimizers[0], label, classes, size, targets, teachers,
        consensus, transfer,
    )  # fmt: skip
    if consensus is not None:
        straight = replace(arguments.classifier_augmentation, flip=0.0)
        draw = torch.Generator().manual_seed(arguments.seed)
        consensus.begin(classifier.encoder, lambda chips: augment_photos(chips, straight, seen, draw))
    length = dataset_length(accelerator, settings)
    balance, evenly = ("expressions", arguments.class_balance) if names_expressions else ("identities", 1.0)
    keeps = arguments.photos_on_device and settings.steps
    stored = {"photos": DevicePhotos(sets, side, accelerator.device)} if keeps else {}
    pair_side = chip_size(config.image_size)
    if keeps and transfer is not None:
        stored["pairs"] = stored["photographs"] = DevicePhotos(sets, pair_side, accelerator.device, with_motion=True)
    rows = {part: photos.first_rows for part, photos in stored.items()}
    parts = {
        "photos": BalancedPhotos(
            sets, length, side, arguments.seed, balance, class_balance=evenly, first_rows=rows.get("photos")
        )
    }
    if transfer is not None:
        share = arguments.pairs.ground_truth_share
        parts["pairs"] = ExpressionPairs(sets, length, pair_side, arguments.seed + 1, share, rows.get("pairs"))
        if transfer.back_translation is not None:
            parts["photographs"] = back_translated_photos(
                sets, length, pair_side, arguments.seed + 2, rows.get("photographs")
            )

    def train_step(raw, generator):
        return steps.step({part: stored[part].look_up(raw[part]) if stored else raw[part] for part in raw}, generator)

    def evaluate(step):
        return {
            f"accuracy_{chips.name}": classification_accuracy(loop.average.module, chips, seen)
            for chips in validation_sets
        }

    loop.run(StackDataset(**parts), train_step, evaluate if names_expressions else None)
    if settings.ema_decay and settings.steps:
        classifier.load_state_dict(loop.average.module.state_dict())
    loop.close()
    if accelerator.is_main_process:
        finished.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in classifier.state_dict().items()}, finished)
    return classifier


def _build(
    config: TerGanConfig, label: str, activations: int, agrees: bool, start: TerGanModel | None
) -> EncoderClassifier:
    if label == "identity":
        classifier = EncoderClassifier(TerGanEncoder.of_identity(config), config.num_identities)
    else:
        # Consensus is among photos with recipes, and statistics of theirs would not fit the others.
        encoder = TerGanEncoder.of_expression(config)
        classifier = EncoderClassifier(encoder, config.num_labels, activations, keeps_statistics=agrees)
    classifier.apply(lambda layer: initialize_layer(layer, config))
    if start is not None:
        classifier.encoder.load_state_dict(getattr(start, f"{label}_encoder").state_dict())
        if label == "expression":
            classifier.head.load_state_dict(start.classifier.state_dict())
    return classifier


def _agree(
    accelerator: Accelerator, config: TerGanConfig, nuances: int, sets: list[Chips], start: TerGanModel
) -> Consensus:
    neutral = config.expressions.index("neutral") if "neutral" in config.expressions else None
    encoder = start.expression_encoder.to(accelerator.device)
    return Consensus(encoder, sets, nuances, start.classifier, neutral)
