"""Expressions: names, gaze, random sampling and sequences."""

import numpy as np
import pytest

from tergan_hf.expressions.blendshapes import BLENDSHAPES, Expression, expand_sides, to_vector
from tergan_hf.expressions.facs_combinations import ACTIONS, ANTAGONISTS, BASIC_EXPRESSIONS, EMFACS_VARIANTS
from tergan_hf.expressions.named import find_expressions
from tergan_hf.expressions.performances import MOTIONS, draw_acting, range_of_motion
from tergan_hf.expressions.sampling import KINDS, draw_blendshapes, draw_expression, draw_expressions
from tergan_hf.expressions.sequences import draw_onset, draw_sequence
from tergan_hf.expressions.visemes import VISEMES
from tergan_hf.model.blendshapes_tergan import MAX_WEIGHT
from tergan_hf.model.errors_tergan import InvalidInputError


def test_names_are_arkits():
    assert len(BLENDSHAPES) == 51 and list(BLENDSHAPES) == sorted(BLENDSHAPES)
    assert {"browInnerUp", "cheekPuff", "eyeLookOutLeft", "noseSneerRight"} <= set(BLENDSHAPES)
    assert expand_sides({"mouthSmile": 0.5, "jawOpen": 0.2}) == {
        "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "jawOpen": 0.2,
    }  # fmt: skip
    with pytest.raises(InvalidInputError, match="smileWide"):
        expand_sides({"smileWide": 1.0})


def test_combinations_use_known_names():
    for combinations in (*EMFACS_VARIANTS.values(), ACTIONS, VISEMES):
        for combination in combinations.values():
            assert set(expand_sides(combination)) <= set(BLENDSHAPES)
    assert all(len(variants) >= 3 for variants in EMFACS_VARIANTS.values()) and len(BASIC_EXPRESSIONS) == 6


def test_gaze_and_blendshapes_agree():
    vector = to_vector(Expression("other", 1.0, {}, (15.0, -10.0)))
    assert vector[BLENDSHAPES.index("eyeLookOutLeft")] == vector[BLENDSHAPES.index("eyeLookInRight")] == 0.5
    assert vector[-2:] == pytest.approx([0.5, -1 / 3])
    down = to_vector(*find_expressions(["downcast"]))
    assert down[-1] == pytest.approx(-0.35)


def test_random_expressions_cover_the_range_and_stay_in_it():
    random = np.random.default_rng(0)
    drawn = [draw_expression(random) for _ in range(600)]
    vectors = np.array([to_vector(one) for one in drawn])
    assert vectors[:, :51].min() >= 0 and vectors[:, :51].max() <= MAX_WEIGHT
    assert {one.label for one in drawn} == {*BASIC_EXPRESSIONS, "other"}
    moving = (vectors[:, :51] > 0.3).mean(0)
    assert (moving > 0.002).all(), [name for name, share in zip(BLENDSHAPES, moving) if share <= 0.002]
    intensities = [one.intensity for one in drawn if one.label in BASIC_EXPRESSIONS and not one.mixed_with]
    assert min(intensities) < 0.3 and max(intensities) > 1.0
    blink = np.abs(vectors[:, BLENDSHAPES.index("eyeBlinkLeft")] - vectors[:, BLENDSHAPES.index("eyeBlinkRight")])
    assert (blink > 0.4).any()  # winks
    assert np.abs(vectors[:, -2]).max() > 0.8


def test_antagonists_are_not_drawn_together():
    random = np.random.default_rng(1)
    for _ in range(200):
        names = {name.removesuffix("Left").removesuffix("Right") if not name.startswith(("jaw", "mouthL", "mouthR"))
                 else name for name in draw_blendshapes(random).blendshapes}  # fmt: skip
        if len(names) <= 4 and not any(names <= {n.removesuffix("Left").removesuffix("Right") for n in expand_sides(a)}
                                       for a in ACTIONS.values()):  # fmt: skip
            for group in ANTAGONISTS:
                assert len(names & group) <= 1


def test_drawn_expressions_repeat_and_basic_ones_take_turns():
    first, second = (draw_expressions(np.random.default_rng(3), 60) for _ in range(2))
    assert first == second
    counts = [sum(one.label == label and not one.mixed_with for one in first) for label in BASIC_EXPRESSIONS]
    assert max(counts) - min(counts) <= 1 and sum(counts) == pytest.approx(60 * KINDS["basic"], abs=12)


def test_speech_opens_the_mouth_smoothly_and_blinks():
    frames = draw_sequence(np.random.default_rng(2), 250, 25.0)
    vectors = np.array([to_vector(frame) for frame in frames])
    jaw = vectors[:, BLENDSHAPES.index("jawOpen")]
    assert jaw.max() > 0.15 and np.abs(np.diff(jaw)).max() < 0.25
    blink = vectors[:, BLENDSHAPES.index("eyeBlinkLeft")]
    assert blink.max() > 0.6 and np.median(blink) < 0.2
    assert len(draw_sequence(np.random.default_rng(2), 0)) == 0


def test_an_onset_begins_at_neutral():
    onset = draw_onset(np.random.default_rng(0), "anger", 12)
    assert onset[0].label == "neutral" and onset[0].intensity == 0
    assert [one.intensity for one in onset] == sorted(one.intensity for one in onset) and onset[-1].label == "anger"


def test_acting_begins_calmly_and_shows_the_expression():
    for seed in range(10):
        moments = draw_acting(np.random.default_rng(seed), 100, 25.0, "surprise")
        vectors = np.array([to_vector(moment.expression) for moment in moments])
        assert len(moments) == 100 and not vectors[:5].any()
        assert {moment.expression.label for moment in moments} == {"neutral", "other", "surprise"}
        assert vectors[:, BLENDSHAPES.index("eyeBlinkLeft")].max() > 0.6
        assert vectors[:, BLENDSHAPES.index("jawOpen")].max() > 0.1
        assert np.abs(np.diff([moment.yaw for moment in moments])).max() < 0.7
        assert 0.2 < np.abs([moment.yaw for moment in moments]).max() <= 4


def test_a_range_of_motion_shows_each_motion_alone():
    moments = range_of_motion(25.0)
    vectors = np.array([to_vector(moment.expression) for moment in moments])
    assert not vectors[0].any() and not vectors[-1].any() and {moment.yaw for moment in moments} == {0.0}
    starts = np.flatnonzero(np.diff(vectors.any(1).astype(int)) == 1)
    assert 0 < vectors[starts[0] + 1].max() < 0.2  # from neutral
    full = vectors[[moment.expression.intensity > 0.99 for moment in moments]]
    assert len({tuple(np.flatnonzero(np.abs(vector) > 0.15)) for vector in full}) == len(MOTIONS)
    moving = np.abs(vectors).max(0)
    for name in ("browInnerUp", "browDownLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "mouthPucker"):
        assert moving[BLENDSHAPES.index(name)] > 0.65, name
    assert vectors[:, -2].min() < -0.7 and vectors[:, -2].max() > 0.7 and np.abs(vectors[:, -1]).max() > 0.5
