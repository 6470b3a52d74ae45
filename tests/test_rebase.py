"""A decoder whose G_es is replaced behaves as before where the new f(e) says the same as the former."""

import copy

import torch
from torch import nn

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.training import finalize, rebase
from tergan_hf.training.encoder_classifier import EncoderClassifier
from tergan_hf.training.rebase import rebase_decoder

from .conftest import TINY


def test_a_linearly_changed_expression_encoder_changes_no_picture(monkeypatch):
    torch.manual_seed(0)
    config = TerGanConfig.photo(
        image_size=64, expression_image_size=32, encoder_channels=(8,) * 5, identity_encoder_channels=(8,) * 5,
        decoder_channels=(8,) * 5,
    )  # fmt: skip
    model = TerGanModel(config).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    former = copy.deepcopy(model.expression_encoder)
    new = EncoderClassifier(copy.deepcopy(former), config.num_labels)
    mixing, shift = torch.randn(30, 30), torch.randn(30)
    with torch.no_grad():
        new.encoder.embedding.weight.copy_(mixing @ former.embedding.weight)
        new.encoder.embedding.bias.copy_(mixing @ former.embedding.bias + shift)
    crops = torch.rand(200, 3, 64, 64) * 2 - 1
    crops += torch.randn(200, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    monkeypatch.setattr(rebase, "choose_rows", lambda chips, most: range(len(crops)))
    monkeypatch.setattr(finalize, "aligned_crops", lambda chips, rows, size, device: crops[rows.start : rows.stop])

    class Photos:
        name, has_identities = "photos", True

    source, target = crops[:2], crops[2:4]
    wanted = model.encode_expression(source)
    before = model.change(wanted, target)
    logits = new.head(new.encoder(source))
    explained = rebase_decoder(model, former, new, [Photos()])
    assert explained > 0.999
    model.expression_encoder.load_state_dict(new.encoder.state_dict())
    after = model.change(model.encode_expression(source), target)
    # The gate sees distances in another basis; what it scales is the same.
    assert model.decoder.mapping.output.weight.any()
    torch.testing.assert_close(direction(after.flow), direction(before.flow), rtol=0, atol=3e-4)
    assert torch.allclose(new.head(new.encoder(source)), logits, atol=1e-3)


def direction(flow: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(flow.flatten(1), dim=1)


def test_only_a_photo_decoder_of_the_same_f_e_is_expressed_anew():
    former = TerGanModel(TerGanConfig.photo(**TINY))
    assert rebase.can_rebase(TerGanModel(TerGanConfig.photo(**TINY)), former)
    longer = TerGanModel(TerGanConfig.photo(**TINY, expression_embedding_size=40))
    assert not rebase.can_rebase(longer, former)
    assert not rebase.can_rebase(former, TerGanModel(TerGanConfig.compact(**TINY)))
