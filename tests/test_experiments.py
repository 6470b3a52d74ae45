"""Experiments of many training runs: Table 1 by folds, and the ablation. Tiny networks, trained in this process."""

import importlib
import json
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from tergan_hf.model.errors_tergan import MissingFileError

from .conftest import ROOT
from .faces import posed_people
from .tiny_models import TINY


STAGE = {"steps": 2, "batch_size": 4, "ema_decay": 0, "learning_rate": 0.01}
MODULES = ("folds", "ablation", "figures", "training_runs", "embedding_scores", "train_accelerate")


@pytest.fixture(scope="module")
def experiments():
    """The modules of the experiments, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.syspath_prepend(str(ROOT))
        patch.setenv("ACCELERATE_USE_CPU", "true")
        patch.setattr(torch, "set_num_threads", lambda count: None)  # the trainer takes all cores
        yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A folder with a set like Oulu-CASIA and a YAML file with the paper's networks and objective, a few channels."""
    folder = tmp_path_factory.mktemp("experiments")
    posed_people(folder / "posed.parquet")
    config = {
        "preset": "paper", "model": {key: list(value) if isinstance(value, tuple) else value for key, value in
                                     TINY.items() if key != "patch_size"},
        "sources": [{"name": "posed", "path": "posed.parquet", "align": False}], "report_to": [],
        "expression_stage": STAGE, "identity_stage": STAGE, "generator_stage": {**STAGE, "steps": 3, "batch_size": 8},
        "discriminators": {"channels": [4, 4, 8, 8], "hidden_size": 16, "branch_sizes": [8, 8]},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


class InProcess:
    """Start training runs in this process. `fails` is the number of a run to refuse, as if it had been stopped."""

    def __init__(self, trainer, fails: int | None = None):
        self.trainer, self.fails, self.commands = trainer, fails, []

    def __call__(self, command: list[str]) -> int:
        self.commands.append(command)
        if len(self.commands) - 1 == self.fails:
            return 1
        self.trainer.main(command[2:])
        return 0


def options(people, output, *more):
    config = ["--config", people / "config.yaml", "--data_root", people, "--output", output]
    return [*map(str, config), *more]


@pytest.fixture(scope="module")
def table(experiments, people):
    """Two folds, stopped before the control of the second and then continued."""
    arguments = options(people, people / "table", "--folds", "2", "--keep_checkpoints")
    stopped, continued = (InProcess(experiments["train_accelerate"], fails) for fails in (3, None))
    with pytest.raises(SystemExit, match=r"fold_1/control ended with status 1.*repeat the command to go on"):
        experiments["folds"].main(arguments, stopped)
    experiments["folds"].main(arguments, continued)
    return people / "table", stopped.commands, continued.commands


def test_every_row_of_the_table_is_measured_on_people_kept_out(experiments, table):
    folder, _, _ = table
    results = json.loads((folder / "results.json").read_text())
    assert list(results["rows"]) == list(experiments["folds"].ROWS)
    assert (results["photos"], results["people"], results["folds"]) == (48, 4, [0, 1])
    for row in results["rows"].values():
        assert len(row["values"]) == 2 and row["mean"] == pytest.approx(np.mean(row["values"]))
        assert row["deviation"] == pytest.approx(np.std(row["values"], ddof=1))
        assert np.array(row["confusion"]).sum() == 48
    kept_out = [
        set(yaml.safe_load((folder / f"fold_{fold}" / "ter-gan" / "model" / "training.yaml").read_text())["kept_out"]
            ["posed"])
        for fold in (0, 1)
    ]  # fmt: skip
    assert len(kept_out[0] | kept_out[1]) == 4 and not kept_out[0] & kept_out[1]
    text = (folder / "results.md").read_text()
    assert "CNN(baseline)" not in text and "CNN baseline, the paper's Table 1 | 73.14" in text and "89.65" in text
    for picture in ("confusion.png", "tsne_kept_out.png", "tsne_trained_on.png"):
        assert min(Image.open(folder / picture).size) > 300


def test_what_is_done_is_not_done_again(experiments, people, table):
    _, stopped, continued = table
    assert len(stopped) == 4 and len(continued) == 1 and "fold_1/control" in " ".join(continued[0])
    again = InProcess(experiments["train_accelerate"])
    experiments["folds"].main(options(people, people / "table", "--folds", "2", "--keep_checkpoints"), again)
    assert not again.commands


def test_each_process_sees_photos_of_its_own(experiments, people, table):
    folder = people / "two_processes"
    shutil.copytree(table[0], folder)
    for record in folder.glob("fold_*/rows.json"):
        measured = json.loads(record.read_text())
        assert measured["processes"] == 1
        record.write_text(json.dumps(measured | {"processes": 2}))
    experiments["folds"].main(options(people, folder, "--folds", "2"), InProcess(experiments["train_accelerate"]))
    one, two = (json.loads((path / "results.json").read_text())["photos_seen"] for path in (table[0], folder))
    assert one == {"CNN baseline": 8, "TER-GAN": 32, "control": 32}
    assert two == {name: 2 * count for name, count in one.items()}


def test_the_control_is_stage_1_continued_for_as_many_photos(experiments, people, table):
    folder = table[0] / "fold_0"
    first, control = (load_file(folder / run / "stages" / "expression.safetensors") for run in ("ter-gan", "control"))
    assert any(not torch.equal(value, control[name]) for name, value in first.items())
    steps = yaml.safe_load((folder / "control" / "arguments.yaml").read_text())["expression_stage"]["steps"]
    assert (steps - 2) * 4 == 3 * 8
    # The same as if stage 1 had never stopped.
    overrides = [f"expression_stage.steps={steps}", "identity_stage.steps=0", "generator_stage.steps=0"]
    trainer = experiments["training_runs"].Trainer(
        str(people / "config.yaml"), str(people), start=InProcess(experiments["train_accelerate"])
    )
    trainer.run(people / "unbroken", [*overrides, *experiments["training_runs"].fold_overrides(0, 2, 0)])
    unbroken = load_file(people / "unbroken" / "stages" / "expression.safetensors")
    assert all(torch.equal(value, unbroken[name]) for name, value in control.items())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--folds", "9"], "has 4 different values of 'identity', too few for 9 folds: choose --folds 4"),
        (["--folds", "2", "--only", "2"], "--only from 0 to 1"),
        (["--folds", "2", "--source", "mine"], "--source mine: the configuration has posed"),
        (["--folds", "2", "--set", "freeze_expression_encoder=true"], "stage 2 does not train G_es"),
        (["--folds", "3"], "was begun with other settings .folds.: repeat them, or choose another --output"),
    ],
)
def test_wrong_settings_are_named_before_training(experiments, people, table, more, message):
    with pytest.raises(SystemExit, match=message):
        experiments["folds"].main(options(people, table[0], *more), InProcess(experiments["train_accelerate"]))


def test_a_later_run_goes_on_from_d_d_es_and_d_et_and_keeps_the_frozen_encoders(experiments, people, table):
    """BU-4DFE → Oulu-CASIA: other people, so the layer of their identities is new; stage 1 is skipped."""
    first = table[0] / "fold_0" / "ter-gan"
    posed_people(people / "others.parquet", people=5)
    trainer = experiments["training_runs"].Trainer(
        str(people / "config.yaml"), str(people), start=InProcess(experiments["train_accelerate"])
    )
    second = trainer.run(people / "second", [
        f"pretrained_run={first}", "sources.0.path=others.parquet", "expression_stage.steps=0",
        "identity_stage.steps=0", "generator_stage.steps=1", "generator_stage.learning_rate=0",
    ])  # fmt: skip
    before, after = (load_file(run / "stages" / "discriminators.safetensors") for run in (first, second))
    new = {"discriminator.identity_branch.4.weight", "discriminator.identity_branch.4.bias"}
    apart = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {name.split(".")[0] for name in before} == {
        "discriminator", "expression_discriminator", "identity_discriminator", "frozen_expression", "frozen_identity",
    }  # fmt: skip
    assert apart == new
    for label in ("expression", "identity"):
        stage_1 = load_file(first / "stages" / f"{label}.safetensors")
        trained = load_file(first / "model" / "model.safetensors")
        layer = "convolutions.0.0.weight"
        assert torch.equal(after[f"frozen_{label}.{layer}"], stage_1[f"encoder.{layer}"])
        assert (after[f"frozen_{label}.{layer}"] - trained[f"{label}_encoder.{layer}"].float()).abs().max() > 1e-3


def test_a_run_without_saved_discriminators_is_named_before_training(experiments, people, table):
    (people / "empty").mkdir()
    model = table[0] / "fold_0" / "ter-gan" / "model"
    with pytest.raises(MissingFileError, match=r"pretrained_run: .*empty has no stages/discriminators\.safetensors"):
        experiments["train_accelerate"].main(
            options(people, people / "third", "--set", f"pretrained_run={people / 'empty'}", f"pretrained={model}")
        )


def test_the_ablation_leaves_out_one_loss_at_a_time_from_the_same_stage_1(experiments, people):
    output, started = people / "ablation", InProcess(experiments["train_accelerate"])
    arguments = options(people, output, "--folds", "2", "--seeds", "1", "--losses", "adversarial")
    experiments["ablation"].main(arguments, started)
    results = json.loads((output / "results.json").read_text())
    assert list(results["runs"]) == ["before stage 2", "all losses", "without adversarial"]
    columns = set(experiments["ablation"].COLUMNS)
    for name, expected in (
        ("before stage 2", {name for name in columns if not name.startswith("gain")}),
        ("all losses", columns),
        ("without adversarial", columns),
    ):
        measured = results["runs"][name]
        assert set(measured) == expected
        assert all(len(column["values"]) == 1 and np.isfinite(column["mean"]) for column in measured.values())
    whole, without = (output / "seed_1" / run for run in ("all", "without_adversarial"))
    assert (whole / "stages" / "expression.safetensors").read_bytes() == (
        without / "stages" / "expression.safetensors"
    ).read_bytes()
    weights = [yaml.safe_load((run / "arguments.yaml").read_text())["losses"] for run in (whole, without)]
    assert {name for name in weights[0] if weights[0][name] != weights[1][name]} == {"adversarial"}
    assert not (whole / "checkpoints").exists() and len(started.commands) == 2
    again = InProcess(experiments["train_accelerate"])
    experiments["ablation"].main(arguments, again)
    assert not again.commands and "without adversarial" in (output / "results.md").read_text()


def test_deviations_are_over_seeds_and_changes_are_seed_by_seed(experiments):
    ablation = experiments["ablation"]
    by_seed = {
        seed: {ablation.BEFORE: {"recognition": 0.7}, ablation.ALL: {"recognition": 0.8 + seed / 10},
               "without adversarial": {"recognition": 0.75 + seed / 10}}
        for seed in (0, 1)
    }  # fmt: skip
    runs = ablation.summarize_seeds(by_seed)
    assert runs[ablation.ALL]["recognition"]["mean"] == pytest.approx(0.85)
    assert runs[ablation.ALL]["recognition"]["deviation"] == pytest.approx(0.1 / 2**0.5)
    change = ablation.changes(runs)["without adversarial"]
    assert (change["mean"], change["deviation"]) == (pytest.approx(-0.05), pytest.approx(0, abs=1e-9))


def test_figures_3_and_4_of_a_set_without_neutral_and_expression_ids(experiments, people, table):
    arguments = ["--model", table[0] / "fold_0" / "ter-gan" / "model", "--data_root", people, "--output",
                 people / "figures", "--device", "cpu"]  # fmt: skip
    experiments["figures"].main([str(argument) for argument in arguments])
    for side in ("kept_out", "trained_on"):  # two people each
        transfer, editing = (Image.open(people / "figures" / f"figure_{number}_{side}.png") for number in (3, 4))
        assert transfer.width == 7 * 150 and transfer.height > 2 * 150
        assert editing.width == 6 * 150 and editing.height > 4 * 150
