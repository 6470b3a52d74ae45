"""Who is updated by what."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.crops import cut_crops, to_range
from tergan_hf.data.loading import DataSource
from tergan_hf.data.mixing import draw_patch_masks
from tergan_hf.data.padded_crops import PADDED_CROP_MARGIN, padded_crop_size
from tergan_hf.data.registration import register_faces
from tergan_hf.expressions.blendshapes import COLUMN_NAMES
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.model.face_alignment_tergan import compose_transforms, crop_face, zoom_out
from tergan_hf.model.face_detection_tergan import FaceDetector
from tergan_hf.training import losses
from tergan_hf.training.arguments import DiscriminatorArguments, OptimizerArguments, TrainingArguments
from tergan_hf.training.batches import PairBatch, augment_pairs, draw_edits_by_name
from tergan_hf.training.discriminators import Discriminator, EmbeddingDiscriminator, MouthDiscriminator
from tergan_hf.training.encoder_classifier import EncoderClassifier
from tergan_hf.training.generator_objective import GeneratorObjective
from tergan_hf.training.optimizers import build_optimizer
from tergan_hf.training.stage2 import AdversarialSteps

from .conftest import NUM_IDENTITIES, ROOT
from .faces import repeatable_people
from .tiny_models import TINY
from .training_settings import TINY_DISCRIMINATORS, shipped_arguments


TERMS = (
    "identity_feature", "expression_feature", "identity_reconstruction", "expression_reconstruction",
    "identity_consistency", "expression_consistency", "adversarial", "ground_truth", "structure", "smoothness", "flow",
    "recognition",
)  # fmt: skip


def batch(config, photos=False):
    size = (4, 3, config.image_size, config.image_size)
    return PairBatch(
        source=torch.rand(size) * 2 - 1,
        target=torch.rand(size) * 2 - 1,
        truth=torch.rand(size) * 2 - 1,
        has_truth=torch.tensor([True, True, False, True]),
        source_expression=torch.tensor([0, 1, 2, 3]),
        target_identity=torch.tensor([0, 1, 2, 3]),
        true_flow=torch.rand(4, 2, config.image_size // 2, config.image_size // 2) * 0.1,
        flow_known=torch.ones(4, 1, config.image_size // 2, config.image_size // 2, dtype=torch.bool),
        photos=torch.rand(size) * 2 - 1 if photos else None,
        photo_expression=torch.tensor([3, 2, 1, 0]) if photos else None,
    )


def make_objective(config, arguments):
    expression = EncoderClassifier(TerGanEncoder.of_expression(config), config.num_labels)
    identity = EncoderClassifier(TerGanEncoder.of_identity(config), NUM_IDENTITIES)
    return GeneratorObjective(TerGanModel(config), expression, identity, arguments)


@pytest.fixture(params=["paper", "compact", "photo", "photo with G_es"])
def training(request):
    torch.manual_seed(0)
    preset = request.param.split()[0]
    config, arguments = getattr(TerGanConfig, preset)(**TINY), shipped_arguments(preset)
    if "with" in request.param:
        arguments.freeze_expression_encoder = False
        arguments.losses.recognition, arguments.losses.expression_consistency = 0.05, 0.01
    objective = make_objective(config, arguments)
    discriminator = Discriminator(config, TINY_DISCRIMINATORS, NUM_IDENTITIES)
    objective.train()
    optimizers = [build_optimizer(module, OptimizerArguments()) for module in (objective, discriminator)]
    steps = AdversarialSteps(
        Accelerator(cpu=True), objective, discriminator, discriminator, optimizers, arguments.losses
    )
    return arguments, objective, discriminator, steps


def snapshot(module):
    return {name: value.clone() for name, value in module.named_parameters()}


def changed(module, before):
    return {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}


def test_generator_step_leaves_the_discriminator_alone(training):
    arguments, objective, discriminator, steps = training
    config = objective.model.config
    generator_before, discriminator_before = snapshot(objective), snapshot(discriminator)
    # Two steps: the photo decoder's last layer starts at 0 and lets no gradient through before the second.
    for _ in range(2):
        _, terms = steps.generator_step(batch(config, photos=arguments.losses.recognition > 0))
        assert torch.isfinite(terms["total"])
    assert not changed(discriminator, discriminator_before)
    # A gradient left behind would be taken for D's own in its next step.
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    moved = changed(objective, generator_before)
    for part in ("model.identity_encoder", "model.decoder", "identity_discriminator"):
        assert any(name.startswith(part) for name in moved), part
    for part in ("model.expression_encoder", "expression_discriminator"):
        assert any(name.startswith(part) for name in moved) != arguments.freeze_expression_encoder, part
    assert not any(name.startswith(("frozen_", "model.classifier")) for name in moved)


def test_a_step_between_the_costly_ones_may_have_no_term():
    arguments = shipped_arguments("paper")
    for name in ("identity_reconstruction", "expression_reconstruction"):
        setattr(arguments.losses, name, 0.0)
    objective = make_objective(TerGanConfig(**TINY), arguments)
    before = snapshot(objective)
    steps = AdversarialSteps(
        Accelerator(cpu=True), objective, None, None, [build_optimizer(objective, OptimizerArguments()), None],
        arguments.losses, costly_interval=4,
    )  # fmt: skip
    _, terms = steps.generator_step(batch(objective.model.config), costly=False)
    assert terms == {} and not changed(objective, before)


def test_discriminator_step_leaves_the_generator_alone(training):
    _, objective, discriminator, steps = training
    pairs = batch(objective.model.config)
    generated, _ = steps.generator_step(pairs)
    generator_before, discriminator_before = snapshot(objective), snapshot(discriminator)
    steps.discriminator_step(pairs, generated)
    assert not changed(objective, generator_before)
    assert all(parameter.grad is None for parameter in objective.parameters())
    assert changed(discriminator, discriminator_before) == set(discriminator_before)


def test_frozen_encoders_stay_as_stage_1_left_them_even_their_statistics(training):
    _, objective, _, steps = training
    frozen = torch.nn.ModuleList([objective.frozen_expression, objective.frozen_identity])
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    for _ in range(2):
        steps.generator_step(batch(objective.model.config))
    after = frozen.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_mouths_are_judged_from_their_start_on_and_each_side_learns_alone():
    config, arguments = TerGanConfig.photo(**TINY), shipped_arguments("photo")
    objective = make_objective(config, arguments)
    objective.train()
    modules = [objective, Discriminator(config, TINY_DISCRIMINATORS, NUM_IDENTITIES), MouthDiscriminator(3, (8, 16))]
    optimizers = [build_optimizer(module, OptimizerArguments()) for module in modules]
    steps = AdversarialSteps(
        Accelerator(cpu=True), objective, modules[1], modules[1], optimizers, arguments.losses,
        mouth_discriminator=modules[2], plain_mouth_discriminator=modules[2],
    )  # fmt: skip
    pairs = batch(config)
    pairs.uncovered = torch.ones_like(pairs.flow_known)
    pairs.target_transform = torch.eye(2, 3).expand(4, 2, 3)
    before = [snapshot(module) for module in modules]
    of_mouths = {"mouth_adversarial", "mouth_features"}
    assert not of_mouths & set(steps.generator_step(pairs, judges_mouths=False)[1])
    generated, terms = steps.generator_step(pairs, judges_mouths=True)
    assert of_mouths <= set(terms)
    assert not changed(modules[2], before[2]) and all(own.grad is None for own in modules[2].parameters())
    generator_before = snapshot(objective)
    steps.mouth_discriminator_step(pairs, generated)
    # Both halves of the hinge loss pull at the last bias alike.
    assert changed(modules[2], before[2]) | {"to_logits.bias"} == set(before[2])
    assert not changed(objective, generator_before) and not changed(modules[1], before[1])


def test_a_frozen_expression_encoder_keeps_even_its_statistics():
    config, arguments = TerGanConfig.photo(**TINY), shipped_arguments("photo")
    arguments.freeze_batch_norm = False
    objective = make_objective(config, arguments)
    objective.train()
    before = {name: value.clone() for name, value in objective.model.expression_encoder.state_dict().items()}
    objective(batch(config))
    after = objective.model.expression_encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_all_terms_of_equation_10_are_there(training):
    arguments, objective, _, steps = training
    config = objective.model.config
    _, terms = steps.generator_step(batch(config))
    expected = {name for name in TERMS if getattr(arguments.losses, name)}
    if arguments.freeze_expression_encoder:
        expected -= {"recognition", "expression_consistency"}
    if config.decoder_type == "bottleneck":
        expected -= {"flow", "smoothness"}
    assert set(terms) == expected | {"total", "gradient_norm"} and terms["gradient_norm"] > 0


def test_consistency_discriminator_learns_while_the_encoder_is_pushed_the_other_way():
    torch.manual_seed(0)
    discriminator = EmbeddingDiscriminator(30, TINY_DISCRIMINATORS)
    real, generated = torch.randn(8, 30, requires_grad=True), torch.randn(8, 30, requires_grad=True)
    loss = losses.consistency_loss(discriminator(real), discriminator(generated))
    loss.backward()
    step = 0.05
    with torch.no_grad():
        worse_for_d = losses.consistency_loss(
            discriminator(real - step * real.grad), discriminator(generated - step * generated.grad)
        )
        for parameter in discriminator.parameters():
            parameter -= step * parameter.grad
        better_for_d = losses.consistency_loss(discriminator(real), discriminator(generated))
    assert worse_for_d > loss > better_for_d


def test_a_new_discriminator_tells_images_apart():
    """PyTorch's own initial weights give logits that differ by 0.0003, and D does not learn for a thousand steps."""
    torch.manual_seed(0)
    discriminator = Discriminator(TerGanConfig(image_size=48), DiscriminatorArguments(), NUM_IDENTITIES)
    with torch.no_grad():
        expression, identity = discriminator(torch.rand(32, 3, 48, 48) * 2 - 1)
    assert min(logits.std(0).mean() for logits in (expression, identity)) > 0.02


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_discriminator_of_embeddings_learns_in_any_precision(dtype):
    objective = make_objective(TerGanConfig.compact(**TINY), shipped_arguments("compact"))
    torch.manual_seed(0)
    first, second = torch.randn(8, 50), torch.randn(8, 50) + 3
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        loss = objective._consistency(objective.identity_discriminator, first, second)
    loss.backward()
    gradients = [parameter.grad for parameter in objective.identity_discriminator.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_processes_of_a_run_learn_the_same_from_different_photos(python, tmp_path):
    parquet = repeatable_people(tmp_path / "avatars.parquet")
    done = python.run(["-m", "tests.ranks", parquet, tmp_path], ROOT, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    (before, after), (_, others) = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert after == others and before != after


def test_batch_norm_statistics_of_stage_1_are_kept_where_asked():
    config = TerGanConfig.compact(**TINY)
    objective = make_objective(config, shipped_arguments("compact")).train()
    model = objective.model
    encoders = torch.nn.ModuleList([model.expression_encoder, model.identity_encoder])
    before = [buffer.clone() for buffer in encoders.buffers()]
    objective(batch(config))
    assert all(torch.equal(a, b) for a, b in zip(before, encoders.buffers()))
    assert model.decoder.training


def test_edits_by_name_are_mirrored_with_their_crop_and_asked_in_the_models_units():
    change = torch.zeros(2, len(COLUMN_NAMES))
    change[:, COLUMN_NAMES.index("eyeBlinkLeft")] = 1
    change[:, COLUMN_NAMES.index("gazeX")] = 0.5  # of 30 degrees
    upright = torch.eye(3)[:2]
    transforms = torch.stack([upright, upright * torch.tensor([-1.0, 1, 1])])
    pairs = {"blendshape_change": change, "is_rendered": torch.tensor([True, True])}
    drawn, changes = draw_edits_by_name(pairs, transforms, 1.0, torch.Generator())
    assert drawn.all()
    objective = make_objective(TerGanConfig.photo(**TINY), shipped_arguments("photo"))
    model, names = objective.model, objective.model.config.blendshape_names
    torch.nn.init.normal_(model.blendshape_directions)
    own = torch.randn(2, model.config.expression_embedding_size)
    wanted = torch.zeros(2, len(names))
    for row, (blink, gaze) in enumerate((("eyeBlinkLeft", 15.0), ("eyeBlinkRight", -15.0))):
        wanted[row, names.index(blink)], wanted[row, names.index("gazeX")] = 1, gaze
    edited = objective._edited(own, SimpleNamespace(blendshape_change=changes))
    torch.testing.assert_close(edited, model.move_blendshapes(own, wanted))
    assert (edited - own).abs().min() > 0


def test_reversal_pauses_where_the_discriminator_is_fooled():
    objective = make_objective(TerGanConfig.compact(**TINY), shipped_arguments("compact"))
    discriminator = objective.identity_discriminator
    torch.manual_seed(0)
    first, second = torch.randn(8, 50), torch.randn(8, 50) + 3

    def gradient(real, generated):
        real = real.clone().requires_grad_(True)
        loss = objective._consistency(discriminator, real, generated)
        loss.backward()
        return loss.item(), real.grad.abs().sum().item()

    one, other = gradient(first, second), gradient(second, first)
    fooled, right = max(one, other), min(one, other)
    assert fooled[0] > losses.CHANCE > right[0]
    assert fooled[1] == 0 < right[1]
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_fe_is_read_from_crops_framed_more_steadily():
    side = padded_crop_size(32)
    slope = torch.linspace(0, 255, side)
    faces = torch.stack([slope.expand(side, side), slope[:, None].expand(side, side), 255 - slope.expand(side, side)])
    faces = faces.round().byte().expand(8, 3, side, side).contiguous()
    varied = {"scale": 0.1, "shift": 0.1, "angle": 10.0}
    batch = augment_still_pairs(faces, faces, [True] * 8, [True] * 8, [0] * 8, **varied, encoder_jitter=0.0)
    inner = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(batch.encoder_target[inner], batch.source[inner], atol=0.02, rtol=0)
    straight = augment_still_pairs(faces, faces, [True] * 8, [True] * 8, [0] * 8, flip=0.0).source
    as_framed = [torch.allclose(own, other, atol=1e-4) for own, other in zip(batch.source, straight)]
    mirrored = [torch.allclose(own.flip(2), other, atol=1e-4) for own, other in zip(batch.source, straight)]
    assert all(one != other for one, other in zip(as_framed, mirrored)) and any(as_framed) and any(mirrored)
    assert (batch.target - batch.encoder_target).abs()[inner].mean() > 0.05
    assert augment_still_pairs(faces, faces, [True] * 8, [True] * 8, [0] * 8, **varied).encoder_target is None


def augment_still_pairs(target, truth, has_truth, is_rendered, identities, registration=None, **changes):
    """`augment_pairs` on pairs without motion, x_s the same as x_t, with nothing varied but `changes`."""
    count = len(target)
    still, motion = torch.eye(2, 3).expand(count, 2, 3), torch.full((count, 2, 64, 64), 128, dtype=torch.uint8)
    raw = {
        "source": target, "target": target, "truth": truth, "to_photo": still,
        "registration": still if registration is None else registration,
        "has_truth": torch.tensor(has_truth), "is_rendered": torch.tensor(is_rendered),
        "has_flow": torch.zeros(count, dtype=torch.bool), "target_flow_map": motion, "truth_flow_map": motion,
        "source_expression": torch.zeros(count).long(), "target_expression": torch.zeros(count).long(),
        "target_identity": torch.tensor(identities),
    }  # fmt: skip
    varied = ("scale", "shift", "angle", "gain", "bias", "gamma", "grey", "low_resolution", "noise", "jpeg")
    as_they_are = AugmentationConfig(**{**dict.fromkeys(varied, 0), **changes})
    arguments = TrainingArguments(sources=[DataSource("set", "folder")], pair_augmentation=as_they_are)
    return augment_pairs({"pairs": raw}, arguments, 32, torch.Generator().manual_seed(0))


def test_of_another_photograph_only_the_face_is_a_truth():
    side = padded_crop_size(32)
    target, truth = torch.full((3, 3, side, side), 100), torch.full((3, 3, side, side), 90)
    truth[:, :, side * 2 // 3 :] = 30
    batch = augment_still_pairs(target, truth, [True, True, False], [False, True, False], [0, 0, 0])
    outside = (batch.truth - batch.target).abs()[:, :, :, :2].amax((1, 2, 3))
    inside = (batch.truth - batch.target).abs()[:, :, 26:30, 12:20].amin((1, 2, 3))
    assert outside[0] == 0 and outside[1] > 0.07 and outside[2] > 0.07
    assert (inside > 0.1).all()


def test_another_photograph_is_laid_over_the_target_by_its_registration(neutral):
    side, still = padded_crop_size(32), torch.eye(2, 3)
    crop_transform = FaceDetector().detect(neutral)[0].crop_transform
    shifted = compose_transforms(np.array([[1, 0, 0.02], [0, 1, -0.02]]), crop_transform)
    target, truth = (
        torch.from_numpy(np.array(crop_face(neutral, zoom_out(way, PADDED_CROP_MARGIN), side))).permute(2, 0, 1)
        for way in (crop_transform, shifted)
    )
    aligned = (cut_crops(to_range(crop)[None], still[None], 64) for crop in (truth, target))
    registration = torch.stack([register_faces(*aligned)[0], still])
    target, truth = (crop.expand(2, 3, side, side).contiguous() for crop in (target, truth))
    batch = augment_still_pairs(target, truth, [True, True], [False, True], [0, 0], registration)
    photographed, rendered = (batch.truth - batch.target).abs()[:, :, 6:-6, 8:-8].mean((1, 2, 3))
    assert photographed < 0.5 * rendered


def test_photographs_can_be_bent_more_than_renderings():
    side = padded_crop_size(32)
    stripes = (torch.arange(side) // 6 % 2 * 200).to(torch.uint8).expand(40, 3, side, side).contiguous()
    kinds, people = [True, False] * 20, list(range(40))
    straight = augment_still_pairs(stripes, stripes, [True] * 40, kinds, people, flip=0.0).target
    for changes, ratio in (
        ({"elastic_deformation": 0.01}, 1),
        ({"elastic_deformation": 0.01, "photograph_elastic_deformation": 0.03}, 3),
        ({}, None),
    ):
        deformed = augment_still_pairs(stripes, stripes, [True] * 40, kinds, people, flip=0.0, **changes)
        rendered, photographed = ((deformed.target - straight).abs()[part::2].mean() for part in (0, 1))
        assert rendered == photographed == 0 if ratio is None else 0.7 * ratio < photographed / rendered < 1.5 * ratio
        torch.testing.assert_close(deformed.target[::2], deformed.truth[::2])


def test_only_photographs_are_blended_and_target_and_truth_alike():
    side = padded_crop_size(32)
    levels = torch.tensor([40, 200, 90, 150], dtype=torch.uint8)[:, None, None, None]
    target = levels.expand(4, 3, side, side).contiguous()
    batch = augment_still_pairs(
        target, target, [True] * 4, [False, False, True, True], [0, 1, 2, 3], patch_mix=1.0, flip=0.0
    )
    plain = levels.float() / 127.5 - 1
    own = ((batch.target - plain).abs() < 0.1).float().mean((1, 2, 3))
    partners = ((batch.target[:2] - plain[:2].flip(0)).abs() < 0.1).float().mean((1, 2, 3))
    assert (own[2:] == 1).all() and (own[:2] < 0.9).all() and (partners > 0.05).all()
    assert (own[:2] + partners > 0.6).all()  # hardly anywhere the mean of both
    torch.testing.assert_close(batch.target[:2], batch.truth[:2])
    torch.testing.assert_close(batch.target[:2], batch.source[:2])


def test_a_blend_keeps_its_share_in_smooth_patches():
    shares = torch.tensor([1.0, 0.5, 0.65, 0.8]).repeat(20)
    masks = draw_patch_masks(shares, 64, torch.Generator().manual_seed(0))
    assert masks.shape == (80, 1, 64, 64) and (masks[::4] == 1).all()
    torch.testing.assert_close(masks.mean((1, 2, 3)), shares, atol=0.06, rtol=0)
    blended = masks[shares < 1]
    assert ((blended < 0.2) | (blended > 0.8)).float().mean() > 0.6
    assert blended.diff(dim=3).abs().flatten().quantile(0.98) < 0.25
