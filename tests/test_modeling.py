"""The networks of SPEC's table and what they compute."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tergan_hf import TerGanConfig, TerGanForImageClassification, TerGanModel
from tergan_hf.model.decoder_tergan import convolve_enlarged
from tergan_hf.model.encoder_tergan import ConvolutionBlock, TerGanEncoder
from tergan_hf.model.outputs_tergan import warp
from tergan_hf.training.arguments import DiscriminatorArguments
from tergan_hf.training.discriminators import Discriminator, EmbeddingDiscriminator
from tergan_hf.training.warm_start import shares_expression_encoder, warm_start

from .conftest import NUM_IDENTITIES
from .tiny_models import TINY
from .training_settings import TINY_DISCRIMINATORS


REFINEMENTS = ("expression_refinements", "identity_refinements", "decoder_refinements")


def channels(module, kind):
    names = ("in_channels", "out_channels") if kind is nn.Conv2d else ("in_features", "out_features")
    return [tuple(getattr(m, name) for name in names) for m in module.modules() if isinstance(m, kind)]


def test_defaults_are_the_paper():
    assert TerGanConfig().to_dict() == TerGanConfig.paper().to_dict()
    config = TerGanConfig()
    assert (config.image_size, config.expression_embedding_size, config.identity_embedding_size) == (75, 30, 50)
    assert config.feature_map_sizes == (75, 37, 18, 9, 4, 2)
    assert config.expressions == ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]


def test_networks_have_the_papers_layers():
    model = TerGanModel(TerGanConfig())
    encoder_convolutions = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    assert channels(model.expression_encoder, nn.Conv2d) == encoder_convolutions
    assert channels(model.identity_encoder, nn.Conv2d) == encoder_convolutions
    assert channels(model.expression_encoder, nn.Linear) == [(1024 * 4, 30)]
    assert channels(model.identity_encoder, nn.Linear) == [(1024 * 4, 50)]
    assert channels(model.decoder, nn.Linear) == [(80, 1024 * 4)]
    assert channels(model.decoder, nn.Conv2d) == [(1024, 512), (512, 256), (256, 128), (128, 64), (64, 3)]
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride) == ((3, 3), (1, 1))


def test_discriminators_have_the_papers_layers():
    config, sizes = TerGanConfig(), DiscriminatorArguments()
    discriminator = Discriminator(config, sizes, 80)
    assert channels(discriminator, nn.Conv2d) == [(3, 16), (16, 32), (32, 64), (64, 128)]
    assert channels(discriminator.shared, nn.Linear)[0][1] == 1024
    assert channels(discriminator.expression_branch, nn.Linear) == [(1024, 512), (512, 256), (256, 7)]
    assert channels(discriminator.identity_branch, nn.Linear) == [(1024, 512), (512, 256), (256, 80)]
    assert channels(EmbeddingDiscriminator(30, sizes), nn.Linear) == [(30, 32), (32, 16), (16, 1)]


@pytest.mark.parametrize("size", [2, 16])  # fewer and more positions than weights
def test_at_use_the_convolution_takes_batch_norm_along(size):
    torch.manual_seed(0)
    block = ConvolutionBlock(8, 12).eval()
    convolution, norm, activation = block
    for values in (norm.weight, norm.running_var):
        nn.init.uniform_(values, 0.5, 2)
    for values in (norm.bias, norm.running_mean):
        nn.init.normal_(values)
    inputs = torch.randn(3, 8, size, size, requires_grad=True)
    expected, answer = activation(norm(convolution(inputs))), block(inputs)
    torch.testing.assert_close(answer, expected)
    gradients = (torch.autograd.grad(output.square().sum(), inputs)[0] for output in (answer, expected))
    torch.testing.assert_close(*gradients)
    # In training the batch's own statistics count.
    assert not torch.allclose(block.train()(inputs), expected, atol=0.1)


@pytest.mark.parametrize("size", [64, 75, 96, 128])
@pytest.mark.parametrize("preset", ["paper", "compact", "photo"])
def test_shapes_hold(size, preset):
    config = getattr(TerGanConfig, preset)(**{**TINY, "image_size": size})
    model = TerGanModel(config).eval()
    output = model(torch.rand(2, 3, size, size) * 2 - 1, torch.rand(2, 3, size, size) * 2 - 1)
    assert output.pixel_values.shape == (2, 3, size, size)
    assert output.pixel_values.abs().max() <= 1
    assert output.expression_embedding.shape == (2, 64 if preset == "photo" else 30)
    assert output.identity_embedding.shape == (2, 50)
    features = model.expression_encoder.feature_maps(torch.zeros(2, 3, size, size))
    assert features[0].shape[-1] == config.expression_image_size // config.expression_patch_size
    features = model.identity_encoder.feature_maps(torch.zeros(2, 3, size, size))
    assert [feature.shape[-1] for feature in features] == list(config.feature_map_sizes[:-1])
    expression_logits, identity_logits = Discriminator(config, TINY_DISCRIMINATORS, NUM_IDENTITIES)(
        output.pixel_values
    )
    assert expression_logits.shape == (2, config.num_labels + 1)
    assert identity_logits.shape == (2, NUM_IDENTITIES)


def test_paper_output_depends_on_the_target_through_its_identity_only(tiny_config):
    model = TerGanModel(tiny_config).eval()
    source, target = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    expected = model.decode(model.encode_expression(source), model.encode_identity(target))
    torch.testing.assert_close(model(source, target).pixel_values, expected)


def test_papers_transfer_does_not_look_at_the_targets_expression(tiny_config):
    model = TerGanModel(tiny_config).train()
    before = [buffer.clone() for buffer in model.expression_encoder.buffers()]
    model.change(torch.randn(2, 30), torch.rand(2, 3, 32, 32))
    assert all(torch.equal(a, b) for a, b in zip(before, model.expression_encoder.buffers()))


def test_residual_output_adds_what_the_decoder_changes(tiny_residual_config):
    model = TerGanModel(tiny_residual_config).eval()
    source, target = torch.rand(1, 3, 32, 32) - 0.5, torch.rand(1, 3, 32, 32) - 0.5
    identity = model.encode_identity(target)
    change = model.decode(model.encode_expression(source), identity) - model.decode(
        model.encode_expression(target), identity
    )
    torch.testing.assert_close(model(source, target).pixel_values, (target + change).clamp(-1, 1))


def test_patches_keep_the_image_size_and_cost_less():
    """With patch_size 2 the networks' maps are half as large, the photo in and out is the same."""
    config = TerGanConfig.photo(**{**TINY, "image_size": 64, "patch_size": 2})
    assert config.feature_map_sizes == (32, 16, 8, 4, 2, 1)
    model = TerGanModel(config).eval()
    stir(model)
    target = torch.rand(2, 3, 64, 64) * 2 - 1
    change = model.change(random_expressions(model, 2), target)
    assert change.flow.shape == (2, 2, 64, 64) and change.residual.shape == target.shape
    # Neighbours within a patch are painted on their own.
    assert (change.residual[:, :, ::2] - change.residual[:, :, 1::2]).abs().mean() > 1e-3


def test_expression_is_read_at_its_own_size():
    model = TerGanModel(TerGanConfig.photo(**{**TINY, "image_size": 64, "expression_image_size": 32})).eval()
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4) * 2 - 1, size=(32, 32), mode="bilinear")
    enlarged = torch.nn.functional.interpolate(photo, scale_factor=2, mode="nearest")
    assert model.encode_expression(photo).shape == (1, model.config.expression_embedding_size)
    difference = (model.encode_expression(photo) - model.encode_expression(enlarged)).abs().max()
    assert difference < 0.2 * model.encode_expression(photo).abs().max()


@pytest.mark.parametrize("preset", ["compact", "photo"])
def test_intensity_zero_is_the_target(preset):
    model = TerGanModel(getattr(TerGanConfig, preset)(**TINY)).eval()
    stir(model)
    target, expression = torch.rand(1, 3, 32, 32) * 2 - 1, random_expressions(model, 1)
    torch.testing.assert_close(model.synthesize(expression, target, 0.0), target, atol=1e-4, rtol=0)
    assert (model.synthesize(expression, target, 1.0) - target).abs().mean() > 1e-3


def test_photo_decoder_moves_and_repaints_the_target():
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    stir(model)
    target = torch.rand(2, 3, 32, 32) * 2 - 1
    change = model.change(random_expressions(model, 2), target)
    assert change.flow.abs().max() <= model.config.max_flow
    assert change.flow.abs().max() > 0
    expected = (warp(target, change.flow) + change.residual).clamp(-1, 1)
    torch.testing.assert_close(change.pixel_values, expected)


def test_a_target_prepared_for_many_expressions_changes_alike_with_less_work():
    model = TerGanModel(TerGanConfig.photo(**TINY, decoder_detail_channels=0)).eval()
    stir(model)
    target, wanted = torch.rand(2, 3, 32, 32) * 2 - 1, random_expressions(model, 2)
    plain, ahead = (model.encode_target(target, for_many=for_many) for for_many in (False, True))
    torch.testing.assert_close(
        model.change(wanted, ahead).pixel_values, model.change(wanted, plain).pixel_values, atol=1e-4, rtol=0
    )
    work = []
    for known in (plain, ahead):
        with FlopCounterMode(display=False) as counter:
            model.change(wanted, known)
        work.append(counter.get_total_flops())
    assert work[1] < 0.9 * work[0]
    paper = TerGanModel(TerGanConfig(**TINY)).eval()
    assert paper.encode_target(target, for_many=True).skip_maps is None


def test_painting_is_refined_pixel_by_pixel():
    model = TerGanModel(TerGanConfig.photo(**TINY, decoder_detail_channels=8))
    detail = model.decoder.detail
    painted, moved = torch.rand(1, 4, 16, 16), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(detail(painted, moved), painted), "it does not start as the identity"
        stir(model)
        other = moved.clone()
        other[..., 8, 8] = -1
        differs = (detail(painted, other) != detail(painted, moved)).any(1)[0]
    assert differs[6:11, 6:11].float().mean() > 0.9
    differs[6:11, 6:11] = False
    assert not differs.any()
    assert TerGanModel(TerGanConfig.photo(**TINY, decoder_detail_channels=0)).decoder.detail is None


def test_shading_lightens_what_is_light_already_most():
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    with torch.no_grad():
        model.decoder.to_shading.bias.fill_(0.1)  # everything else of the change begins at none
        model.decoder.to_change.bias[2] = -20  # the mask: no painting
    target = torch.tensor([-1.0, -0.5, 0.5]).view(3, 1, 1, 1).expand(3, 3, 32, 32)
    change = model.change(random_expressions(model, 3), target)
    lightened = change.residual.mean((1, 2, 3))
    assert lightened[0].abs() < 1e-4
    assert 0 < lightened[1] <= 0.1 * 0.5 + 1e-4 and 0 < lightened[2] <= 0.1 * 1.5 + 1e-4
    far = model.change(100 * torch.ones(3, model.config.expression_embedding_size), target).residual.mean((1, 2, 3))
    torch.testing.assert_close(far, torch.tensor([0.0, 0.05, 0.15]), atol=1e-3, rtol=0)


def test_small_intensities_change_in_proportion():
    model = TerGanModel(TerGanConfig.photo(**TINY, intensity_exponent=1.0)).eval()
    stir(model)
    target, expression = torch.rand(1, 3, 32, 32) * 2 - 1, random_expressions(model, 1)
    with torch.no_grad():
        flows = [model.change(expression, target, intensity).flow.abs().mean() for intensity in (0.01, 0.02, 0.04)]
    assert flows[1] / flows[0] == pytest.approx(2, rel=0.1) and flows[2] / flows[1] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("preset", ["compact", "photo"])
def test_an_exponent_bends_the_way_of_the_intensity_between_nothing_and_all(preset):
    model = TerGanModel(getattr(TerGanConfig, preset)(**TINY, intensity_exponent=1.0)).eval()
    stir(model)
    target, expression = torch.rand(1, 3, 32, 32) * 2 - 1, random_expressions(model, 1)
    straight = {at: model.synthesize(expression, target, at) for at in (0.0, 0.25, 1.0, 1.5, -0.5)}
    model.config.intensity_exponent = 0.5
    for at, expected in straight.items():
        as_tensor = torch.full((1, 1), at)
        if at == 0.25:
            at, as_tensor = at**2, as_tensor**2
        torch.testing.assert_close(model.synthesize(expression, target, at), expected)
        torch.testing.assert_close(model.synthesize(expression, target, as_tensor), expected)
    with pytest.raises(ValueError, match="intensity_exponent"):
        TerGanConfig(intensity_exponent=0)


@pytest.mark.parametrize("enabled", [False, True])
def test_without_a_flow_each_pixel_stays_in_any_precision(enabled):
    images = torch.rand(2, 3, 192, 160)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
        moved = warp(images, torch.zeros(2, 2, 192, 160))
    torch.testing.assert_close(moved, images, atol=1e-4, rtol=0)


def test_warp_looks_pixels_up_at_the_offset():
    image = torch.arange(8.0).expand(1, 1, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 2 * 2 / 8  # two pixels to the right, the image being 2 wide
    assert torch.allclose(warp(image, flow)[0, 0, 0], torch.tensor([2.0, 3, 4, 5, 6, 7, 7, 7]), atol=1e-5)


def random_expressions(model, count):
    return torch.randn(count, model.config.expression_embedding_size)


def stir(model):
    """Weights away from their zero beginnings, as training leaves them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


def test_classification_model_reads_the_same_weights(tiny_config, tmp_path):
    model = TerGanModel(tiny_config).eval()
    model.save_pretrained(tmp_path)
    classifier = TerGanForImageClassification.from_pretrained(tmp_path).eval()
    pixels = torch.rand(3, 3, 32, 32)
    output = classifier(pixels, labels=torch.tensor([0, 1, 2]))
    torch.testing.assert_close(output.logits, model.classify(model.encode_expression(pixels)))
    torch.testing.assert_close(
        output.loss, nn.functional.cross_entropy(output.logits, torch.tensor([0, 1, 2])), check_dtype=False
    )


def test_a_face_and_its_mirror_image_are_named_alike_where_asked(tmp_path):
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    assert model.config.mirror_recognition and not TerGanConfig(**TINY).mirror_recognition
    model.save_pretrained(tmp_path)
    classifier = TerGanForImageClassification.from_pretrained(tmp_path).eval()
    pixels = torch.rand(3, 3, 32, 32)
    answers, turned = classifier(pixels), classifier(pixels.flip(3))
    torch.testing.assert_close(answers.logits, turned.logits)
    both = model.encode_expression(pixels), model.encode_expression(pixels.flip(3))
    assert (both[0] - both[1]).abs().max() > 1e-3
    torch.testing.assert_close(answers.hidden_states[0], (both[0] + both[1]) / 2)
    once = TerGanForImageClassification.from_pretrained(tmp_path, mirror_recognition=False).eval()
    torch.testing.assert_close(once(pixels).logits, model.classify(both[0]))


def test_an_expression_encoder_takes_patches():
    config = TerGanConfig(**TINY, expression_patch_size=2)
    encoder = TerGanModel(config).expression_encoder
    assert encoder.convolutions[0][0].in_channels == 12
    assert encoder.feature_maps(torch.zeros(2, 3, 32, 32))[0].shape == (2, 4, 16, 16)


def test_refinements_start_as_nothing_and_learn():
    torch.manual_seed(0)
    plain, refined = (
        TerGanModel(TerGanConfig.photo(**TINY, **dict.fromkeys(REFINEMENTS, count))).eval() for count in (0, 2)
    )
    stir(plain)
    further = set(refined.state_dict()) - set(plain.state_dict())
    for part in ("expression_encoder", "identity_encoder", "decoder"):
        assert any(name.startswith(f"{part}.refinements") for name in further), part
    warm_start(refined, plain)
    source, target = torch.rand(2, 4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        ours, theirs = refined(source, target), plain(source, target)
    torch.testing.assert_close(ours.pixel_values, theirs.pixel_values)
    torch.testing.assert_close(ours.expression_embedding, theirs.expression_embedding)
    refined.train()(source, target).pixel_values.square().sum().backward()
    scales = [p for name, p in refined.named_parameters() if name in further and not p.any()]
    assert sum(bool(scale.grad.any()) for scale in scales) > len(scales) / 2


def test_a_decoder_with_a_hidden_layer_of_another_size_is_refused(tmp_path):
    TerGanModel(TerGanConfig.photo(**TINY, decoder_mapping_size=16)).save_pretrained(tmp_path)
    saved = TerGanModel.from_pretrained(tmp_path)
    for size in (0, 24):
        with pytest.raises(ValueError, match="decoder_mapping_size 16"):
            warm_start(TerGanModel(TerGanConfig.photo(**TINY, decoder_mapping_size=size)), saved)
    with pytest.raises(ValueError, match="decoder_mapping_size"):
        TerGanConfig.photo(**TINY, decoder_mapping_size=-1)


def test_tensors_of_another_shape_keep_their_initial_values(tmp_path):
    narrow = TerGanModel(TerGanConfig.photo(**TINY))
    channels = [count + 8 for count in narrow.config.decoder_channels]
    other = TerGanModel(TerGanConfig.photo(**{**TINY, "decoder_channels": channels}))
    before = other.decoder.blocks[0].convolution.weight.clone()
    warm_start(other, narrow)
    torch.testing.assert_close(other.decoder.blocks[0].convolution.weight, before)
    torch.testing.assert_close(other.identity_encoder.embedding.weight, narrow.identity_encoder.embedding.weight)


def test_other_labels_start_with_a_new_classifier_and_new_prototypes():
    saved = TerGanModel(TerGanConfig.photo(**TINY))
    torch.nn.init.normal_(saved.expression_prototypes)
    labels = ["calm", "joy", "anger", "disgust", "fear", "sadness", "surprise"]
    id2label = dict(enumerate(labels))
    changes = {"id2label": id2label, "label2id": {label: index for index, label in id2label.items()}}
    model = TerGanModel(TerGanConfig.photo(**TINY, **changes))
    classifier = model.classifier.weight.clone()
    warm_start(model, saved)
    # As many labels as before, so that the shapes alone would fit.
    assert torch.equal(model.classifier.weight, classifier) and not model.expression_prototypes.any()
    torch.testing.assert_close(model.decoder.to_change.weight, saved.decoder.to_change.weight)
    torch.testing.assert_close(model.expression_encoder.embedding.weight, saved.expression_encoder.embedding.weight)
    assert shares_expression_encoder(model, saved)
    wider = TerGanConfig.photo(**{**TINY, "encoder_channels": (8, 8, 8, 8, 8)})
    assert not shares_expression_encoder(TerGanModel(wider), saved)


def test_a_last_map_of_three_is_looked_at_as_a_whole():
    torch.manual_seed(0)
    encoder = TerGanEncoder.of_expression(TerGanConfig(**{**TINY, "image_size": 48})).eval()
    assert encoder.feature_maps(torch.zeros(1, 3, 48, 48))[-1].shape[-1] == 3
    black, corner = torch.zeros(1, 3, 48, 48), torch.zeros(1, 3, 48, 48)
    corner[:, :, -4:, -4:] = 1
    assert not torch.allclose(encoder(black), encoder(corner))


def test_changes_start_small():
    """Before training, the presets with a ground truth hand the target back almost unchanged."""
    for preset, most in (("compact", 0.1), ("photo", 0.3)):
        model = TerGanModel(getattr(TerGanConfig, preset)()).eval()
        size = (2, 3, model.config.image_size, model.config.image_size)
        target, source = torch.rand(size) * 2 - 1, torch.rand(size) * 2 - 1
        assert (model(source, target).pixel_values - target).abs().mean() < most


def test_compact_is_the_same_design_with_fewer_channels():
    paper, compact = TerGanModel(TerGanConfig()), TerGanModel(TerGanConfig.compact())
    assert set(compact.state_dict()) == set(paper.state_dict())
    assert compact.num_parameters() < paper.num_parameters() / 3
    assert compact.num_parameters() * 4 < 40e6


@pytest.mark.parametrize("size", [(8, 10), (9, 11)])
def test_convolving_an_enlarged_map_is_exact_at_every_size(size):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    weight = torch.randn(7, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(F.interpolate(maps, size=size, mode="nearest"), weight, padding=1)
    found = convolve_enlarged(maps, weight, size)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(result.square().sum(), weight)[0] for result in (found, expected)]
    torch.testing.assert_close(*gradients)
