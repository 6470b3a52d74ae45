"""The training script, from data to a folder that loads: a tiny run, stopped, resumed, on one and two processes."""

import dataclasses
import json

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from tergan_hf import TerGanModel, TerGanPipeline
from tergan_hf.data.augmentation import AugmentationConfig
from tergan_hf.data.building import build_set
from tergan_hf.expressions import sampling
from tergan_hf.expressions.facs_combinations import BASIC_EXPRESSIONS
from tergan_hf.expressions.named import find_expressions
from tergan_hf.expressions.sampling import draw_basic
from tergan_hf.publishing.emissions import emissions_of
from tergan_hf.rendering import avatars
from tergan_hf.rendering.avatar_set import DESCRIPTION
from tergan_hf.training.arguments import DiscriminatorArguments, LossArguments, PairArguments
from tergan_hf.training.command_line import ABLATIONS, parse_arguments

from .conftest import ROOT
from .faces import loose_crops, photographed_people, repeatable_people
from .forked_commands import ForkedCommands
from .heads import make_head
from .loopback_hub import TOKEN, LoopbackHub
from .tiny_models import TINY


STAGE = {"steps": 2, "batch_size": 4, "ema_decay": 0.5, "learning_rate": 0.02}

LOSSES = {
    "identity_feature": 0.005, "expression_feature": 0.01, "identity_reconstruction": 0.01,
    "expression_reconstruction": 0, "identity_consistency": 0.01, "expression_consistency": 0.01, "adversarial": 0.003,
    "ground_truth": 1, "structure": 1, "flow": 3, "smoothness": 0.2, "blendshapes": 0.5, "relative_truth": True,
    "mouth_adversarial": 0.1, "mouth_features": 0.1,
}  # fmt: skip


def draw_labelled(random, count):
    """Each basic expression in full, then random ones."""
    named = zip(BASIC_EXPRESSIONS, find_expressions(BASIC_EXPRESSIONS))
    full = [dataclasses.replace(expression, label=label) for label, expression in named]
    return [*full, *(draw_basic(random) for _ in range(count - len(full)))]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    repeatable_people(folder / "avatars.parquet")
    photographed_people(folder / "people")
    for name in ("A", "B", "C"):
        make_head(folder / "heads" / f"{name}.glb")
    settings = avatars.AvatarSettings(people=3, sessions=1, expressions=9, expression_sets=1, size=48)
    with pytest.MonkeyPatch.context() as patch:  # the model has no label `other`
        patch.setattr(sampling, "draw_expressions", draw_labelled)
        build_set(avatars.plan_avatars(folder / "heads", settings, DESCRIPTION), folder / "rendered")
    loose_crops(folder / "fer.parquet")
    loose_crops(folder / "fer_validation.parquet", 6)
    config = {
        "preset": "photo",
        "model": {key: list(value) if isinstance(value, tuple) else value for key, value in TINY.items()},
        "sources": [
            {
                "name": "avatars", "path": "avatars.parquet", "align": False, "group_column": "heads",
                "group_separator": "+", "validation_fraction": 0.25,
            },
            {"name": "people", "path": "people", "validation_fraction": 0.3},
            {"name": "rendered", "path": "rendered", "group_column": "heads", "validation_fraction": 0},
            {"name": "fer", "path": "fer.parquet", "align": False, "validation_path": "fer_validation.parquet"},
        ],
        "logging_steps": 1, "evaluation_steps": 2, "checkpointing_steps": 1,
        "expression_stage": {**STAGE, "mixup": 0.3}, "identity_stage": STAGE, "generator_stage": STAGE,
        "freeze_expression_encoder": True, "freeze_batch_norm": True, "losses": LOSSES,
        "discriminators": {"channels": [4, 4, 8, 8], "hidden_size": 16, "branch_sizes": [8, 8]},
        "pairs": {"costly_interval": 2, "ground_truth_share": 0.85},
        "pair_augmentation": {"elastic_deformation": 0.02, "patch_mix": 0.5, "occlusion": 0.1},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def command(folder, output, *arguments) -> list[str]:
    """The words after `python` that train."""
    words = [str(ROOT / "train_accelerate.py"), "--config", str(folder / "config.yaml"), "--data_root", str(folder)]
    return [*words, "--output_dir", str(output), *arguments]


def set_words(*settings: str) -> list[str]:
    """The words that change some values of the configuration."""
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def hub():
    served = LoopbackHub()
    yield served
    served.close()


@pytest.fixture(scope="module")
def train(run_folder, hub):
    """A function that runs the trainer in a fork, perhaps by a launcher, which starts processes of its own: output
    folder, further arguments → how it ended."""
    environment = {
        "ACCELERATE_USE_CPU": "true", "HF_HOME": str(run_folder / "hf"), "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    forks = ForkedCommands("train_accelerate", environment=environment)

    def run(output, *arguments, launcher=(), token=""):
        return forks.run([*launcher, *command(run_folder, output, *arguments)], run_folder, HF_TOKEN=token)

    yield run
    forks.close()


@pytest.fixture(scope="module")
def finished(run_folder, train):
    launcher = ("-m", "accelerate.commands.launch", "--num_processes=1", "--cpu")
    done = train(run_folder / "out", launcher=launcher)
    assert done.returncode == 0, done.stderr[-3000:]
    return run_folder / "out"


def test_the_result_loads_and_works(finished, smiling, neutral):
    pipe = TerGanPipeline.from_pretrained(finished / "model", device="cpu")
    stage1 = load_file(finished / "stages" / "identity.safetensors")
    assert len(stage1["head.weight"]) == 2 + 5 + 3  # heads and people kept out do not count
    assert pipe.model.expression_prototypes.abs().sum() > 0
    assert pipe.model.classifier.weight.abs().sum() > 0
    assert pipe.transfer(smiling, neutral).size == neutral.size
    assert yaml.safe_load((finished / "model" / "training.yaml").read_text())["preset"] == "photo"


def test_the_expression_encoder_is_stage_ones_with_its_classifier_in_eight_bits(finished):
    stage1 = load_file(finished / "stages" / "expression.safetensors")
    model = TerGanModel.from_pretrained(finished / "model")
    temperature = stage1["head.weight"] / model.classifier.weight
    torch.testing.assert_close(temperature, temperature.mean().expand_as(temperature), rtol=0.01, atol=0)
    encoder = model.expression_encoder
    assert encoder.activation_ranges.any(1).all()
    layer, before = encoder.convolutions[3][0], stage1["encoder.convolutions.3.0.weight"]
    assert torch.equal(layer.weight, layer.weight.round())
    assert (layer.weight * layer.scale - before).abs().max() < 0.01 * before.abs().max()


def test_progress_can_be_watched(finished):
    assert list((finished / "logs").rglob("events.out.tfevents.*"))
    sheet = Image.open(finished / "samples" / "generator_stage-0000002.png")
    assert sheet.height == 4 * 32 and sheet.width >= 2 * 32


def trained_apart(first, second) -> dict[str, float]:
    """The networks' tensors in which the results of two runs differ, and by how much."""
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (first, second))
    apart = {name: float((tensor.float() - theirs[name].float()).abs().max()) for name, tensor in ours.items()}
    parts = ("expression_encoder", "identity_encoder", "decoder")
    return {name: gap for name, gap in apart.items() if gap > 1e-4 and name.startswith(parts)}


def test_resuming_reaches_what_an_unbroken_run_reaches(run_folder, finished, train):
    output = run_folder / "resumed"
    first = train(output, "--set", "generator_stage.steps=1")
    assert first.returncode == 0, first.stderr[-3000:]
    second = train(output, "--resume_from_checkpoint", "latest")
    assert second.returncode == 0, second.stderr[-3000:]
    assert "at step 1 from" in second.stderr
    # Steps are as large as the learning rate: a state that was not restored would show at once.
    assert trained_apart(finished, output) == {}
    # The hours of both parts, of every stage.
    compute = yaml.safe_load((output / "model" / "compute.yaml").read_text())
    seconds = json.loads((output / "hours.json").read_text())
    assert set(seconds) == {"expression_stage", "identity_stage", "generator_stage"} and min(seconds.values()) > 0
    assert compute["hours"] == pytest.approx(sum(seconds.values()) / 3600, abs=1e-4)
    assert compute["processes"] == 1 and emissions_of(compute).training_type == "pre-training"


def test_photos_on_the_device_change_nothing(run_folder, finished, train):
    output = run_folder / "on device"
    done = train(output, "--set", "photos_on_device=true")
    assert done.returncode == 0, done.stderr[-3000:]
    assert trained_apart(finished, output) == {}


def test_a_run_goes_on_from_saved_weights_and_publishes_what_comes_out(run_folder, hub, finished, train):
    stages = [f"{name}_stage.steps=0" for name in ("expression", "identity", "generator")]
    done = train(
        run_folder / "second run", "--set", f"pretrained={finished / 'model'}", *stages, "--push_to_hub",
        "--hub_model_id", "org/second", token=TOKEN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (load_file(folder / "model.safetensors") for folder in (
        finished / "model", run_folder / "second run" / "model",
    ))  # fmt: skip
    assert all(
        torch.equal(first[name], second[name]) for name in first if name.startswith(("expr", "identity", "dec"))
    )
    former, kept = (tensors["classifier.weight"].float().flatten() for tensors in (first, second))
    assert torch.cosine_similarity(former, kept, dim=0) == pytest.approx(1, abs=1e-3)  # another temperature at most
    files = hub.files("org/second", revision="second-run")  # the tag
    assert files["model.safetensors"] == (run_folder / "second run" / "model" / "model.safetensors").read_bytes()
    assert not [name for name in files if "discriminator" in name or "checkpoint" in name]


def test_other_labels_start_from_saved_weights_with_a_new_classifier(run_folder, finished, train):
    """The decoder stays, G_es learns on, classifier and prototypes are new."""
    mine = photographed_people(run_folder / "mine")
    lines = (mine / "metadata.jsonl").read_text().replace("happiness", "joy").replace("neutral", "calm")
    (mine / "metadata.jsonl").write_text(lines)
    settings = (
        f"pretrained={finished / 'model'}", "model.expressions=[calm, joy]",
        "sources=[{name: mine, path: mine, validation_fraction: 0.3}]",
        "identity_stage.steps=0", "generator_stage.steps=0",
    )  # fmt: skip
    output = run_folder / "other labels"
    done = train(output, *set_words(*settings))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "classifier and prototypes are new" in done.stderr
    pipe = TerGanPipeline.from_pretrained(output / "model", device="cpu")
    assert pipe.labels == ["calm", "joy"] and pipe.model.expression_prototypes.any(1).all()
    former, kept = (load_file(folder / "model" / "model.safetensors") for folder in (finished, output))
    # Stage 1 has trained G_es, so the layers that read f(e) are adapted to it.
    decoder = [name for name in former if name.startswith("decoder")]
    changed = {name.split(".")[-2] for name in decoder if not torch.equal(former[name], kept[name])}
    assert {"modulation"} <= changed <= {"modulation", "hidden", "output"}


def test_recognition_alone_needs_no_identities(run_folder, train):
    settings = (
        "sources=[{name: fer, path: fer.parquet, align: false, group_column: file_name, validation_fraction: 0.3}]",
        "identity_stage.steps=0", "generator_stage.steps=0",
    )  # fmt: skip
    output = run_folder / "recognition alone"
    done = train(output, *set_words(*settings))
    assert done.returncode == 0, done.stderr[-3000:]
    assert TerGanPipeline.from_pretrained(output / "model", device="cpu").model.expression_prototypes.any()
    done = train(run_folder / "no people", *set_words(settings[0]))
    assert done.returncode != 0 and "no source has the column `identity` for every photo" in done.stderr
    assert "Traceback" not in done.stderr and not (run_folder / "no people" / "stages").exists()


def test_publishing_is_checked_before_training(run_folder, train):
    done = train(run_folder / "unpublished", "--push_to_hub", "--hub_model_id", "me/it")
    assert done.returncode != 0 and "hf auth login" in done.stderr
    assert not (run_folder / "unpublished" / "stages").exists()


def test_two_processes_train_together(run_folder, train):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611")
    done = train(run_folder / "two", "--set", "fit_identity=true", launcher=launcher)
    assert done.returncode == 0, done.stderr[-3000:]
    TerGanModel.from_pretrained(run_folder / "two" / "model")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator_stage.stepz=3", "unknown key 'generator_stage.stepz'"),
        ("preset=huge", "preset must be one of paper, compact, photo, pretrained, not 'huge'"),
        ("model.predict_residul=true", "unknown key 'model.predict_residul'"),
        ("sources.9.weight=2", "there is no '9' to change"),
        ("model.image_size=16", "image_size 16 is too small"),
        ("sources=[]", "sources is empty"),
        ("sources=[{name: one, path: one, pair_weight: 0}]", "the pair_weight of every source is 0"),
        ("pair_augmentation.mode=wild", "not 'wild'"),
        ("split_seed=much", "split_seed must be a whole number"),
        ("generator_stage.learning_rate=fast", "fast"),
        ("seed", "KEY=VALUE"),
        ("identity_stage.mixup=0.3", "only expression_stage has it"),
        ("losses.adversarial_weight=1", "unknown key 'losses.adversarial_weight'"),
        ("losses.feature_layers=[1.0]", "feature_layers needs one weight per encoder block"),
        ("model.adversarial_weight=1", "unknown key 'model.adversarial_weight'"),
        ("report_to=tensorboard", "report_to must be a list of aim, clearml,"),
        ("report_to=[tensorbored]", "not ['tensorbored']"),
        ("mixed_precision=half", "mixed_precision must be one of auto, no, bf16, fp16, not 'half'"),
        ("generator_stage.ema_decay=1", "ema_decay must be at least 0 and less than 1, not 1"),
        ("generator_stage.schedule=cosin", "schedule must be one of constant, constant_with_warmup, linear, cosine,"),
        ("evaluation_steps=0", "evaluation_steps must be at least 1, not 0"),
        ("checkpoints_kept=0", "checkpoints_kept must be at least 1, not 0"),
        ("generator_stage.warmup_steps=5", "warmup_steps has no effect with the schedule constant"),
        ("pairs.costly_interval=0", "costly_interval must be at least 1, not 0"),
        ("expression_stage.betas=[much, 0.9]", "expression_stage.betas must be a number, not 'much'"),
        ("losses.feature_layers=1", "losses.feature_layers must be a list of numbers, not 1"),
        ("report_to=[dvclive]", "dvclive, which is not installed: pip install dvclive"),
    ],
)
def test_bad_settings_are_named(run_folder, capsys, override, message):
    with pytest.raises(SystemExit):
        parse_arguments(["--config", str(run_folder / "config.yaml"), "--set", override])
    assert message in capsys.readouterr().err


def test_overrides_have_the_last_word(run_folder):
    config = ["--config", str(run_folder / "config.yaml")]
    arguments = parse_arguments([*config, "--set", "pair_augmentation.flip=0", "--set", "sources.1.weight=2"])
    assert (arguments.pairs.ground_truth_share, arguments.pairs.costly_interval) == (0.85, 2)
    assert (arguments.pair_augmentation.flip, arguments.pair_augmentation.mode) == (0, "jitter")
    assert arguments.sources[1].weight == 2


def test_numbers_without_a_point_are_numbers(run_folder):
    config = ["--config", str(run_folder / "config.yaml"), "--set"]
    arguments = parse_arguments(
        [*config, "pair_augmentation.encoder_jitter=4e-1", "generator_stage.betas=[9e-1, 0.99]"]
    )
    assert arguments.pair_augmentation.encoder_jitter == 0.4 and arguments.generator_stage.betas == [0.9, 0.99]


def test_one_change_of_the_papers_augmentation_keeps_the_rest():
    config = ["--config", str(ROOT / "configs" / "paper.yaml"), "--set", "pair_augmentation.flip=0"]
    assert parse_arguments(config).pair_augmentation == dataclasses.replace(AugmentationConfig.paper(), flip=0.0)


def test_trackers_are_named_on_the_command_line(run_folder):
    config = ["--config", str(run_folder / "config.yaml")]
    assert parse_arguments(config).report_to == ["tensorboard"]
    assert parse_arguments([*config, "--report_to", ""]).report_to == []


def test_what_the_file_leaves_out_is_the_papers(tmp_path):
    (tmp_path / "short.yaml").write_text("sources: [{name: a, path: a}]")
    arguments = parse_arguments(["--config", str(tmp_path / "short.yaml")])
    assert arguments.losses == LossArguments() and arguments.discriminators == DiscriminatorArguments()
    assert (arguments.pair_augmentation.mode, arguments.pair_augmentation.gain) == ("paper", 0)
    assert arguments.pairs == PairArguments() and not arguments.freeze_expression_encoder


def test_each_loss_of_the_paper_can_be_left_out(run_folder):
    config = ["--config", str(run_folder / "config.yaml")]
    whole = parse_arguments(config).losses
    for loss, weights in ABLATIONS.items():
        changed = parse_arguments([*config, "--without", loss]).losses
        assert any(getattr(whole, name) for name in weights)
        assert whole == dataclasses.replace(changed, **{name: getattr(whole, name) for name in weights})
        assert not any(getattr(changed, name) for name in weights)


def test_a_second_run_does_not_mix_with_the_first(finished, train):
    again = train(finished)
    assert again.returncode != 0 and "holds an earlier run" in again.stderr
    other = train(finished, "--resume_from_checkpoint", "latest", "--set", "split_seed=9")
    assert other.returncode != 0 and "cannot resume: 'split_seed' is 9" in other.stderr


def test_missing_data_is_a_message(run_folder, train):
    done = train(run_folder / "nothing", "--set", "sources.1.path=gone")
    assert done.returncode != 0
    assert "train_accelerate.py: source 'people': no such folder" in done.stderr and "Traceback" not in done.stderr


def test_an_override_reaches_one_stage_only(run_folder):
    arguments = parse_arguments(["--config", str(run_folder / "config.yaml"), "--set", "generator_stage.steps=7"])
    assert (arguments.generator_stage.steps, arguments.expression_stage.steps) == (7, 2)


@pytest.mark.parametrize("name", ["photo", "compact", "paper", "finetune"])
def test_shipped_configurations_parse(name):
    arguments = parse_arguments(["--config", str(ROOT / "configs" / f"{name}.yaml")])
    assert arguments.model_config().feature_map_sizes[-1] == 2
