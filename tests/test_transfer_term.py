"""f(e) learnt through a decoder that stays as it is."""

import copy

import pytest
import torch
from accelerate import Accelerator

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.framing import chip_size
from tergan_hf.data.loading import DataSource
from tergan_hf.data.sampling import ExpressionPairs
from tergan_hf.training.arguments import OptimizerArguments, TrainingArguments
from tergan_hf.training.transfer_term import TransferTerm

from .conftest import TINY
from .faces import label_files, repeatable_people


SIZE = TINY["image_size"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    sets = label_files({"people": repeatable_people(tmp_path_factory.mktemp("sets") / "people.parquet")}, SIZE)
    drawn = ExpressionPairs(sets, 24, chip_size(SIZE), ground_truth_share=1.0)
    return torch.utils.data.default_collate([drawn[number] for number in range(24)])


def test_results_come_nearer_to_their_truth_and_the_decoder_stays(pairs):
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    arguments = TrainingArguments(sources=[DataSource("people", "folder")], pair_augmentation=AugmentationConfig())
    term = TransferTerm(model, arguments, Accelerator(cpu=True))
    encoder = copy.deepcopy(model.expression_encoder)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-2)
    missed = []
    for _ in range(30):
        batch = term.vary({"pairs": pairs}, torch.Generator().manual_seed(0))
        shown = term.shown(batch, encoder.image_size)
        assert shown.shape == (16, 3, encoder.image_size, encoder.image_size)  # of 8 of the 24 pairs
        loss = term.loss(batch, encoder(shown))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        missed.append(loss.item())
    assert missed[-1] < 0.95 * missed[0]
    assert all(torch.equal(value, before[name]) for name, value in term.model.state_dict().items())


def test_transfer_comes_beside_consensus():
    with pytest.raises(ValueError, match=r"transfer \(2\.0\) comes beside consensus"):
        OptimizerArguments(transfer=2.0)
