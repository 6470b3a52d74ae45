"""The shallow classifier and the prototypes, on features whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.loading import NO_EXPRESSION_ID, DataSource
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.training import classifier
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.classifier import (
    EDITED_PHOTOS,
    balanced_weights,
    fit_classifier,
    fit_head,
    fit_temperature,
    neutral_crops,
)
from tergan_hf.training.prototypes import (
    LEAST_CHANGE,
    READABLE,
    STRENGTHS,
    limit_strength,
    mean_prototypes,
    strengthen,
)
from tergan_hf.training.saving import save_model

from .faces import label_files, posed_people
from .tiny_models import TINY


def test_classifier_separates_what_can_be_separated_at_any_scale():
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 0.001]])
    labels = torch.arange(3).repeat(50)
    features = centres[labels] + torch.randn(150, 2) * torch.tensor([5.0, 0.00005])
    weight, bias = fit_classifier(features, labels, torch.full((150,), 1 / 150), 3)
    assert ((features @ weight.T + bias).argmax(1) == labels).all()


def test_classifier_listens_to_the_weights():
    features, labels = torch.zeros(4, 1), torch.tensor([0, 0, 0, 1])
    for weights, best in ((torch.full((4,), 0.25), 0), (torch.tensor([0.1, 0.1, 0.1, 0.7]), 1)):
        weight, bias = fit_classifier(features, labels, weights, 2)
        assert (features @ weight.T + bias).argmax(1)[0] == best


def test_while_g_es_moves_its_accuracy_is_that_of_a_classifier_fitted_anew(tmp_path, monkeypatch):
    torch.manual_seed(0)
    photos = label_files({"posed": posed_people(tmp_path / "posed.parquet")}, TINY["image_size"])[0]
    encoder = TerGanEncoder.of_expression(TerGanConfig(**TINY))
    rows = photos.labelled_rows

    def accuracy(head):
        read = head(classifier.embed_expressions(encoder, photos, rows)).argmax(1)
        return float((read.numpy() == photos.expressions[rows]).mean())

    before = fit_head(encoder, [photos], 7)
    assert accuracy(before) > 0.8
    with torch.no_grad():  # f(e) holds the same, turned round
        encoder.embedding.weight.neg_()
        encoder.embedding.bias.neg_()
    assert accuracy(before) < 0.3 and accuracy(fit_head(encoder, [photos], 7)) > 0.8
    read = []
    monkeypatch.setattr(
        classifier, "embed_expressions", lambda *given, **_: read.append(given[2]) or torch.randn(24, 9)
    )
    fit_head(encoder, [photos], 7, most=12)
    assert len(read[0]) == 12


def test_prototypes_are_means_over_clear_photos_or_else_over_the_surest_quarter():
    embeddings = torch.arange(8.0)[:, None].repeat(2, 2)
    labels = torch.tensor([0] * 8 + [1] * 8)
    logits = torch.stack([embeddings[:, 0], torch.zeros(16), torch.zeros(16)], dim=1)
    clear = torch.zeros(16, dtype=torch.bool)
    clear[[8, 10]] = True
    found = mean_prototypes(embeddings, labels, logits, clear, 3)
    assert found[0].tolist() == [6.5, 6.5]
    assert found[1].tolist() == [1.0, 1.0]
    assert found[2].abs().sum() == 0


class EditsAsFarAsAsked:
    """A model with one number for a face and an f(e): an edit shows what it is asked for, less what the face resists,
    and is read as a label from 1 on."""

    def __init__(self, prototypes):
        self.config = SimpleNamespace(expressions=["happiness", "neutral", "surprise", "anger"])
        self.expression_prototypes = torch.tensor(prototypes)

    def encode_target(self, crops):
        return SimpleNamespace(pixel_values=crops)

    def synthesize(self, wanted, target):
        resistance = target.pixel_values[:, :1, 0, 0]
        return torch.cat([wanted[:, :2] - resistance, wanted[:, 2:]], dim=1)[:, :, None, None]

    def encode_expression(self, images):
        return images[:, :, 0, 0]

    def classify(self, embeddings):
        return torch.stack([embeddings[:, 0], torch.ones(len(embeddings)), embeddings[:, 1], embeddings[:, 2]], dim=1)


def test_a_prototype_gets_stronger_only_as_far_as_makes_its_edits_readable():
    before = [[1.3, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.2, 0.0], [0.0, 0.0, 0.5]]
    resisting = torch.zeros(30, 1, 2, 2)
    resisting[:29] = 0.29  # happiness is read of all at once, surprise from 1.29 on, anger never
    model = EditsAsFarAsAsked(before)
    strengthen(model, resisting)
    found = model.expression_prototypes
    assert 29 / 30 >= READABLE > 1 / 30
    assert found[0].tolist() == pytest.approx(before[0]) and found[3].tolist() == pytest.approx(before[3])
    assert float(found[2, 1]) / 1.2 == pytest.approx(STRENGTHS[1])
    unchanged = EditsAsFarAsAsked(before)
    strengthen(unchanged, resisting[:0])
    assert unchanged.expression_prototypes.tolist() == torch.tensor(before).tolist()


def test_a_prototype_gets_strong_enough_to_be_seen():
    model = EditsAsFarAsAsked([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.045]])
    strengthen(model, torch.zeros(5, 1, 2, 2))
    found = model.expression_prototypes
    # A third of the channels changes: 0.045 · 1.1 / 3 is below 0.017.
    assert LEAST_CHANGE == 0.017 and float(found[3, 2]) == pytest.approx(0.045 * 1.2)
    assert float(found[2, 1]) == pytest.approx(0.01 * STRENGTHS[-1])
    assert not found[0].any()


def test_neutral_crops_are_of_photographs_where_there_are_any(monkeypatch):
    monkeypatch.setattr(classifier, "aligned_crops", lambda photos, rows, size, device: torch.full(
        (len(rows), 3, size, size), float(photos.value), device=device))  # fmt: skip
    neutral = TerGanConfig.photo(**TINY).expressions.index("neutral")

    def photos(value, expression_id, label, named=True):
        return SimpleNamespace(
            value=value,
            has_identities=named,
            expressions=np.full(200, label),
            are_photographs=expression_id == NO_EXPRESSION_ID,
        )

    model = TerGanModel(TerGanConfig.photo(**TINY))
    rendered, smiling = photos(1, 7, neutral), photos(2, NO_EXPRESSION_ID, neutral + 1)
    people, others = photos(3, NO_EXPRESSION_ID, neutral), photos(4, NO_EXPRESSION_ID, neutral)
    unknown = photos(5, NO_EXPRESSION_ID, neutral, named=False)
    assert neutral_crops(model, [rendered, smiling, unknown]).unique().tolist() == [1]
    crops = neutral_crops(model, [rendered, people, others, unknown])
    assert crops.unique().tolist() == [3, 4] and len(crops) == EDITED_PHOTOS
    assert len(neutral_crops(model, [smiling])) == 0


def test_no_prototype_is_much_further_from_neutrals_than_the_others():
    neutral = torch.tensor([1.0, 1.0])
    away = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 4.0], [0.0, 0.0]])
    found = torch.cat([neutral + away, torch.zeros(1, 2)])
    names = ["anger", "disgust", "fear", "neutral", "sadness"]
    limited = limit_strength(found, names)
    assert torch.equal(limited[[0, 1, 3, 4]], found[[0, 1, 3, 4]])
    torch.testing.assert_close(limited[2] - neutral, torch.tensor([0.0, 1.1 * 2]))
    assert torch.equal(limit_strength(found, [*names[:3], "calm", "sadness"]), found)
    assert torch.equal(limit_strength(torch.zeros(5, 2), names), torch.zeros(5, 2))


def test_weights_balance_classes_first_and_sets_within_them():
    first, second = balanced_weights([np.array([0, 0, 0, 1]), np.array([0])], [1.0, 3.0], 1.0)
    assert first.sum() + second.sum() == pytest.approx(1)
    assert first[3] == pytest.approx(0.5)
    assert second[0] == pytest.approx(0.5 * 3 / 4)
    assert first[:3].tolist() == pytest.approx([0.5 / 4 / 3] * 3)


def test_temperature_makes_scores_as_sure_as_they_are_right():
    torch.manual_seed(0)
    honest = torch.randn(4000, 3)
    labels = torch.distributions.Categorical(logits=honest).sample()
    for factor in (0.5, 1.0, 4.0):
        found = fit_temperature(factor * honest, labels, torch.full((4000,), 1 / 4000))
        assert found == pytest.approx(factor, rel=0.12)


def test_photographs_set_the_temperature_where_there_are_any(monkeypatch):
    torch.manual_seed(0)
    logits = torch.randn(4000, 3)
    labels = torch.distributions.Categorical(logits=logits).sample()
    monkeypatch.setattr(classifier, "_read_labelled", lambda model, photos: (photos.factor * logits, labels))

    def weight_after(*sets):
        model = TerGanModel(TerGanConfig(**TINY))
        torch.nn.init.ones_(model.classifier.weight)
        classifier.calibrate(model, list(sets))
        return float(model.classifier.weight[0, 0].detach())

    photographs, rendered = (
        SimpleNamespace(factor=factor, are_photographs=real, labelled_rows=[0], weight=1.0)
        for factor, real in ((2.0, True), (0.5, False))
    )
    unlabelled = SimpleNamespace(factor=4.0, are_photographs=True, labelled_rows=[], weight=1.0)
    assert weight_after(photographs, rendered, unlabelled) == pytest.approx(1 / 2, rel=0.12)
    assert weight_after(rendered, unlabelled) == pytest.approx(1 / 0.5, rel=0.12)
    assert weight_after() == 1


def test_the_saved_file_holds_halves_and_is_loaded_as_full_precision(tmp_path):
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig(**TINY)).eval()
    too_large = "expression_encoder.convolutions.0.1.running_var"
    model.state_dict()[too_large].fill_(1e6)
    save_model(model, TrainingArguments(sources=[DataSource("set", "folder")]), {}, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    modes = [(tmp_path / name).stat().st_mode for name in ("model.safetensors", "config.json")]
    assert modes[0] == modes[1]
    kept = {name for name, value in saved.items() if value.dtype == torch.float32}
    assert kept == {too_large}
    loaded = TerGanModel.from_pretrained(tmp_path).state_dict()
    for name, value in model.state_dict().items():
        assert loaded[name].dtype == value.dtype
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-6)


def test_whole_weights_take_a_byte_each_in_the_file(tmp_path):
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    layer = model.expression_encoder.convolutions[1][0]
    layer.round_weight()
    save_model(model, TrainingArguments(sources=[DataSource("set", "folder")]), {}, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    small = [name for name, value in saved.items() if value.dtype == torch.int8]
    assert small == ["expression_encoder.convolutions.1.0.weight"]
    loaded = TerGanModel.from_pretrained(tmp_path).expression_encoder.convolutions[1][0]
    assert loaded.weight.dtype == torch.float32
    assert torch.equal(loaded.weight, layer.weight)
    assert torch.equal(loaded.scale, layer.scale)
