"""Embeddings that change under a trained decoder: the new f(i) tells people apart, and edits stay what they were."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tergan_hf import TerGanModel
from tergan_hf.data.loading import DataSource
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.training import embedding
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.encoder_change import adapt_to_encoder
from tergan_hf.training.identity_fitting import discriminant_analysis, fit_identity

from .tiny_models import stir, tiny_model


def photos_of_people(people: int, each: int, seed: int):
    """Features in 4 numbers of which people differ a little and in 8 of which photos differ much, at an offset."""
    generator = torch.Generator().manual_seed(seed)
    who = np.repeat(np.arange(people), each)
    person = torch.randn(people, 4, generator=generator, dtype=torch.double)[who]
    photo = 3 * torch.randn(len(who), 8, generator=generator, dtype=torch.double)
    noise = 0.2 * torch.randn(len(who), 4, generator=generator, dtype=torch.double)
    return torch.cat([person + noise, photo], dim=1) + 30, who


def likeness(codes: torch.Tensor, who: np.ndarray) -> tuple[float, float]:
    """The 10th percentile of the cosines of one person's photos, and the 90th of different people's."""
    codes = F.normalize(codes, dim=1)
    cosines = (codes @ codes.T).numpy()
    same = who[:, None] == who
    return np.quantile(cosines[same & ~np.eye(len(who), dtype=bool)], 0.1), np.quantile(cosines[~same], 0.9)


def test_strangers_are_told_apart_however_much_their_photos_differ():
    strangers, who = photos_of_people(30, 4, seed=2)
    own, others = likeness(strangers, who)
    assert own < others
    weight, bias = discriminant_analysis([photos_of_people(100, 6, seed=1)], 4)
    own, others = likeness(strangers @ weight.T + bias, who)
    assert own > 0.8 > others


def test_every_set_counts_alike():
    features, who = photos_of_people(50, 4, seed=1)
    other, who_else = photos_of_people(20, 4, seed=2)
    repeated = (torch.cat([other] * 3), np.concatenate([who_else + 100 * copy for copy in range(3)]))
    one = discriminant_analysis([(features, who), (other, who_else)], 4)
    more = discriminant_analysis([(features, who), repeated], 4)
    cosines = F.cosine_similarity(one[0], more[0]).abs()
    assert cosines.min() > 0.99, "three times as many photos change the weight of a set"


def test_there_may_be_fewer_features_than_numbers_in_the_embedding():
    weight, bias = discriminant_analysis([photos_of_people(20, 3, seed=1)], 50)
    assert weight.shape == (50, 12) and not weight[12:].any() and len(bias) == 50


def trained_model(**settings) -> TerGanModel:
    """A model whose decoder is far from its initial weights."""
    model = tiny_model(identity_embedding_size=6, decoder_detail_channels=0, **settings).eval()
    stir(model.decoder, 0.3)
    return model


@pytest.fixture
def model() -> TerGanModel:
    return trained_model()


def decode(model: TerGanModel, identity: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    photo = torch.rand(5, 3, 32, 32, generator=generator) * 2 - 1
    wanted, own = torch.randn(2, 5, model.config.expression_embedding_size, generator=generator)
    maps = model.identity_encoder.feature_maps(photo)
    return model.decoder(wanted, own, identity, maps, photo)[0]


@torch.no_grad()
def test_the_decoder_reads_another_identity_as_its_own(model):
    new = torch.randn(5, 6)
    weight, bias = torch.randn(6, 6) + 3 * torch.eye(6), torch.randn(6)
    known = decode(model, new @ weight.T + bias)
    assert not torch.allclose(decode(model, new), known, atol=1e-3)
    model.decoder.read_identity_from(weight, bias)
    difference = (decode(model, new) - known).abs()
    # Where neighbouring pixels of noise differ much, the flow's rounding shows.
    assert difference.mean() < 1e-4 and difference.quantile(0.99) < 1e-3


@torch.no_grad()
def test_the_decoder_reads_another_expression_as_its_own():
    model = trained_model(expression_embedding_size=6)
    generator = torch.Generator().manual_seed(5)
    photo = torch.rand(5, 3, 32, 32, generator=generator) * 2 - 1
    size = model.config.expression_embedding_size
    maps, identity = model.identity_encoder.feature_maps(photo), torch.randn(5, 6, generator=generator)
    wanted, own = torch.randn(2, 5, size, generator=generator)
    # A rotation keeps distances, by which the decoder's gate opens.
    weight, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    bias = torch.randn(size, generator=generator)
    known = model.decoder(wanted @ weight.T + bias, own @ weight.T + bias, identity, maps, photo)[0]
    assert not torch.allclose(model.decoder(wanted, own, identity, maps, photo)[0], known, atol=1e-3)
    model.decoder.read_expression_from(weight, bias)
    difference = (model.decoder(wanted, own, identity, maps, photo)[0] - known).abs()
    assert difference.mean() < 1e-4 and difference.quantile(0.99) < 1e-3


@torch.no_grad()
def test_a_decoder_goes_on_with_a_new_expression_encoder(monkeypatch):
    """The new G_es gives what the former one gives, turned and shifted."""
    model = trained_model(expression_embedding_size=6)
    former, encoder = model.expression_encoder, copy.deepcopy(model.expression_encoder)
    size = model.config.expression_embedding_size
    turn, _ = torch.linalg.qr(torch.randn(size, size))
    encoder.embedding.weight.copy_(turn @ former.embedding.weight)
    encoder.embedding.bias.copy_(turn @ former.embedding.bias + 1)
    crops = torch.rand(300, 3, 32, 32) * 2 - 1
    monkeypatch.setattr(embedding, "aligned_crops", lambda photos, rows, size, device: crops[rows])

    class Photos(SimpleNamespace):
        def __len__(self):
            return len(crops)

    sets = [Photos(name="faces", has_identities=True), Photos(name="nobody", has_identities=False)]
    photo, identity = crops[:5], torch.randn(5, 6)
    maps = model.identity_encoder.feature_maps(photo)

    def edit(own: TerGanEncoder) -> torch.Tensor:
        return model.decoder(own(crops[5:10]), own(photo), identity, maps, photo)[0]

    known, lost = edit(former), edit(encoder)
    read = model.blendshape_regressor(former(photo))
    directions = model.blendshape_directions.normal_().clone()
    adapt_to_encoder(model, former, encoder, sets)
    assert (edit(encoder) - known).square().mean() < 0.05 * (lost - known).square().mean()
    torch.testing.assert_close(model.blendshape_regressor(encoder(photo)), read, rtol=0.05, atol=0.02)
    # Of directions in which f(e) of these photos hardly varies, little is known.
    assert F.cosine_similarity(model.blendshape_directions, turn @ directions, dim=0).min() > 0.9


@torch.no_grad()
def test_two_photos_do_not_spoil_what_reads_a_slightly_trained_encoder(monkeypatch):
    model = trained_model()
    former, encoder = model.expression_encoder, copy.deepcopy(model.expression_encoder)
    encoder.embedding.weight.add_(0.01 * former.embedding.weight.std() * torch.randn_like(former.embedding.weight))
    crops = torch.rand(2, 3, 32, 32) * 2 - 1
    monkeypatch.setattr(embedding, "aligned_crops", lambda photos, rows, size, device: crops[rows])
    weights = {name: value.clone() for name, value in model.decoder.state_dict().items()}

    class Photos(list):
        name, has_identities = "faces", True

    adapt_to_encoder(model, former, encoder, [Photos(range(2))])
    for name, value in model.decoder.state_dict().items():
        assert (value - weights[name]).norm() < 0.05 * weights[name].norm(), name


@torch.no_grad()
def test_a_model_tells_its_people_apart_and_edits_as_before(model, monkeypatch):
    who = np.repeat(np.arange(12), 8)
    generator = torch.Generator().manual_seed(3)
    light = torch.rand(len(who), 1, 1, 1, generator=generator) - 0.5
    faces = torch.rand(12, 3, 32, 32, generator=generator)[who]
    crops = (faces + 0.4 * light + 0.02 * torch.randn(faces.shape, generator=generator)).clamp(-1, 1)
    monkeypatch.setattr(embedding, "aligned_crops", lambda photos, rows, size, device: crops[rows])

    class Photos(SimpleNamespace):
        def __len__(self):
            return len(who)

    photos = Photos(name="faces", has_identities=True, identities=who)
    nobody = Photos(name="nobody", has_identities=False, identities=np.full(len(who), -1))
    strangers = Photos(name="one photo each", has_identities=True, identities=np.arange(len(who)))
    before = copy.deepcopy(model)
    fit_identity(model, [nobody, strangers])
    assert torch.equal(model.encode_identity(crops), before.encode_identity(crops))
    fit_identity(model, [nobody, photos])
    was, now = (likeness(each.encode_identity(crops), who) for each in (before, model))
    assert now[0] - now[1] > was[0] - was[1] + 0.2
    edits = [decode(each, each.encode_identity(crops[:5])) for each in (before, model)]
    swapped = decode(before, before.encode_identity(crops[8:13]))
    assert (edits[1] - edits[0]).square().mean() < 0.5 * (swapped - edits[0]).square().mean()


def test_only_the_photo_decoder_can_read_another_identity():
    arguments = TrainingArguments(sources=[DataSource("faces", "faces")], preset="compact", fit_identity=True)
    with pytest.raises(ValueError, match="fit_identity needs the photo decoder"):
        arguments.model_config()
