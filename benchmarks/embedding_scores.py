"""Score the f(e) of networks: fit a shallow classifier on the training people, and test it on held-out people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from tergan_hf import TerGanModel
from tergan_hf.data.photo_set import PhotoSet
from tergan_hf.data.preparation import prepare_sets
from tergan_hf.evaluation.recognition import shallow_classifier
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.embedding import embed_expressions
from tergan_hf.training.encoder_classifier import EncoderClassifier


@dataclass
class Side:
    """
    The labelled photos of one side of a split.

    Args:
        photos: the set. rows: (N,) its labelled rows.
    """

    photos: PhotoSet
    rows: np.ndarray

    @classmethod
    def of(cls, photos: PhotoSet) -> "Side":
        """All labelled photos of a set."""
        return cls(photos, photos.labelled_rows)

    @property
    def labels(self) -> np.ndarray:
        """(N,) class indices."""
        return self.photos.expressions[self.rows]

    @property
    def identities(self) -> list[str]:
        """(N,) names of the people."""
        names = list(self.photos.photos["identity"])
        return [names[row] for row in self.rows]

    def embed(self, encoder: TerGanEncoder, mirrored: bool = False) -> np.ndarray:
        """(N, D) embeddings, f(e) or f(i), or (2 N, D) with each photo's mirror image after it."""
        return embed_expressions(encoder, self.photos, self.rows, mirrored).cpu().numpy()


def load_sides(arguments: TrainingArguments, source: int) -> tuple[Side, Side]:
    """
    The photos of one source that a run trained on, and those that it kept out.

    Raises:
        InvalidInputError: a side has no photo with a label of the model.
    """
    config = arguments.model_config()
    sets = prepare_sets(
        PartialState(), [arguments.sources[source]], arguments.resolve, config.expressions, config.image_size,
        arguments.split_seed,
    )  # fmt: skip
    training, kept_out = Side.of(sets.training[0]), Side.of(sets.validation[0])
    for name, side in (("trained on", training), ("kept out", kept_out)):
        if not len(side.rows):
            raise InvalidInputError(
                f"source '{arguments.sources[source].name}': no photo that was {name} has one of the labels "
                f"{', '.join(config.expressions)}"
            )
    return training, kept_out


def load_stage_1(arguments: TrainingArguments, run: Path, label: str = "expression") -> EncoderClassifier:
    """G_es, or with the label `"identity"` G_et, after stage 1 of a run, with its classification layer."""
    build = TerGanEncoder.of_expression if label == "expression" else TerGanEncoder.of_identity
    saved = load_file(run / "stages" / f"{label}.safetensors")
    classifier = EncoderClassifier(build(arguments.model_config()), len(saved["head.bias"]))
    classifier.load_state_dict(
        {name: value for name, value in saved.items() if name.startswith(("encoder.", "head."))}
    )
    return classifier.to(PartialState().device)


def load_stage_2(run: Path) -> TerGanModel:
    """The model that a run has written."""
    return TerGanModel.from_pretrained(run / "model").dequantize().to(PartialState().device)


@torch.no_grad()
def read_by_head(head: torch.nn.Linear, embeddings: np.ndarray) -> dict:
    """Answers of a classification layer, as `answers`."""
    logits = head(torch.from_numpy(embeddings).to(head.weight.device))
    return answers(logits.softmax(1).cpu().numpy(), np.arange(head.out_features))


def read_by_shallow_classifier(training: np.ndarray, labels: np.ndarray, tested: np.ndarray) -> dict:
    """
    Answers of section 4.4's shallow classifier, as `answers`.

    Args:
        training: (2 N, D), f(e) of the training people and of their mirror images.
        labels: (N,) their classes.
        tested: f(e) of the held-out people.
    """
    classifier = shallow_classifier().fit(training, np.repeat(labels, 2))
    return answers(classifier.predict_proba(tested), classifier.classes_)


def answers(scores: np.ndarray, classes: np.ndarray) -> dict:
    """`predicted` classes (N,) and their `confidence`, as plain lists."""
    return {"predicted": classes[scores.argmax(1)].tolist(), "confidence": scores.max(1).round(4).tolist()}
