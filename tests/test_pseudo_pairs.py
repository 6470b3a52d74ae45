"""Pairs whose truth is a photograph and whose target is made of it."""

import copy

import pytest
import torch
from accelerate import Accelerator

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.loading import DataSource
from tergan_hf.data.padded_crops import padded_crop_size
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.training.arguments import PairArguments, TrainingArguments
from tergan_hf.training.batches import augment_pairs
from tergan_hf.training.generator_objective import truth_terms
from tergan_hf.training.pseudo_pairs import NOBODY, PseudoPairs

from .conftest import TINY, shipped_arguments
from .faces import label_files, loose_crops, photographed_people, repeatable_people


SIZE, COUNT, MADE = 96, 8, 6
STEADY = dict.fromkeys(
    ("scale", "shift", "angle", "flip", "gain", "bias", "gamma", "grey", "low_resolution", "noise", "jpeg"), 0
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Collated pairs and photographs, and a model that changes what it is given."""
    folder = tmp_path_factory.mktemp("sets")
    paths = {
        "avatars": repeatable_people(folder / "avatars.parquet"),
        "people": photographed_people(folder / "people"),
        "loose": loose_crops(folder / "loose.parquet"),
    }
    sets = label_files(paths, SIZE)
    assert [photos.are_photographs for photos in sets] == [False, True, True]
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY | {"image_size": SIZE})).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)  # more would turn most pixels black or white
    side = padded_crop_size(SIZE)
    drawn = ExpressionPairs(sets[:1], COUNT, side, ground_truth_share=1.0), BalancedPhotos(sets[1:], COUNT, side)
    return model, *(torch.utils.data.default_collate([one[number] for number in range(COUNT)]) for one in drawn)


def vary(material, **changes):
    """The batch before, the same with made targets, and the photographs."""
    model, pairs, photos = material
    arguments = TrainingArguments(
        sources=[DataSource("set", "folder")],
        pretrained="saved",
        pairs=PairArguments(pseudo_pairs=MADE / COUNT),
        pair_augmentation=AugmentationConfig(**{**STEADY, **changes}),
    )
    batch = augment_pairs({"pairs": pairs}, arguments, SIZE, torch.Generator().manual_seed(0))
    making = PseudoPairs(model, arguments, Accelerator(cpu=True))
    return batch, making(batch, photos, torch.Generator().manual_seed(1)), photos


def test_truth_and_source_are_the_photograph_and_the_target_is_another_face_of_it(material):
    before, batch, photos = vary(material, encoder_jitter=0.5)
    sharp = photos["resolution"][:MADE] > SIZE
    assert sharp.any() and not sharp.all()
    torch.testing.assert_close(batch.truth[:MADE][sharp], batch.source[:MADE][sharp])
    changed = (batch.target - batch.truth)[:MADE].abs().mean((1, 2, 3))
    assert (changed > 0.005).all()
    torch.testing.assert_close(batch.encoder_target[:MADE], batch.target[:MADE], atol=1e-5, rtol=0)
    assert batch.has_truth.all()
    assert batch.source_expression[:MADE].tolist() == photos["expression"][:MADE].tolist()
    identities = [number if number >= 0 else NOBODY for number in photos["identity"][:MADE].tolist()]
    assert batch.target_identity[:MADE].tolist() == identities and NOBODY in identities
    for name in ("source", "target", "truth", "encoder_target", "source_expression", "target_identity"):
        assert torch.equal(getattr(batch, name)[MADE:], getattr(before, name)[MADE:]), name


def test_target_and_truth_are_framed_lit_and_bent_alike(material):
    unchanging = copy.deepcopy(material[0])
    with torch.no_grad():
        for layer in (unchanging.decoder.to_change, unchanging.decoder.to_shading):
            layer.weight.zero_()
            layer.bias.zero_()
        unchanging.decoder.to_change.bias[2] = -30  # the mask: nothing is painted
    _, batch, _ = vary(
        (unchanging, *material[1:]), scale=0.1, angle=5.0, gain=0.2, grey=0.5, flip=0.5, elastic_deformation=0.03
    )
    torch.testing.assert_close(batch.target[:MADE], batch.truth[:MADE], atol=1e-5, rtol=0)
    assert (batch.source - batch.truth)[:MADE].abs().mean() > 0.02


def test_what_is_made_is_no_sharper_than_the_photograph(material):
    model, pairs, photos = material
    loose = photos["identity"] < 0
    assert photos["resolution"][loose].tolist() == [48] * int(loose.sum())
    frequency = torch.fft.fftfreq(SIZE).abs()[:, None].maximum(torch.fft.rfftfreq(SIZE)[None])

    def fine_detail(resolution):
        seen = {**photos, "resolution": torch.full((COUNT,), resolution)}
        power = torch.fft.rfft2(vary((model, pairs, seen))[1].target[:MADE]).abs().square().sum(1)
        return (power * (frequency > 0.2)).sum((1, 2))  # 24 pixels of 96 show frequencies up to 0.125

    assert (fine_detail(24) < 0.4 * fine_detail(SIZE)).all()


def test_a_decoder_learns_to_take_the_change_back(material):
    _, batch, _ = vary(material)
    torch.manual_seed(0)
    model, weights = TerGanModel(material[0].config), shipped_arguments("photo").losses
    optimizer = torch.optim.Adam(model.decoder.parameters(), 1e-3)
    missed = []
    for _ in range(25):
        result = model(batch.source, batch.target).pixel_values
        loss = sum(truth_terms(result, batch, weights).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        missed.append(loss.item())
    assert missed[-1] < 0.9 * missed[0]


def test_bad_shares_and_missing_models_are_named():
    with pytest.raises(ValueError, match=r"pseudo_pairs must be .* not 1\.0"):
        PairArguments(pseudo_pairs=1.0)
    with pytest.raises(ValueError, match="pseudo_pairs needs a model that can make targets"):
        TrainingArguments(sources=[DataSource("set", "folder")], pairs=PairArguments(pseudo_pairs=0.2))
