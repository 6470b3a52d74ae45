"""All measurements of one model that its sets allow, and their figures."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.image_cells import decode
from ..data.loading import NO_EXPRESSION_ID, NO_IDENTITY
from ..model.configuration_tergan import BASIC_EXPRESSIONS
from ..model.errors_tergan import InvalidInputError
from ..model.face_detection_tergan import DetectedFace
from ..model.pipeline_tergan import TerGanPipeline
from . import figures, sheets
from .blendshapes import COLUMN as BLENDSHAPES
from .blendshapes import measure_blendshapes
from .disentanglement import FEWEST_POINTS, probe, project_tsne
from .editing import group_by_person, measure_editing, measure_strangers, own_expression_gain
from .embeddings import CachedDetector, Embeddings, embed_photos
from .groups import accuracy_by_group, count_groups, means_by_group
from .held_out import HeldOutSet
from .judges import Judges
from .metrics import reliability
from .perceptual import PerceptualMetrics
from .published import OULU_CASIA, OULU_CASIA_FOLDS
from .recognition import cross_validate, measure_recognition
from .systems import BASELINE, COPY_TARGET, MODEL, RANDOM, copy_systems, random_system, same_expression_encoder
from .transfer import draw_pairs, gain_on_crops, measure_intensity, measure_transfer
from .votes import VOTES, has_original_labels, measure_original_labels, measure_votes


logger = logging.getLogger(__name__)
RANDOM_ENCODER = "random G_es"
SMILE = "happiness"
FIGURES = ("recognition", "misses", "tsne", "transfer", "editing", "intensity")
PROTOCOLS = ("held-out", "oulu-casia")


@dataclass
class Settings:
    """
    The protocol and its sizes.

    Args:
        protocol: `held-out` measures everything. `oulu-casia` is the paper's Table 1: six expressions, a shallow
            classifier on f(e) in eight folds of people.
        folds: number of folds of every cross-validation.
        pairs: number of transfers between rendered people.
        intensity_pairs: number of these pairs that are measured at every intensity.
        ceiling_photos: photos of each label on which the expression judge itself is measured.
        seed: for drawing the pairs.
    """

    protocol: str = "held-out"
    folds: int = 8
    pairs: int = 210
    intensity_pairs: int = 42
    ceiling_photos: int = 100
    seed: int = 0


class Evaluation:
    """
    Measures one model and its baselines.

    Args:
        pipe: the model.
        output: folder for the figures.
        baseline: the CNN baseline; ignored if it is the model's own G_es.
        judges: default: none.
        perceptual: default: none.
    """

    def __init__(
        self,
        pipe: TerGanPipeline,
        output: str | Path,
        settings: Settings | None = None,
        baseline: TerGanPipeline | None = None,
        judges: Judges | None = None,
        perceptual: PerceptualMetrics | None = None,
    ):
        self.pipe, self.output, self.settings = pipe, Path(output), settings or Settings()
        self.judges, self.perceptual = judges or Judges(), perceptual or PerceptualMetrics(enabled=False)
        detector: Any = CachedDetector(pipe.detector)
        self.pipe.detector = self.judges.detector = detector
        self.random = random_system(pipe)
        self.baseline = baseline if baseline is not None and not same_expression_encoder(pipe, baseline) else None
        if self.baseline is not None:
            self.baseline.detector = detector
        self.systems = {MODEL: pipe, **copy_systems(pipe), RANDOM: self.random}

    def run(self, sets: list[HeldOutSet]) -> dict[str, dict]:
        """
        Measure every set.

        Returns:
            set → its measurements, as plain values for JSON.

        Raises:
            InvalidInputError: a set cannot be measured; the message names it.
        """
        measured = {}
        progress = tqdm(sets, desc="sets", dynamic_ncols=True)
        for held_out in progress:
            progress.set_description(held_out.name)
            whole = held_out.photos
            held_out = _with_known_labels(held_out, self._labels())
            for kind in FIGURES:
                self._figure(held_out, kind).unlink(missing_ok=True)  # of an earlier report
            try:
                measured[held_out.name] = self._measure(held_out) | self._measure_blendshapes(held_out, whole)
            except ValueError as error:
                raise InvalidInputError(f"{held_out.name}: {error}") from error
            measured[held_out.name]["figures"] = [kind for kind in FIGURES if self._figure(held_out, kind).is_file()]
        return measured

    def _labels(self) -> list[str]:
        if self.settings.protocol == "oulu-casia":
            return [label for label in self.pipe.labels if label in BASIC_EXPRESSIONS]
        return self.pipe.labels

    def _measure(self, held_out: HeldOutSet) -> dict:
        photos, name = held_out.photos, held_out.name
        expressions, identities = np.array(photos["expression"]), np.array(photos["identity"])
        named = bool((identities != NO_IDENTITY).all())
        others = {RANDOM: self.random} | ({BASELINE: self.baseline} if self.baseline else {})
        embeddings = embed_photos(self.pipe, photos, held_out.source.align, others, name)
        measured: dict[str, Any] = {
            "photos": len(photos),
            "people": len(set(identities)) if named else None,
            "kept_out": held_out.kept_out,
            "duplicates": held_out.duplicates,
            "detect": held_out.source.align,
            "photos_without_a_face": len(embeddings.without_face),
            "cross_validation": self._cross_validate(embeddings, expressions, identities, named),
        }
        if self.settings.protocol == "oulu-casia":
            return measured | {"published": OULU_CASIA}
        measured["recognition"] = measure_recognition(embeddings, list(expressions), self.pipe.labels)
        self._draw_recognition(held_out, embeddings, measured["recognition"])
        if VOTES in photos.column_names:
            measured["votes"] = measure_votes(photos, embeddings, self.pipe.labels)
        if has_original_labels(held_out):
            measured["original_labels"] = measure_original_labels(self.pipe, held_out)
        if not named:
            if ceiling := self._judge_ceiling(held_out):
                measured["judge_ceiling"] = ceiling
            return measured
        correct = np.zeros(len(photos), bool)
        predicted = np.array(self.pipe.labels)[embeddings.scores.argmax(1)]
        correct[embeddings.rows] = predicted == expressions[embeddings.rows]
        if groups := accuracy_by_group(photos, correct):
            measured["groups"] = groups
            if held_out.training_photos is not None:
                measured["trained_on"] = {
                    "people": len(set(held_out.training_photos["identity"])),
                    **count_groups(held_out.training_photos),
                }
        has_ids = bool((np.array(photos["expression_id"]) != NO_EXPRESSION_ID).all())
        measured["disentanglement"] = self._disentangle(held_out, embeddings, expressions, identities, has_ids)
        if has_ids:
            measured |= self._measure_transfer(held_out, correct)
        else:
            measured |= self._measure_people(held_out)
        return measured

    def _measure_blendshapes(self, held_out: HeldOutSet, photos: Dataset) -> dict:
        """Blendshapes of all photos, also those whose label the model does not know."""
        reads_them = self.settings.protocol == "held-out" and self.pipe.model.config.blendshape_names
        if not reads_them or BLENDSHAPES not in photos.column_names:
            return {}
        count, detect = self.settings.folds, held_out.source.align
        measured = measure_blendshapes(self.pipe, photos, detect, held_out.name, count)
        return {"blendshapes": measured} if measured else {}

    def _cross_validate(self, embeddings: Embeddings, expressions, identities, named: bool) -> dict:
        # If nobody is named, every photo counts as a person of its own.
        groups, rows = identities if named else np.arange(len(expressions)), embeddings.rows
        features = {"f(e)": embeddings.features["expression"]}
        if self.baseline is not None:
            features[BASELINE] = embeddings.features[BASELINE]
        features |= {RANDOM_ENCODER: embeddings.features[RANDOM], "pixels": embeddings.features["pixels"]}
        if len(set(expressions[rows])) < 2 or len(set(groups[rows].tolist())) < 2:
            return {}
        classes, counts = np.unique(expressions, return_counts=True)
        folds = OULU_CASIA_FOLDS if self.settings.protocol == "oulu-casia" else self.settings.folds
        return {
            "by": "people" if named else "photos",
            "classes": len(classes),
            "count": min(folds, len(set(groups.tolist()))),
            "baseline": BASELINE if self.baseline is not None else "the same network",
            "majority": float(counts.max() / counts.sum()),
            "rows": {
                key: cross_validate(columns, expressions, groups, folds, rows) for key, columns in features.items()
            },
        }

    def _disentangle(self, held_out, embeddings: Embeddings, expressions, identities, has_ids: bool) -> dict:
        rows, features = embeddings.rows, embeddings.features
        codes = {"expression": features["expression"], "identity": features["identity"]}
        if self.baseline is not None:
            codes[BASELINE] = features[BASELINE]
        codes[RANDOM_ENCODER] = features[RANDOM]
        expression_ids = np.array(held_out.photos["expression_id"])[rows] if has_ids else None
        if len(rows) >= FEWEST_POINTS:
            panels = {} if self.baseline is None else {"f(e) before stage 2": project_tsne(features[BASELINE])}
            panels["f(e)"] = project_tsne(features["expression"])
            panels["f(i)"] = project_tsne(features["identity"])
            figures.plot_tsne(panels, expressions[rows], identities[rows], self._figure(held_out, "tsne"))
        if len(set(expressions[rows])) < 2 or len(set(identities[rows])) < 2:
            return {}
        return probe(codes, expressions[rows], identities[rows], expression_ids, self.settings.folds)

    def _measure_transfer(self, held_out: HeldOutSet, correct: np.ndarray) -> dict:
        photos, settings, detect = held_out.photos, self.settings, held_out.source.align
        try:
            pairs = draw_pairs(photos, settings.pairs, settings.seed)
        except ValueError as error:
            logger.warning("%s: transfer is not measured: %s", held_out.name, error)
            return {}
        measured: dict[str, Any] = {
            "transfer": {
                "pairs": len(pairs),
                "rows": measure_transfer(self.systems, photos, pairs, detect, self.judges, self.perceptual),
            },
            "intensity": measure_intensity(
                {name: self.systems[name] for name in (MODEL, COPY_TARGET, RANDOM)},
                photos, pairs[: settings.intensity_pairs], detect,
            ),
        }  # fmt: skip
        if detect:
            measured["transfer"]["gain_on_crops"] = gain_on_crops(self.pipe, photos, pairs)
        curves = {name: row["progress"] for name, row in measured["intensity"].items()}
        figures.plot_intensity(curves, self._figure(held_out, "intensity"))
        sheets.draw_transfers(self.pipe, photos, pairs[:12], detect, self._figure(held_out, "transfer"))
        sheets.draw_edits_by_example(self.pipe, photos, detect, self._figure(held_out, "editing"))
        is_new = held_out.has_only_kept_out_groups()
        if held_out.source.group_separator and is_new.any() and not is_new.all():
            unseen = photos.select(np.flatnonzero(is_new))
            part = {"people": len(set(unseen["identity"])), "accuracy": float(correct[is_new].mean())}
            try:
                unseen_pairs = draw_pairs(unseen, max(1, settings.pairs // 2), settings.seed)
            except InvalidInputError as error:
                logger.warning("%s: people who are all new: transfer is not measured: %s", held_out.name, error)
            else:
                rows = measure_transfer(
                    {MODEL: self.pipe}, unseen, unseen_pairs, detect, Judges(detector=self.pipe.detector),
                    PerceptualMetrics(enabled=False),
                )  # fmt: skip
                part["gain"] = rows[MODEL]["gain"]
            measured["nothing_seen"] = part
        return measured

    def _measure_people(self, held_out: HeldOutSet) -> dict:
        people = group_by_person(held_out.photos)
        if not people or not held_out.source.align:
            logger.warning(
                "%s: editing is not measured: nobody has a neutral photo, or the photos are crops", held_out.name
            )
            photos, detect = held_out.photos, held_out.source.align
            sheets.draw_transfers_between_people(self.pipe, photos, detect, self._figure(held_out, "transfer"))
            sheets.draw_edits_by_example(self.pipe, photos, detect, self._figure(held_out, "editing"))
            return {}
        measured = {}
        systems = {name: self.systems[name] for name in (MODEL, COPY_TARGET, RANDOM)}
        if self.judges.identity or self.judges.expression:
            editing = measure_editing(systems, people, self.pipe.labels, self.judges)
            by_person = editing.pop("people")
            measured["editing"] = {**editing, "by_group": means_by_group(held_out.photos, by_person)}
            if sum(SMILE in own for own in people.values()) > 1:
                measured["strangers"] = measure_strangers(self.systems, people, SMILE, self.judges)
        if any(SMILE in own for own in people.values()):
            measured["own_expression_gain"] = own_expression_gain(self.pipe, people, SMILE)
        sheets.draw_edits(self.pipe, people, self._figure(held_out, "editing"))
        sheets.draw_intensities(self.pipe, people, self._figure(held_out, "intensity"))
        sheets.draw_strangers(self.pipe, people, SMILE, self._figure(held_out, "transfer"))
        return measured

    def _judge_ceiling(self, held_out: HeldOutSet) -> dict:
        """Recall of the expression judge on real photos, label by label."""
        if self.judges.expression is None:
            return {}
        shown, recall = np.array(held_out.photos["expression"]), {}
        for label in self.judges.expression.LABELS:
            rows = np.flatnonzero(shown == label)[: self.settings.ceiling_photos]
            hits = []
            for row in rows:
                photo = decode(held_out.photos[int(row)]["image"])
                whole = DetectedFace(np.array([0.0, 0.0, *photo.size]), np.zeros((5, 2)), 1.0)
                face = self.judges.detect(photo) if held_out.source.align else whole
                scores = {} if face is None else self.judges.expression.scores(photo, face)
                hits.append(bool(scores) and max(scores, key=lambda known: scores[known]) == label)
            if hits:
                recall[label] = {"photos": len(hits), "judged": float(np.mean(hits))}
        return recall

    def _draw_recognition(self, held_out: HeldOutSet, embeddings: Embeddings, recognition: dict):
        shown = np.array(held_out.photos["expression"])[embeddings.rows]
        predicted = np.array(self.pipe.labels)[embeddings.scores.argmax(1)]
        bins = reliability(embeddings.scores.max(1), predicted == shown)
        figures.plot_recognition(recognition, bins, self._figure(held_out, "recognition"))
        missed = [(int(row), label) for row, label, true in zip(embeddings.rows, predicted, shown) if label != true]
        missed += [(int(row), "no face") for row in embeddings.without_face]
        sheets.draw_misses(held_out.photos, missed, self._figure(held_out, "misses"))

    def _figure(self, held_out: HeldOutSet, kind: str) -> Path:
        return self.output / "figures" / f"{held_out.name}_{kind}.png"


def _with_known_labels(held_out: HeldOutSet, labels: list[str]) -> HeldOutSet:
    known = np.isin(np.array(held_out.photos["expression"]), labels)
    if not known.any():
        raise InvalidInputError(f"{held_out.name}: no photo has one of the labels {', '.join(labels)}")
    if not known.all():
        logger.warning("%s: %d photos with other labels are left out", held_out.name, int((~known).sum()))
        held_out.photos = held_out.photos.select(np.flatnonzero(known))
    return held_out
