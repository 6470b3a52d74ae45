"""Winks and other rare expressions: drawn more often, and told apart from what is common."""

import numpy as np
import pytest
import torch

from tergan_hf import TerGanConfig
from tergan_hf.data.photo_set import PhotoSet
from tergan_hf.data.rarity import RowChoice, rarity_weights
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX, COLUMN_NAMES
from tergan_hf.expressions.side_components import from_side_components, to_side_components
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.training.encoder_classifier import BlendshapeTargets, EncoderClassifier

from .tiny_models import TINY


LEFT, RIGHT, JAW = (BLENDSHAPE_INDEX[name] for name in ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen"))
WINK = 99  # row of the only wink


def blinking(exact: bool = True) -> PhotoSet:
    """100 photos of one session: jaws and blinks of all degrees, and one wink. Every photo shows its row's number."""
    random, count = np.random.default_rng(0), WINK + 1
    blendshapes = np.zeros((count, len(COLUMN_NAMES)), np.float32)
    blendshapes[:, [LEFT, RIGHT]] = random.random((count, 1))
    blendshapes[:, JAW] = random.random(count)
    blendshapes[WINK, [LEFT, RIGHT]] = 0.9, 0.1
    zeros, poses = np.zeros(count, int), np.arange(count) if exact else np.full(count, -1)
    transforms = np.tile(np.eye(2, 3), (count, 1, 1))
    photos = PhotoSet("set", Rows(count), zeros, zeros, zeros, poses, transforms, blendshapes=blendshapes)
    photos.pixels = lambda row, side: torch.tensor(row)
    return photos


class Rows(list):
    """A table without columns."""

    column_names = ()

    def __init__(self, count: int):
        super().__init__(range(count))


def test_both_sides_come_back_from_their_mean_and_difference():
    values = np.random.default_rng(0).random((5, len(COLUMN_NAMES))).astype(np.float32)
    values[1, LEFT] = np.nan
    components = to_side_components(values)
    assert components[0, LEFT] == pytest.approx((values[0, LEFT] + values[0, RIGHT]) / 2)
    assert components[0, RIGHT] == pytest.approx(values[0, LEFT] - values[0, RIGHT])
    assert components[0, JAW] == values[0, JAW]
    assert np.isnan(components[1, [LEFT, RIGHT]]).all() and np.isfinite(components[1]).sum() == values.shape[1] - 2
    known = np.isfinite(components)
    np.testing.assert_allclose(from_side_components(components)[known], values[known], atol=1e-6)
    np.testing.assert_array_equal(to_side_components(torch.from_numpy(values)).numpy(), components)


def test_a_wink_weighs_more_than_blinks_and_jaws():
    photos = blinking()
    weights = rarity_weights(photos, 1.0)
    assert weights[WINK] == weights.max() > 10 * np.median(weights)
    assert rarity_weights(photos, 0.5) == pytest.approx(weights**0.5)


def test_photos_without_exact_blendshapes_weigh_the_same():
    assert rarity_weights(blinking(), 0.0) is None
    assert rarity_weights(blinking(exact=False), 1.0) is None
    photos = blinking()
    photos.blendshapes = None
    assert rarity_weights(photos, 1.0) is None
    photos = blinking()
    photos.blendshapes[3:] = np.nan
    assert np.isfinite(rarity_weights(photos, 1.0)).all()


def test_rows_are_drawn_in_proportion_to_their_weights():
    weights = np.array([5.0, 1.0, 9.0, 3.0])
    draw, random = RowChoice(weights), np.random.default_rng(0)
    drawn = np.bincount([draw(random, np.array([1, 3])) for _ in range(2000)], minlength=4)
    assert not drawn[[0, 2]].any() and drawn[3] == pytest.approx(1500, rel=0.05)


def test_stage_1_and_the_truths_of_stage_2_show_the_wink_more_often():
    drawn = {}
    for balance in (0.0, 1.0):
        singles = BalancedPhotos([blinking()], 500, 4, blendshape_balance=balance)
        pairs = ExpressionPairs([blinking()], 500, 4, ground_truth_share=1.0, blendshape_balance=balance)
        drawn[balance] = [
            sum(int(singles[number]["padded_crop"]) == WINK for number in range(500)),
            sum(int(pairs[number]["truth"]) == WINK for number in range(500)),
        ]
    assert max(drawn[0.0]) < 15 and min(drawn[1.0]) > 3 * max(drawn[0.0])


def test_a_wink_read_as_half_a_blink_costs_more_than_a_blink_read_too_weak():
    targets = BlendshapeTargets([blinking()])
    wanted = torch.zeros(1, len(COLUMN_NAMES))
    wanted[0, LEFT] = 0.8

    def loss(left: float, right: float) -> float:
        read = wanted.clone()
        read[0, LEFT], read[0, RIGHT] = left, right
        standardised = (to_side_components(read) - targets.mean) / targets.std
        return float(targets.loss(standardised[:, targets.moving], wanted))

    assert loss(0.8, 0.0) == pytest.approx(0, abs=1e-6)
    assert loss(0.4, 0.4) > 3 * loss(0.6, -0.2)  # the mean alone is right, or the difference alone


def test_the_layer_for_the_model_gives_what_the_head_has_learnt():
    photos = blinking()
    targets = BlendshapeTargets([photos])
    encoder = TerGanEncoder.of_expression(TerGanConfig.photo(**TINY))
    classifier = EncoderClassifier(encoder, 7, targets)
    names = ["gazeX", "eyeBlinkRight", "jawOpen", "eyeBlinkLeft", "mouthPucker"]
    weight, bias = classifier.blendshape_regressor(names)
    embedding = torch.randn(6, 64)
    read = (embedding @ weight.T + bias).detach().numpy()
    columns = targets.to_columns(classifier.blendshape_head(embedding)).detach().numpy()
    np.testing.assert_allclose(read[:, 1:4], columns[:, [RIGHT, JAW, LEFT]], atol=1e-5)
    assert not read[:, [0, 4]].any(), "names that never move"
    perfect = (to_side_components(torch.from_numpy(photos.blendshapes)) - targets.mean) / targets.std
    np.testing.assert_allclose(targets.to_columns(perfect[:, targets.moving]), photos.blendshapes, atol=1e-5)


@pytest.mark.parametrize("pooled", [True, False])
def test_only_without_the_last_pool_every_position_counts(pooled):
    config = TerGanConfig.photo(image_size=96, encoder_channels=(4, 4, 8, 8, 8), expression_pooled=pooled)
    encoder = TerGanEncoder.of_expression(config).eval()
    assert encoder.embedding.in_features == (8 if pooled else 8 * 9)
    maps = torch.rand(1, 8, 3, 3)
    moved = maps.flip(3)
    assert torch.equal(encoder.embed([maps]), encoder.embed([moved])) == pooled
