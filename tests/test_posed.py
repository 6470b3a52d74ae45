"""The set `posed`: laid out as Oulu-CASIA, in groups that share no person and no head."""

import numpy as np
import pytest

from tergan_hf.data.building import BuildError, build_set
from tergan_hf.data.image_cells import decode
from tergan_hf.data.loading import load_photos
from tergan_hf.data.splits import split_by_fold
from tergan_hf.expressions.facs_combinations import BASIC_EXPRESSIONS
from tergan_hf.rendering.posed import PosedSettings, plan_posed
from tergan_hf.rendering.posed_set import DESCRIPTION

from .heads import make_head


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    for number, name in enumerate("ABCD"):
        make_head(folder / f"{name}.glb", colour=(120 + 40 * number, 150, 120))
    return folder


@pytest.fixture(scope="module")
def posed(heads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("posed")
    settings = PosedSettings(people=6, groups=2, frames=2, sequence_frames=6, size=32, weakest=0.3)
    build_set(plan_posed(heads, settings, DESCRIPTION), folder)
    return load_photos(str(folder))


def test_everybody_poses_every_expression(posed):
    assert len(posed) == 6 * 6 * 2 and set(posed["expression"]) == set(BASIC_EXPRESSIONS)
    assert set(posed["frame"]) == {4, 5}
    shown = list(zip(posed["identity"], posed["expression"], posed["frame"]))
    assert len(set(shown)) == len(shown) and len(set(posed["identity"])) == 6
    assert set(posed["expression_id"]) == {-1}  # as in photographs


def test_expressions_grow_and_differ_in_strength(posed):
    intensity = np.array(posed["intensity"]).reshape(-1, 2)
    assert (intensity[:, 1] >= intensity[:, 0]).all() and (intensity > 0).all()
    assert 0.3 < intensity[:, 1].min() < 0.45 and intensity[:, 1].max() > 0.85


def test_light_and_background_change_between_sequences_alone(posed):
    corners = np.array([np.asarray(decode(photo["image"]))[:4, :4].mean((0, 1)) for photo in posed])
    pairs = corners.reshape(-1, 2, 3)
    within = np.abs(pairs[:, 0] - pairs[:, 1]).max()
    of_person = pairs[:6, 0]
    assert within < 12 < of_person.std(0).max()


def test_groups_share_no_person_and_no_head(posed):
    training, kept_out, groups = split_by_fold(posed, 2, 0, "head_group")
    assert len(groups) == 1 and len(training) == len(kept_out) == 36
    for column in ("identity", "heads"):
        names = [{name for value in side[column] for name in value.split("+")} for side in (training, kept_out)]
        assert names[0] and names[1] and not names[0] & names[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 6, "sequence_frames": 6}, "--sequence-frames more than --frames"),
        ({"people": 3, "groups": 4}, "--people 3 leaves some of 4 groups empty"),
        ({"size": 85}, "multiple of 4"),
        ({"weakest": 0}, "--weakest 0: it must be above 0"),
    ],
)
def test_settings_that_make_no_set_are_named(settings, message):
    with pytest.raises(BuildError, match=message):
        PosedSettings(**settings)


def test_own_heads_give_a_set_without_a_licence(heads, tmp_path):
    make_head(tmp_path / "Black_F_2_Casual.glb")
    settings = PosedSettings(people=2, groups=1, frames=1, sequence_frames=6, size=32)
    own, public = (plan_posed(folder, settings, DESCRIPTION) for folder in (heads, tmp_path))
    assert (own.description.licence_id, public.description.licence_id) == ("unknown", "mit")
    assert not own.missing and "33 of 34 heads" in public.missing[0]


def test_more_groups_than_heads_are_refused(heads):
    with pytest.raises(BuildError, match="has 4 heads, too few for --groups 5"):
        plan_posed(heads, PosedSettings(people=10, groups=5), DESCRIPTION)
