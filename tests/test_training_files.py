"""The files of a run: what happens to a loss that is not finite, damaged files, a second run, signals, a full disk."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from tergan_hf import InvalidInputError, TerGanConfig, TerGanModel
from tergan_hf.data.loading import DataSource
from tergan_hf.training import saving
from tergan_hf.training.arguments import (
    DiscriminatorArguments,
    LossArguments,
    OptimizerArguments,
    TrainingArguments,
)
from tergan_hf.training.checkpoints import (
    DiskFullError,
    claim_output_dir,
    find_checkpoints,
    forget_later_parts,
    list_checkpoints,
    step_of,
)
from tergan_hf.training.compute import note_seconds
from tergan_hf.training.interruption import TrainingInterrupted
from tergan_hf.training.loop import TrainingLoop
from tergan_hf.training.losses import NonFiniteLossError, require_finite
from tergan_hf.training.saving import save_model

from .tiny_models import TINY


STAGE = "generator_stage"


class Numbers(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return {"x": torch.tensor([float(index)])}


def arguments_for(folder, **changes) -> TrainingArguments:
    settings = {
        "checkpointing_steps": 1, "evaluation_steps": 100, STAGE: OptimizerArguments(steps=5, batch_size=2), **changes,
    }  # fmt: skip
    return TrainingArguments(sources=[DataSource("set", "folder")], output_dir=str(folder), **settings)


def run_loop(arguments, each_step=lambda step: None) -> TrainingLoop:
    """A stage that fits one weight; `each_step` is called with the number of steps done before each."""
    module = nn.Linear(1, 1)
    loop = TrainingLoop(Accelerator(cpu=True), arguments, STAGE, [module], averaged=module)

    def train_step(batch, generator):
        each_step(loop.step)
        loss = module(batch["x"]).square().mean()
        require_finite({"fit": loss})
        loop.accelerator.backward(loss)
        loop.optimizers[0].step()
        loop.optimizers[0].zero_grad()
        return {"fit": loss}

    loop.run(Numbers(), train_step)
    return loop


def test_the_average_soon_forgets_initial_weights(tmp_path):
    """With a decay of 0.999 from the first step on, a fifth of them would be left after 1,500 steps."""
    loop = run_loop(arguments_for(tmp_path))
    first, last = torch.zeros(3), torch.ones(3)
    averaged = [first.clone()]
    for loop.step in range(1, 100):
        loop._average_parameters(averaged, [last], torch.tensor(loop.step))
    assert (averaged[0] > 0.999).all()
    for loop.step in range(100_000, 100_100):
        loop._average_parameters(averaged, [first], torch.tensor(loop.step))
    assert torch.allclose(averaged[0], torch.tensor(0.999**100), atol=1e-3)


def steps_on_disk(arguments) -> list[int]:
    return [step_of(path) for path in list_checkpoints(arguments, STAGE)]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_term(tmp_path):
    arguments = arguments_for(tmp_path)
    with pytest.raises(NonFiniteLossError, match=r"generator_stage, step 4: the loss is not finite \(fit\)"):

        def poison(step):
            if step == 3:
                for module in (own for own in loops[0].modules if isinstance(own, nn.Linear)):
                    with torch.no_grad():
                        module.weight.fill_(float("nan"))

        loops = []
        original = TrainingLoop.__init__

        def remember(self, *args, **kwargs):
            original(self, *args, **kwargs)
            loops.append(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingLoop, "__init__", remember)
            run_loop(arguments, poison)
    assert steps_on_disk(arguments)[-1] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_before_it_ends_the_run(tmp_path, number):
    arguments = arguments_for(tmp_path, checkpointing_steps=100)
    before = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted, match="after step 3; add --resume_from_checkpoint latest"):
        run_loop(arguments, lambda step: os.kill(os.getpid(), number) if step == 2 else None)
    assert signal.getsignal(number) is before
    assert steps_on_disk(arguments) == [3]
    arguments.resume_from_checkpoint = "latest"
    assert run_loop(arguments).step == 5


def test_a_signal_to_all_processes_of_a_run_saves_first(tmp_path):
    arguments = arguments_for(tmp_path, checkpointing_steps=100, workers=1)

    def stop_all(step):
        if step == 1:
            processes = [os.getpid(), *(one.pid for one in multiprocessing.active_children())]
            subprocess.run(["kill", *map(str, processes)], check=True)  # not from the parent of the loader's process
            time.sleep(0.5)

    with pytest.raises(TrainingInterrupted, match="after step 2"):
        run_loop(arguments, stop_all)
    assert steps_on_disk(arguments) == [2] and not multiprocessing.active_children()


def test_settings_that_changed_hold_after_resuming(tmp_path, monkeypatch):
    first = OptimizerArguments(steps=5, batch_size=2, learning_rate=0.1, schedule="linear")
    with pytest.raises(TrainingInterrupted):
        run_loop(
            arguments_for(tmp_path, **{STAGE: first}), lambda step: os.kill(os.getpid(), signal.SIGTERM) if step else 0
        )
    second = replace(first, learning_rate=0.01, weight_decay=0.3)
    rates, next_rate = [], TrainingLoop._step_schedulers

    def note_rate(loop):
        rates.append(loop.optimizers[0].param_groups[0]["lr"])
        next_rate(loop)

    monkeypatch.setattr(TrainingLoop, "_step_schedulers", note_rate)
    loop = run_loop(arguments_for(tmp_path, **{STAGE: second}, resume_from_checkpoint="latest"))
    assert rates == pytest.approx([0.006, 0.004, 0.002])  # after two of five steps
    assert loop.optimizers[0].param_groups[0]["weight_decay"] == 0.3


def test_resuming_in_another_precision_is_not_called_damage(tmp_path, monkeypatch):
    arguments = arguments_for(tmp_path)
    run_loop(arguments)
    original = Accelerator.__init__

    def with_scaler(self, **options):
        original(self, **options)
        self.scaler = torch.amp.GradScaler("cpu")

    monkeypatch.setattr(Accelerator, "__init__", with_scaler)
    arguments.resume_from_checkpoint = "latest"
    with pytest.raises(InvalidInputError, match="was not written in fp16: resume with the mixed_precision"):
        run_loop(arguments)


def test_seconds_in_a_damaged_file_are_not_known(tmp_path):
    arguments = arguments_for(tmp_path)
    (tmp_path / "hours.json").write_text('{"expression_st')
    note_seconds(arguments, STAGE, 5.0)
    assert json.loads((tmp_path / "hours.json").read_text()) == {STAGE: 5.0}


def test_weights_and_biases_gets_steps_that_rise_over_the_stages(tmp_path):
    arguments = arguments_for(tmp_path, expression_stage=OptimizerArguments(steps=7))
    arguments.identity_stage.steps = 3
    logged = []
    accelerator = Accelerator(cpu=True)
    accelerator.trackers = [
        SimpleNamespace(name=name, log=lambda values, step, name=name: logged.append((name, values, step)))
        for name in ("tensorboard", "wandb")
    ]
    loop = TrainingLoop(accelerator, arguments, STAGE, [nn.Linear(1, 1)])
    loop.step = 2
    loop.log({"total": 1.0})
    assert logged == [("tensorboard", {f"{STAGE}/total": 1.0}, 2), ("wandb", {f"{STAGE}/total": 1.0}, 12)]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    arguments = arguments_for(tmp_path)
    run_loop(arguments)
    newest, _ = list_checkpoints(arguments, STAGE)[::-1]
    weights = next(newest.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:40])
    arguments.resume_from_checkpoint, began = "latest", []
    run_loop(arguments, began.append)
    assert began == [4] and "is damaged" in caplog.text and newest.name in caplog.text
    for folder in list_checkpoints(arguments, STAGE):
        next(folder.glob("*.safetensors")).write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"is damaged .* none before it"):
        run_loop(arguments)


def test_going_back_to_an_earlier_checkpoint_sets_the_later_ones_aside(tmp_path, caplog):
    arguments = arguments_for(tmp_path, checkpoints_kept=3)
    run_loop(arguments)
    assert steps_on_disk(arguments) == [3, 4, 5]
    first = list_checkpoints(arguments, STAGE)[0]
    arguments.resume_from_checkpoint = str(first)

    def stop(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(2):
        with pytest.raises(TrainingInterrupted, match="after step 4"):
            run_loop(arguments, stop)
        assert steps_on_disk(arguments) == [3, 4] and "-0000005.aside" in caplog.text
    arguments.resume_from_checkpoint, began = "latest", []
    run_loop(arguments, began.append)
    assert began == [4] and steps_on_disk(arguments) == [3, 4, 5]
    assert sorted(path.name[-13:] for path in (tmp_path / "checkpoints").glob("*.aside")) == [
        "0000004.aside", "0000005.aside",
    ]  # fmt: skip


def test_a_branch_of_stage_1_does_not_go_on_with_the_former_stage_2(tmp_path, caplog):
    arguments = arguments_for(tmp_path)
    run_loop(arguments)
    finished = tmp_path / "stages" / "expression.safetensors"
    finished.parent.mkdir()
    finished.write_bytes(b"of the former branch")
    forget_later_parts(arguments, "expression_stage", finished)
    arguments.resume_from_checkpoint = "latest"
    assert not finished.exists() and find_checkpoints(arguments, STAGE) == []
    assert "generator_stage-0000005 belongs to another expression stage" in caplog.text
    assert len(list((tmp_path / "checkpoints").glob("*.aside"))) == arguments.checkpoints_kept


def test_a_part_of_stage_1_that_is_done_keeps_its_settings(tmp_path):
    former = OptimizerArguments(steps=5)
    claim_output_dir(arguments_for(tmp_path, expression_stage=former)).release()
    longer = arguments_for(tmp_path, expression_stage=OptimizerArguments(steps=9), resume_from_checkpoint="latest")
    claim_output_dir(longer).release()  # not done yet
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "expression.safetensors").write_bytes(b"")
    claim_output_dir(longer).release()
    again = arguments_for(tmp_path, expression_stage=former, resume_from_checkpoint="latest")
    with pytest.raises(InvalidInputError, match=r"expression_stage.steps is 5, but .* was trained with 9"):
        claim_output_dir(again)
    other = arguments_for(tmp_path, expression_stage=longer.expression_stage, resume_from_checkpoint="latest")
    other.losses.original_label = 0.3
    with pytest.raises(InvalidInputError, match=r"losses.original_label is 0.3, but .* was trained with 0.0"):
        claim_output_dir(other)
    again.resume_from_checkpoint = str(tmp_path / "checkpoints" / "expression_stage-0000003")
    claim_output_dir(again).release()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freeze_expression_encoder": True}, "freeze_expression_encoder is True, but .* have False"),
        ({"discriminators": DiscriminatorArguments(hidden_size=8)}, "discriminators is"),
        ({STAGE: OptimizerArguments(steps=5, batch_size=2, optimizer="muon")}, "generator_stage.optimizer is muon"),
        ({"losses": LossArguments(mouth_features=0.1)}, "one of them has a discriminator of mouths"),
    ],
)
def test_stage_2_goes_on_with_its_networks_and_optimisers_only(tmp_path, change, message):
    claim_output_dir(arguments_for(tmp_path)).release()
    changed = arguments_for(tmp_path, resume_from_checkpoint="latest", **change)
    claim_output_dir(changed).release()  # stage 2 has not begun
    claim_output_dir(arguments_for(tmp_path, resume_from_checkpoint="latest")).release()
    folder = tmp_path / "checkpoints" / f"{STAGE}-0000003"
    folder.mkdir(parents=True)
    (folder / "complete.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=f"cannot resume: .*{message}"):
        claim_output_dir(changed)


def test_a_full_disk_is_a_sentence_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    arguments = arguments_for(tmp_path)
    original = Accelerator.save_state

    def save_state(self, folder):
        original(self, folder)
        if folder.endswith("3"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Accelerator, "save_state", save_state)
    with pytest.raises(DiskFullError, match=r"no space left for .*: free some"):
        run_loop(arguments)
    assert steps_on_disk(arguments) == [1, 2]
    assert not (tmp_path / "checkpoints" / f"{STAGE}-0000003").exists()


def test_two_runs_cannot_share_a_folder(tmp_path):
    lock = claim_output_dir(arguments_for(tmp_path))
    refused = []

    def second():
        try:
            claim_output_dir(arguments_for(tmp_path))
        except InvalidInputError as error:
            refused.append(str(error))

    other = threading.Thread(target=second)
    other.start()
    other.join()
    assert "another run is working in" in refused[0]
    lock.release()
    claim_output_dir(arguments_for(tmp_path)).release()


@pytest.mark.parametrize("content", ["", "preset: photo\nmod", "[1, 2", "\x00\x01"])
def test_damaged_arguments_are_named(tmp_path, content):
    claim_output_dir(arguments_for(tmp_path)).release()
    (tmp_path / "arguments.yaml").write_text(content)
    with pytest.raises(InvalidInputError, match=r"arguments\.yaml is empty or damaged"):
        claim_output_dir(arguments_for(tmp_path, resume_from_checkpoint="latest"))


def test_a_model_is_written_aside_and_replaces_the_one_before(tmp_path, monkeypatch):
    model, arguments = TerGanModel(TerGanConfig(**TINY)), arguments_for(tmp_path)
    save_model(model, arguments, {}, tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    with torch.no_grad():
        model.classifier.bias.fill_(1.0)
    with monkeypatch.context() as patch:
        patch.setattr(saving.yaml, "safe_dump", lambda *_, **__: pytest.fail("cut off here"))
        with pytest.raises(pytest.fail.Exception):
            save_model(model, arguments, {}, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    save_model(model, arguments, {}, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() != before
    assert yaml.safe_load((tmp_path / "model" / "training.yaml").read_text())["preset"] == "paper"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_record_of_a_run_names_no_folder_of_its_machine(tmp_path):
    arguments = arguments_for(tmp_path)
    arguments.sources = [
        DataSource("clients", "/home/me/london", validation_path="/home/me/other", validation_groups="/tmp/names.txt"),
        DataSource("faces", "hub://org/faces", validation_path="sets/faces"),
    ]  # fmt: skip
    save_model(TerGanModel(TerGanConfig(**TINY)), arguments, {}, tmp_path / "model")
    first, second = yaml.safe_load((tmp_path / "model" / "training.yaml").read_text())["sources"]
    assert (first["path"], first["validation_path"], first["validation_groups"]) == ("london", "other", "names.txt")
    assert (second["path"], second["validation_path"]) == ("hub://org/faces", "sets/faces")
