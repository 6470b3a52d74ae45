"""The table of the heads' morph targets for ARKit blendshapes."""

import numpy as np
import pytest

from tergan_hf.expressions.blendshapes import BLENDSHAPES, expand_sides
from tergan_hf.rendering.blendshape_table import (
    MORPHS,
    combine_morph_targets,
    morph_targets,
    required_morph_targets,
)
from tergan_hf.rendering.people import read_head

from .heads import make_head


def test_the_table_has_every_blendshape_once():
    assert set(expand_sides(dict.fromkeys(MORPHS, 1.0))) == set(BLENDSHAPES)
    only_gaze = {name for name in BLENDSHAPES if name.startswith(("eyeLookIn", "eyeLookOut"))}
    for name in BLENDSHAPES:
        assert bool(morph_targets(name)) == (name not in only_gaze)
    assert not any("*" in name or ":" in name for name in required_morph_targets())


def test_sides_are_the_subjects_own():
    assert set(morph_targets("eyeBlinkLeft")) == {"LeyeClose"}
    assert set(morph_targets("browOuterUpRight")) == {"RRbrowUp", "RbrowUp"}


def test_every_entry_moves_its_own_side(tmp_path):
    face = read_head(make_head(tmp_path / "a.glb")).face
    for name in BLENDSHAPES:
        if not morph_targets(name):
            continue
        moved = np.linalg.norm(face.morphs[name], axis=1)
        left, right = moved[face.positions[:, 0] > 0.012].sum(), moved[face.positions[:, 0] < -0.012].sum()
        assert max(left, right) > 0.001
        if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            continue
        if name.endswith("Left"):
            assert left > 10 * right, name
        elif name.endswith("Right"):
            assert right > 10 * left, name
        else:
            assert left == pytest.approx(right, rel=0.05), name


def test_halves_of_a_morph_target_add_up_and_leave_the_teeth():
    across = np.linspace(-0.05, 0.05, 21)
    whole = np.ones((21, 3), np.float32)
    morphs = dict.fromkeys(required_morph_targets(), whole)
    halves = [combine_morph_targets({"TD_I": whole}, across)[f"mouthStretch{side}"] for side in ("Left", "Right")]
    np.testing.assert_allclose(sum(halves), morph_targets("mouthStretchLeft")["L:TD_I"] * whole, atol=1e-6)
    assert halves[0][-1, 0] > 0 == halves[0][0, 0]
    teeth = combine_morph_targets(morphs, across, is_skin=False)
    assert "mouthStretchLeft" not in combine_morph_targets({"TD_I": whole}, across, is_skin=False)
    assert "jawOpen" in teeth


def test_a_closed_mouth_undoes_the_opening_of_the_lips():
    opened, closed = morph_targets("jawOpen"), morph_targets("mouthClose")
    both = {name: opened.get(name, 0) + closed.get(name, 0) for name in {*opened, *closed}}
    assert {name for name, weight in both.items() if weight} == {"Chew"}  # a lowered jaw with closed lips
