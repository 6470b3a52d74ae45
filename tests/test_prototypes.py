"""The labels' own f(e)."""

from types import SimpleNamespace

import numpy as np
import torch

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.loading import NO_RECIPE
from tergan_hf.training.prototypes import clear_prototypes, tune_prototypes

from .conftest import TINY


def test_prototypes_are_means_over_clear_photos_or_else_over_the_surest_quarter():
    embeddings = torch.arange(8.0)[:, None].repeat(2, 2)
    labels = torch.tensor([0] * 8 + [1] * 8)
    logits = torch.stack([embeddings[:, 0], torch.zeros(16), torch.zeros(16)], dim=1)
    clear = torch.zeros(16, dtype=torch.bool)
    clear[[8, 10]] = True
    found = clear_prototypes(embeddings, labels, logits, clear, 3)
    assert found[0].tolist() == [6.5, 6.5]
    assert found[1].tolist() == [1.0, 1.0]
    assert found[2].abs().sum() == 0


class Photos(SimpleNamespace):
    """A set of noise."""

    def __len__(self):
        return len(self.recipes)

    def pixels(self, row, side):
        if self.forbidden:
            raise AssertionError("this set is not to be edited")
        return torch.randint(256, (3, side, side), generator=torch.Generator().manual_seed(row), dtype=torch.uint8)


def photos(recipe, forbidden=False, has_identities=True):
    return Photos(recipes=np.full(6, recipe), forbidden=forbidden, has_identities=has_identities, pair_weight=1.0)


def make_model():
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        model.expression_prototypes.normal_()
    return model


def agreement(model):
    """Mean log-likelihood of the labels of edited noise."""
    labels = torch.arange(model.config.num_labels)
    with torch.no_grad():
        chips = torch.rand(len(labels), 3, 32, 32, generator=torch.Generator().manual_seed(9)) * 2 - 1
        edited = model.synthesize(model.expression_prototypes[labels], chips)
        logits = model.classify(model.encode_expression(edited))
    return float(logits.log_softmax(1).gather(1, labels[:, None]).mean())


def test_tuned_prototypes_make_edits_read_better_and_change_nothing_else():
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    likely = agreement(model)
    unused = photos(NO_RECIPE, forbidden=True)
    unused.pair_weight = 0.0
    nobody = photos(NO_RECIPE, forbidden=True, has_identities=False)
    sets = [photos(NO_RECIPE), photos(3, forbidden=True), unused, nobody]
    tune_prototypes(model, sets, torch.ones(30), 30, AugmentationConfig())
    assert agreement(model) > likely + 0.02
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"expression_prototypes"}
    assert (model.expression_prototypes - before["expression_prototypes"]).abs().max() < 4
    assert all(parameter.requires_grad for parameter in model.decoder.parameters())


def test_without_photographs_rendered_faces_are_edited_and_without_steps_none():
    model = make_model()
    model.expression_prototypes[2] = 0.0  # a label without photos
    start = model.expression_prototypes.clone()
    tune_prototypes(model, [photos(3, forbidden=True)], torch.ones(30), 0, AugmentationConfig())
    tune_prototypes(model, [photos(NO_RECIPE, has_identities=False)], torch.ones(30), 2, AugmentationConfig())
    assert torch.equal(model.expression_prototypes, start)
    tune_prototypes(model, [photos(3)], torch.ones(30), 2, AugmentationConfig())
    moved = (model.expression_prototypes != start).any(1)
    assert not moved[2] and moved.sum() == len(start) - 1
