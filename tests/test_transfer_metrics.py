"""Measurements of transfer and editing: good, lazy, cheating and untrained systems get the scores they deserve."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from tergan_hf import DetectedFace, TerGanConfig
from tergan_hf.evaluation.editing import measure_editing, measure_strangers, own_expression_gain
from tergan_hf.evaluation.metrics import HIGHEST_PSNR, INTENSITIES
from tergan_hf.evaluation.perceptual import PerceptualMetrics
from tergan_hf.evaluation.systems import COPY_SOURCE, COPY_TARGET, MODEL, RANDOM, copy_systems, random_system
from tergan_hf.evaluation.transfer import (
    TRUTH,
    draw_pairs,
    gain_on_crops,
    load_pairs,
    measure_intensity,
    measure_transfer,
)
from tergan_hf.model.face_alignment_tergan import TEMPLATE

from .drawn_faces import DrawnFaceJudges, PerfectSystem
from .tiny_models import TINY


def test_pairs_have_different_people_and_the_right_truth(drawn_people):
    pairs = draw_pairs(drawn_people, 24)
    assert len(pairs) == 24
    for source, target, truth in pairs:
        assert drawn_people[source]["identity"] != drawn_people[target]["identity"] == drawn_people[truth]["identity"]
        assert drawn_people[source]["expression_id"] == drawn_people[truth]["expression_id"]
        assert truth != target
    shown = [drawn_people[source]["expression"] for source, _, _ in pairs]
    assert {shown.count(label) for label in set(shown)} == {6}


def test_pairs_need_shared_expression_ids():
    lonely = Dataset.from_dict({"identity": ["a", "b"], "expression_id": [0, 1], "expression": ["anger", "fear"]})
    with pytest.raises(ValueError, match="share an expression_id"):
        draw_pairs(lonely, 4)
    with pytest.raises(ValueError, match="expression_id for every photo"):
        draw_pairs(Dataset.from_dict({"identity": ["a"], "expression_id": [-1], "expression": ["anger"]}), 4)


def test_pairs_are_drawn_from_the_labels_that_two_people_share():
    photos = Dataset.from_dict({
        "identity": ["a", "a", "a", "b", "b"], "expression_id": [0, 1, 2, 0, 1],
        "expression": ["anger", "fear", "disgust", "anger", "fear"],
    })  # fmt: skip
    pairs = draw_pairs(photos, 8)
    assert len(pairs) == 8 and {photos[source]["expression"] for source, _, _ in pairs} == {"anger", "fear"}


def test_means_tell_how_many_pairs_a_judge_could_answer(drawn_people):
    class Blind(DrawnFaceJudges):
        """Does not see the first person."""

        def identity_features(self, image, fallback=None):
            features = super().identity_features(image)
            return None if features[0] else features

    pairs = draw_pairs(drawn_people, 12)
    seen = [target for _, target, _ in pairs if drawn_people[target]["identity"] != "p0"]
    off = PerceptualMetrics(enabled=False)
    rows = measure_transfer({MODEL: PerfectSystem()}, drawn_people, pairs, False, Blind(), off)
    assert rows[MODEL]["counts"]["to_target"] == len(seen) < 12 == rows[MODEL]["counts"]["gain"]


def test_transfer_metrics_separate_good_lazy_cheating_and_untrained_systems(drawn_people, tiny_photo_pipeline):
    systems = {MODEL: PerfectSystem(), **copy_systems(tiny_photo_pipeline), RANDOM: random_system(tiny_photo_pipeline)}
    pairs = draw_pairs(drawn_people, 16)
    rows = measure_transfer(systems, drawn_people, pairs, False, DrawnFaceJudges(), PerceptualMetrics(enabled=False))
    perfect, lazy, cheat, random = (rows[name] for name in (MODEL, COPY_TARGET, COPY_SOURCE, RANDOM))
    assert perfect["gain"] == pytest.approx(1) and perfect["psnr"] == HIGHEST_PSNR
    assert lazy["gain"] == 0 and lazy["psnr"] < HIGHEST_PSNR
    assert cheat["gain"] < 0 and random["gain"] < 0
    assert max(cheat["psnr"], random["psnr"]) < lazy["psnr"]
    assert perfect["judged"] == rows[TRUTH]["judged"] == cheat["judged"] == 1
    assert lazy["judged"] == 0  # target and truth always differ here
    assert random["judged"] < 0.5
    assert perfect["to_target"] == lazy["to_target"] == 1 and perfect["to_source"] == lazy["to_source"] == 0
    assert cheat["to_target"] == 0 and cheat["to_source"] == 1
    assert set(perfect["gain_by_expression"]) == set(DrawnFaceJudges.EXPRESSIONS)


def test_gain_on_crops_uses_aligned_crops_and_is_zero_without_a_face(drawn_people):
    def pipe(answer, shift=0, blind=()):
        def transfer(sources, targets, detect):
            assert not detect and {crop.size for crop in sources + targets} == {(64, 64)}
            return answer(sources, targets)

        def detect(photo):
            found = DetectedFace(np.zeros(4), 64 * TEMPLATE + shift, 1.0)
            return [] if np.asarray(photo)[0, 0].tolist() in blind else [found]

        return SimpleNamespace(
            model=SimpleNamespace(config=SimpleNamespace(image_size=64)),
            detector=SimpleNamespace(detect=detect), transfer=transfer,
        )  # fmt: skip

    pairs = draw_pairs(drawn_people, 12)
    backgrounds = [np.asarray(photo)[0, 0].tolist() for photo in load_pairs(drawn_people, pairs)[1]]
    perfect, lazy = PerfectSystem().transfer, lambda sources, targets: targets
    assert gain_on_crops(pipe(perfect), drawn_people, pairs, batch_size=5) == pytest.approx(1, abs=0.02)
    assert gain_on_crops(pipe(lazy, shift=3), drawn_people, pairs) == 0
    # Now the mouth is not where the perfect system draws it.
    assert gain_on_crops(pipe(perfect, shift=-9), drawn_people, pairs) < 0.9
    assert 0.2 < gain_on_crops(pipe(perfect, blind=backgrounds[:1]), drawn_people, pairs) < 0.95
    assert gain_on_crops(pipe(perfect, blind=backgrounds), drawn_people, pairs) == 0


def test_intensity_counts_only_steps_towards_the_truth(drawn_people, tiny_photo_pipeline):
    # Ten untrained networks, because the score of a single one on 32 pairs is chance.
    untrained = {f"{RANDOM} {seed}": random_system(tiny_photo_pipeline, seed) for seed in range(10)}
    systems = {MODEL: PerfectSystem(), **copy_systems(tiny_photo_pipeline), **untrained}
    found = measure_intensity(systems, drawn_people, draw_pairs(drawn_people, 32), detect=False)
    assert found[MODEL]["monotone"] == 1
    assert found[MODEL]["progress"] == pytest.approx(INTENSITIES, abs=0.02)
    assert found[COPY_TARGET] == {"progress": [0.0] * 5, "monotone": 0.0}
    assert found[COPY_SOURCE]["monotone"] == 0
    # A random change goes as often towards the truth as away from it.
    assert np.mean([found[name]["monotone"] for name in untrained]) < 0.5
    assert np.mean([found[name]["progress"][-1] for name in untrained]) == pytest.approx(0.5, abs=0.05)


def test_edits_are_judged_with_the_unchanged_photo_and_real_photos(drawn_people, tiny_photo_pipeline):
    by_person = {}
    for photo in drawn_people:
        image = Image.open(io.BytesIO(photo["image"]["bytes"])).convert("RGB")
        by_person.setdefault(photo["identity"], {})[photo["expression"]] = image
    own = {name: {**shown, "neutral": shown["happiness"]} for name, shown in by_person.items()}
    systems = {MODEL: PerfectSystem(), **copy_systems(tiny_photo_pipeline), RANDOM: random_system(tiny_photo_pipeline)}
    found = measure_editing(systems, own, DrawnFaceJudges.EXPRESSIONS, DrawnFaceJudges())
    assert found["systems"][MODEL]["all"] == {"cosine": 1, "lowest": 1, "judged": 1}
    assert found["systems"][COPY_TARGET]["all"]["judged"] == 0.25  # the neutral face shows one of the four labels
    assert found["systems"][COPY_TARGET]["sadness"]["judged"] == 0
    assert found["real"]["anger"]["judged"] == 1
    strangers = measure_strangers(systems | {MODEL: PerfectSystem()}, own, "surprise", DrawnFaceJudges())
    assert strangers[MODEL] == {"judged": 1, "to_target": 1, "to_source": 0}
    assert strangers[COPY_TARGET] == {"judged": 0, "to_target": 1, "to_source": 0}
    assert strangers[COPY_SOURCE] == {"judged": 1, "to_target": 0, "to_source": 1}


def test_the_gain_of_a_persons_own_smile_is_measured_on_the_crop_and_on_the_face():
    neutral = np.full((96, 96, 3), 120, np.uint8)
    smiling = neutral.copy()
    smiling[66:76, 36:60] = 250  # teeth
    smiling[:, :6] = 30  # another background
    landmarks = 96 * TEMPLATE
    pipe = SimpleNamespace(
        model=SimpleNamespace(config=TerGanConfig.photo(**TINY)),
        detector=SimpleNamespace(detect=lambda photo: [DetectedFace(np.zeros(4), landmarks, 1.0)]),
    )
    own = {"neutral": Image.fromarray(neutral), "happiness": Image.fromarray(smiling)}
    found = {}
    for name, answer in {
        "truth": lambda source, target: source,
        "copy": lambda source, target: target,
        "face": lambda source, target: Image.fromarray(
            np.concatenate([np.array(target)[:, :8], np.array(source)[:, 8:]], axis=1)
        ),
    }.items():
        pipe.transfer = lambda source, target, detect, answer=answer: answer(source, target)
        found[name] = own_expression_gain(pipe, {"somebody": own, "nobody": {"neutral": own["neutral"]}}, "happiness")
    assert found["truth"]["crop"] == 1 and found["copy"] == {"crop": 0, "face": 0, "registered": 0}
    assert found["truth"]["registered"] == found["truth"]["face"]  # flat faces have nothing to register
    assert 0 < found["face"]["crop"] < 0.9 and found["face"]["face"] > found["truth"]["face"] + 0.2
    assert own_expression_gain(pipe, {"nobody": {"neutral": own["neutral"]}}, "happiness") == {}
