"""The loop that every stage shares: batches, progress, averaged weights, logs, checkpoints, resuming."""

import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import get_scheduler

from ..model.errors_tergan import InvalidInputError
from .arguments import OptimizerArguments, TrainingArguments
from .checkpoints import checkpoint_root, find_checkpoints, list_checkpoints, removed_on_error, set_aside, step_of
from .compute import STAGES, note_seconds
from .interruption import StopRequest, TrainingInterrupted, survive_one_sigterm
from .losses import NonFiniteLossError
from .optimizers import build_optimizer


logger = logging.getLogger(__name__)


class TrainingLoop:
    """
    One stage of training.

    Args:
        accelerator: with trackers started.
        arguments: the whole run.
        name: of the stage in `TrainingArguments`; it also names checkpoints and scalars.
        modules: the modules to train, each with an optimiser of its own. `self.modules` and `self.optimizers` hold
            them as the accelerator prepared them.
        module_settings: by number of a module, how its optimiser differs from the stage's.
        averaged: an unwrapped module; `self.average` keeps an exponential moving average of it.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        arguments: TrainingArguments,
        name: str,
        modules: list[nn.Module],
        averaged: nn.Module | None = None,
        module_settings: dict[int, OptimizerArguments] | None = None,
    ):
        self.accelerator, self.arguments, self.name = accelerator, arguments, name
        self.settings: OptimizerArguments = getattr(arguments, name)
        self.step = 0
        self.seconds: float | None = 0.0  # `None` after a checkpoint that does not know it
        own = module_settings or {}
        optimizers = [build_optimizer(module, own.get(number, self.settings)) for number, module in enumerate(modules)]
        self.schedulers = [
            get_scheduler(
                self.settings.schedule, optimizer, num_warmup_steps=self.settings.warmup_steps,
                num_training_steps=self.settings.steps,
            )
            for optimizer in optimizers
        ]  # fmt: skip
        self._settings_of_groups = [
            [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
            for optimizer in optimizers
        ]
        prepared = accelerator.prepare(*modules, *optimizers)
        self.modules, self.optimizers = list(prepared[: len(modules)]), list(prepared[len(modules) :])
        self.average: AveragedModel | None = None
        if averaged is not None:
            self.source_of_average = averaged
            self.average = AveragedModel(averaged, multi_avg_fn=self._average_parameters, use_buffers=True)
            accelerator.register_for_checkpointing(self.average)
        accelerator.register_for_checkpointing(self, *self.schedulers)

    def _average_parameters(self, averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor):
        """One update of the moving average. Its decay rises with the steps, so that initial weights are soon
        forgotten."""
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    @property
    def averaged_module(self) -> nn.Module:
        """The moving average of `averaged`, which must have been given."""
        assert self.average is not None
        return self.average.module

    def state_dict(self) -> dict:
        """The state that a checkpoint needs beside modules and optimisers."""
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict):
        """The inverse of `state_dict`."""
        self.step, self.seconds = state["step"], state.get("seconds")

    def run(
        self,
        dataset: Dataset,
        train_step: Callable[[dict, torch.Generator], dict[str, torch.Tensor]],
        evaluate: Callable[[int], dict[str, float]] | None = None,
    ):
        """
        Train for `settings.steps`, from a checkpoint of this stage if the run is resumed.

        Args:
            dataset: long enough for all steps of all processes, see `dataset_length`.
            train_step: does one step of every optimiser and returns what to log. Its generator is seeded by the step,
                so that a resumed run draws the same numbers as an unbroken one.
            evaluate: called with the step every `evaluation_steps` and at the end, on the main process; returns what
                to log.

        Raises:
            TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was written.
            NonFiniteLossError: the message names the step and the terms; the weights are those before the step.
        """
        accelerator, arguments = self.accelerator, self.arguments
        self._resume()
        self._set_newer_checkpoints_aside()
        progress = tqdm(
            total=self.settings.steps, initial=self.step, desc=self.name.replace("_", " "),
            disable=not accelerator.is_main_process, dynamic_ncols=True, mininterval=5,
        )  # fmt: skip
        generator = torch.Generator()
        running: dict[str, list[torch.Tensor]] = {}
        clock = time.monotonic()
        # Closed, so that no process of the loader outlives the loop.
        with StopRequest(accelerator) as stop, progress, closing(iter(self._batches(dataset))) as batches:
            for batch in batches:
                if self.step >= self.settings.steps:
                    break
                generator.manual_seed(
                    (arguments.seed * 1_000_003 + self.step) * accelerator.num_processes + accelerator.process_index
                )
                try:
                    terms = train_step(batch, generator)
                except NonFiniteLossError as error:
                    raise NonFiniteLossError(f"{self.name}, step {self.step + 1}: {error}") from error
                for key, value in terms.items():
                    running.setdefault(key, []).append(value.detach().float())
                self._step_schedulers()
                if self.average is not None:
                    self.average.update_parameters(self.source_of_average)
                self.step += 1
                now = time.monotonic()
                if self.seconds is not None:
                    self.seconds += now - clock
                clock = now
                progress.update()
                if self.step % arguments.logging_steps == 0:
                    means = {key: float(torch.stack(values).mean()) for key, values in running.items()}
                    means["learning_rate"] = self.schedulers[0].get_last_lr()[0]
                    self.log(means)
                    progress.set_postfix({key: f"{value:.3g}" for key, value in list(means.items())[:4]})
                    running = {}
                finished = self.step >= self.settings.steps
                if evaluate is not None and (finished or self.step % arguments.evaluation_steps == 0):
                    self._evaluate(evaluate)
                stopping = bool(stop) and not finished
                if finished or stopping or self.step % arguments.checkpointing_steps == 0:
                    self.save()
                if stopping:
                    raise TrainingInterrupted(
                        f"stopped in {self.name} after step {self.step}; add --resume_from_checkpoint latest to go on"
                    )
        if accelerator.is_main_process:
            note_seconds(arguments, self.name, self.seconds)

    def _step_schedulers(self):
        begins = self.step == 0
        with warnings.catch_warnings() if begins else nullcontext():
            if begins:  # a discriminator may begin to learn after its learning rate begins to change
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for scheduler in self.schedulers:
                scheduler.step()

    def _resume(self):
        """Load the newest checkpoint that can be read."""
        checkpoints = find_checkpoints(self.arguments, self.name)
        for checkpoint in checkpoints:
            if self.accelerator.scaler is not None and not (checkpoint / "scaler.pt").is_file():
                raise InvalidInputError(
                    f"{checkpoint} was not written in fp16: resume with the mixed_precision that the run began with"
                )
            try:
                self.accelerator.load_state(str(checkpoint))
            except Exception as error:  # torch, pickle and safetensors each have their own
                if checkpoint is checkpoints[-1]:
                    raise InvalidInputError(
                        f"{checkpoint} is damaged ({error}), and there is none before it"
                    ) from error
                logger.warning("%s is damaged (%s); trying the checkpoint before", checkpoint, error)
                continue
            self._apply_settings()
            logger.info("Resumed %s at step %d from %s", self.name, self.step, checkpoint)
            return

    def _apply_settings(self):
        """Give the optimisers, which a checkpoint has set, the settings of this run. They may have changed."""
        for optimizer, scheduler, groups in zip(self.optimizers, self.schedulers, self._settings_of_groups):
            scheduler.base_lrs = [settings["initial_lr"] for settings in groups]
            for group, settings, factor in zip(optimizer.param_groups, groups, scheduler.lr_lambdas):
                group.update(settings, lr=settings["initial_lr"] * factor(scheduler.last_epoch))

    def _set_newer_checkpoints_aside(self):
        """Rename the checkpoints of later steps, which belong to another branch of the run: `latest` would take them,
        and they would push out new ones."""
        if self.accelerator.is_main_process:
            for folder in list_checkpoints(self.arguments, self.name):
                if step_of(folder) > self.step:
                    aside = set_aside(folder)
                    logger.warning("%s is of a later step than the run goes on from: it is now %s", folder, aside.name)
        self.accelerator.wait_for_everyone()

    def _batches(self, dataset: Dataset):
        workers = self.arguments.workers
        if workers < 0:
            workers = 0 if self.accelerator.device.type == "cpu" else min(8, os.cpu_count() or 1)
        loader = DataLoader(
            dataset, self.settings.batch_size, num_workers=workers, drop_last=True, worker_init_fn=survive_one_sigterm
        )
        loader = self.accelerator.prepare(loader)
        return self.accelerator.skip_first_batches(loader, self.step) if self.step else loader

    def _evaluate(self, evaluate: Callable[[int], dict[str, float]]):
        if self.accelerator.is_main_process:
            measured = evaluate(self.step)
            self.log(measured)
            tqdm.write(f"{self.name} step {self.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in measured.items()))
        self.accelerator.wait_for_everyone()

    def log(self, values: dict[str, float]):
        """Send scalars to every tracker, under this stage's name."""
        named = {f"{self.name}/{key}": value for key, value in values.items()}
        before = sum(getattr(self.arguments, stage).steps for stage in STAGES[: STAGES.index(self.name)])
        for tracker in self.accelerator.trackers:  # of the main process
            # Weights & Biases drops what comes with an earlier step than the last one.
            tracker.log(named, step=self.step + (before if tracker.name == "wandb" else 0))

    def save(self):
        """
        Write a checkpoint and delete the oldest ones of this stage beyond `checkpoints_kept`.

        Raises:
            DiskFullError: there is no space left for it.
        """
        folder = checkpoint_root(self.arguments) / f"{self.name}-{self.step:07d}"
        if self.accelerator.is_main_process:
            # A checkpoint that is cut off while it is written again must not pass for complete.
            (folder / "complete.json").unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        with removed_on_error(folder):
            self.accelerator.save_state(str(folder))
            if self.accelerator.is_main_process:
                (folder / "complete.json").write_text(json.dumps({"stage": self.name, "step": self.step}))
        if self.accelerator.is_main_process:
            for old in list_checkpoints(self.arguments, self.name)[: -self.arguments.checkpoints_kept]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def close(self):
        """Release this stage's modules and optimisers, so that the next stage's checkpoints do not hold them."""
        self.accelerator._custom_objects.clear()
        self.accelerator.free_memory()


def dataset_length(accelerator: Accelerator, settings: OptimizerArguments) -> int:
    """The number of items that `settings.steps` steps take on all processes together."""
    return settings.steps * settings.batch_size * accelerator.num_processes
