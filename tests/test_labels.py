"""Votes, second labels, blendshapes and photos without a label: how sets hold them and what stage 1 learns of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset, Features, Image, List, Value

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.labels import UNLABELLED
from tergan_hf.data.loading import DataSource, load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import PhotoSet, label_photo_sets
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX, COLUMN_NAMES, GAZE_DEGREES
from tergan_hf.model.blendshapes_tergan import EYE_LOOK_NAMES, GAZE_NAMES, mirror_blendshapes
from tergan_hf.model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.training import blendshape_fitting
from tergan_hf.training.arguments import LossArguments, OptimizerArguments, TrainingArguments
from tergan_hf.training.blendshape_fitting import fit_blendshape_layers
from tergan_hf.training.losses import labelled_cross_entropy
from tergan_hf.training.stage1 import pretrain_encoder

from .faces import repeatable_people
from .pictures import cell
from .tiny_models import TINY


SEVEN = list(EXPRESSIONS_WITH_NEUTRAL)
LEFT, RIGHT, GAZE = BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"], len(BLENDSHAPE_INDEX)


def blinking_squares(path, count: int = 96):
    """Write a set of grey pictures. The brightness of the viewer's right half is eyeBlinkLeft, that of the left half
    eyeBlinkRight; gaze goes to the brighter side. Half of the rows are labelled."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        left, right = random.random(2)
        pixels = np.zeros((32, 32), np.uint8)
        pixels[:, 16:], pixels[:, :16] = 40 + 170 * left, 40 + 170 * right
        blendshapes = np.zeros(len(COLUMN_NAMES), np.float32)
        blendshapes[[LEFT, RIGHT, GAZE]] = left, right, left - right
        if number % 4 == 0:
            blendshapes[RIGHT] = np.nan
        label = "" if number % 2 else ("happiness" if left + right > 1 else "sadness")
        rows.append({
            "image": cell(pixels), "expression": label, "expression_id": number % 8,
            "identity": f"p{number // 8}", "blendshapes": blendshapes,
        })  # fmt: skip
    features = Features(
        image=Image(), expression=Value("string"), expression_id=Value("int32"), identity=Value("string"),
        blendshapes=List(Value("float32")),
    )  # fmt: skip
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def labelled(path, expressions=SEVEN) -> PhotoSet:
    cropped = make_padded_crops(load_photos(str(path)), 32, align=False)
    return label_photo_sets({"set": cropped}, expressions)[0][0]


def voted(columns: dict, expressions=SEVEN) -> PhotoSet:
    count = len(columns["expression"])
    table = Dataset.from_dict({
        "identity": [""] * count, "expression_id": [-1] * count, "crop_transform": [np.eye(2, 3)] * count, **columns,
    })  # fmt: skip
    return label_photo_sets({"fer": table}, expressions)[0][0]


def test_votes_and_second_labels_keep_the_order_of_the_models_classes():
    votes = [[0.1, 0, 0, 0.9, 0, 0, 0], [0, 0, 0, 0, 0.5, 0.5, 0]]
    columns = {
        "expression": ["happiness", "neutral"], "label_distribution": votes, "original_expression": ["anger", "bored"],
    }  # fmt: skip
    photos = voted(columns)
    np.testing.assert_allclose(photos.label_distributions, votes, atol=1e-6)
    assert photos.original_expressions.tolist() == [SEVEN.index("anger"), UNLABELLED]
    turned = voted(columns, [*reversed(SEVEN), "contempt"])
    np.testing.assert_allclose(turned.label_distributions[:, :7], np.array(votes)[:, ::-1], atol=1e-6)
    assert not turned.label_distributions[:, 7].any()
    assert (
        voted({"expression": ["calm"], "label_distribution": votes[:1]}, ["calm", "joy"]).label_distributions is None
    )
    with pytest.raises(InvalidInputError, match="fer: a row of `label_distribution` has 2 values, not 7"):
        voted({"expression": ["happiness"], "label_distribution": [[0.5, 0.5]]})
    with pytest.raises(InvalidInputError, match="fer: a row of `blendshapes` has 65 values, not 53"):
        voted({"expression": ["happiness"], "blendshapes": [[0.0] * 65]})


def test_photos_without_a_label_are_drawn_and_marked(tmp_path):
    photos = labelled(blinking_squares(tmp_path / "set.parquet"))
    assert len(photos.labelled_rows) == len(photos) / 2
    items = [BalancedPhotos([photos], 60, 42, num_labels=7)[number] for number in range(60)]
    marks = [item["expression"] == UNLABELLED for item in items]
    assert 10 < sum(marks) < 50
    for item, unlabelled in zip(items, marks):
        assert item["label_distribution"].sum() == (0 if unlabelled else 1) and len(item["label_distribution"]) == 7
    pairs = ExpressionPairs([photos], 20, 42, ground_truth_share=1.0)
    assert any(pairs[number]["target_expression"] == UNLABELLED for number in range(20))


def test_the_cross_entropy_counts_labelled_images_alone():
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, UNLABELLED, 5])
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]])
    torch.testing.assert_close(labelled_cross_entropy(logits, labels), expected)
    assert labelled_cross_entropy(logits, torch.full((3,), UNLABELLED)) == 0


@pytest.mark.parametrize("fitted", [False, True])
def test_stage_1_reads_each_side_in_spite_of_mirrored_crops(tmp_path, fitted):
    """Half of the crops are mirrored. Without exchanging the targets' sides nothing but their mean could be learnt."""
    photos = labelled(blinking_squares(tmp_path / "set.parquet"))
    config = TerGanConfig.photo(**TINY, mirror_recognition=False, expression_int8=False)
    plain = AugmentationConfig(
        scale=0.01, shift=0, angle=0, gain=0, bias=0, gamma=0, grey=0, low_resolution=0, noise=0, jpeg=0
    )
    arguments = TrainingArguments(
        sources=[DataSource("set", "set")], output_dir=str(tmp_path / "run"), losses=LossArguments(blendshapes=1.0),
        classifier_augmentation=plain, preset="photo", evaluation_steps=1000,
        expression_stage=OptimizerArguments(
            steps=150, batch_size=32, learning_rate=5e-3, betas=(0.9, 0.999), ema_decay=0.9
        ),
    )  # fmt: skip
    torch.manual_seed(0)
    learnt = pretrain_encoder(Accelerator(cpu=True), arguments, config, "expression", [photos], 7, [photos])
    model = TerGanModel(config).eval()
    model.expression_encoder.load_state_dict(learnt.encoder.state_dict())
    if fitted:
        fit_blendshape_layers(model, [photos])
    else:
        weight, bias = learnt.blendshape_regressor(config.blendshape_names)
        model.blendshape_regressor.load_state_dict({"weight": weight, "bias": bias})
    crops = torch.stack([photos.pixels(row, 42) for row in range(len(photos))])[:, :, 5:37, 5:37] / 127.5 - 1
    with torch.no_grad():
        read = model.read_blendshapes(crops).numpy()
    true = photos.blendshapes
    for column, unit in ((LEFT, 1), (RIGHT, 1), (GAZE, GAZE_DEGREES)):
        known = np.isfinite(true[:, column])
        assert np.corrcoef(read[known, column], true[known, column])[0, 1] > 0.8
        assert np.abs(read[known, column] - unit * true[known, column]).mean() < 0.2 * unit
    assert np.abs(read[:, BLENDSHAPE_INDEX["jawOpen"]]).max() < 0.05  # it never moved
    fit_blendshape_layers(model, [photos], regressor=False)
    with torch.no_grad():
        np.testing.assert_array_equal(model.read_blendshapes(crops).numpy(), read)
        moving = model.blendshape_directions.any(0).numpy()
    assert np.flatnonzero(moving).tolist() == [LEFT, RIGHT, GAZE]


@pytest.mark.parametrize("regressor", [True, False])
def test_directions_tell_how_f_e_moves_with_each_blendshape(monkeypatch, regressor):
    """f(e) is a known linear function of the blendshapes here, plus noise."""
    random = np.random.default_rng(0)
    config = TerGanConfig.photo(**TINY)
    names, still = list(config.blendshape_names), ("cheekPuff", "noseSneerLeft", "noseSneerRight")
    true = random.normal(size=(64, len(names)))
    true[:, [name in (*EYE_LOOK_NAMES, *still) for name in names]] = 0
    columns = [COLUMN_NAMES.index(name) for name in names]
    units = np.array([GAZE_DEGREES if name in GAZE_NAMES else 1.0 for name in names])

    class Photos:
        def __init__(self, count: int):
            self.blendshapes = random.random((count, len(COLUMN_NAMES))).astype(np.float32)
            self.blendshapes[:, [name in still for name in COLUMN_NAMES]] = 0.3

        def __len__(self):
            return len(self.blendshapes)

    def embed(encoder, photos, rows, mirrored):
        own = torch.from_numpy(photos.complete[rows])
        values = torch.stack([own, mirror_blendshapes(own, COLUMN_NAMES)], dim=1).flatten(0, 1).numpy()[:, columns]
        found = (values * units) @ true.T + 5 + 0.01 * random.normal(size=(len(values), 64))
        return torch.from_numpy(found)

    known, unknown = Photos(400), SimpleNamespace(blendshapes=None)
    known.complete = known.blendshapes.copy()
    known.blendshapes[::3, 7] = np.nan
    monkeypatch.setattr(blendshape_fitting, "embed_expressions", embed)
    model = TerGanModel(config)
    before = model.blendshape_regressor.weight.clone()
    blendshape_fitting.fit_blendshape_layers(model, [unknown, known], regressor=regressor)
    np.testing.assert_allclose(model.blendshape_directions, true, atol=0.05)
    assert not model.blendshape_directions[:, ~true.any(0)].any()
    assert torch.equal(model.blendshape_regressor.weight, before) != regressor
    fitted = model.blendshape_directions.clone()
    blendshape_fitting.fit_blendshape_layers(model, [unknown], regressor=regressor)
    assert torch.equal(model.blendshape_directions, torch.zeros_like(fitted) if regressor else fitted)


def test_an_intensity_of_other_photos_may_mean_anything(tmp_path):
    photos = load_photos(str(repeatable_people(tmp_path / "avatars.parquet", people=1)))
    photos = photos.remove_columns("expression_id").add_column("expression_id", [-1] * len(photos))
    photos = photos.add_column("intensity", ["strong", "", "7", "weak"])
    sets, _ = label_photo_sets({"people": make_padded_crops(photos, 32, align=False)}, SEVEN)
    assert sets[0].clear is None
