"""The loop every stage shares: batches, progress, averaging of weights, logs, checkpoints, resuming."""

import json
import logging
import os
import shutil
from collections.abc import Callable

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import get_scheduler

from .arguments import OptimizerArguments, TrainingArguments
from .checkpoints import checkpoint_root, find_checkpoint, list_checkpoints
from .optimizers import build_optimizer


logger = logging.getLogger(__name__)


class TrainingLoop:
    """
    One stage of training.

    Args:
        accelerator: with trackers started.
        arguments: the whole run.
        name: which of `TrainingArguments`' stages this is; names the checkpoints and scalars.
        modules: what is trained, with an optimiser each; prepared for the accelerator in `self.modules` and
            `self.optimizers`, in this order.
        averaged: an unwrapped module of which an exponential moving average is kept in `self.average`.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        arguments: TrainingArguments,
        name: str,
        modules: list[nn.Module],
        averaged: nn.Module | None = None,
    ):
        self.accelerator, self.arguments, self.name = accelerator, arguments, name
        self.settings: OptimizerArguments = getattr(arguments, name)
        self.step = 0
        optimizers = [build_optimizer(module, self.settings) for module in modules]
        self.schedulers = [
            get_scheduler(
                self.settings.schedule, optimizer, num_warmup_steps=self.settings.warmup_steps,
                num_training_steps=self.settings.steps,
            )
            for optimizer in optimizers
        ]  # fmt: skip
        prepared = accelerator.prepare(*modules, *optimizers)
        self.modules, self.optimizers = list(prepared[: len(modules)]), list(prepared[len(modules) :])
        self.average = None
        if averaged is not None:
            self.source_of_average = averaged
            self.average = AveragedModel(
                averaged, multi_avg_fn=get_ema_multi_avg_fn(self.settings.ema_decay), use_buffers=True
            )
            accelerator.register_for_checkpointing(self.average)
        accelerator.register_for_checkpointing(self, *self.schedulers)

    def state_dict(self) -> dict:
        """What a checkpoint needs beside modules and optimisers."""
        return {"step": self.step}

    def load_state_dict(self, state: dict):
        """The inverse of `state_dict`."""
        self.step = state["step"]

    def run(
        self,
        dataset: Dataset,
        train_step: Callable[[dict, torch.Generator], dict[str, torch.Tensor]],
        evaluate: Callable[[int], dict[str, float]] | None = None,
    ):
        """
        Train for `settings.steps`, from the checkpoint asked for where it belongs to this stage.

        Args:
            dataset: long enough for all steps of all processes, see `dataset_length`.
            train_step: does one step of every optimiser and returns what to log. Its generator is seeded by the step,
                so that a resumed run draws what an unbroken one would have drawn.
            evaluate: called with the step every `evaluation_steps` and at the end, on the main process; returns what
                to log.
        """
        accelerator, arguments = self.accelerator, self.arguments
        checkpoint = find_checkpoint(arguments, self.name)
        if checkpoint is not None:
            accelerator.load_state(str(checkpoint))
            logger.info("Resumed %s at step %d from %s", self.name, self.step, checkpoint)
        workers = arguments.workers
        if workers < 0:
            workers = 0 if accelerator.device.type == "cpu" else min(8, os.cpu_count() or 1)
        loader = accelerator.prepare(
            DataLoader(dataset, self.settings.batch_size, num_workers=workers, drop_last=True)
        )
        if self.step:
            loader = accelerator.skip_first_batches(loader, self.step)
        progress = tqdm(
            total=self.settings.steps, initial=self.step, desc=self.name.replace("_", " "),
            disable=not accelerator.is_main_process, dynamic_ncols=True, mininterval=5,
        )  # fmt: skip
        generator = torch.Generator()
        running: dict[str, list[torch.Tensor]] = {}
        for batch in loader:
            if self.step >= self.settings.steps:
                break
            generator.manual_seed(
                (arguments.seed * 1_000_003 + self.step) * accelerator.num_processes + accelerator.process_index
            )
            for key, value in train_step(batch, generator).items():
                running.setdefault(key, []).append(value.detach().float())
            for scheduler in self.schedulers:
                scheduler.step()
            if self.average is not None:
                self.average.update_parameters(self.source_of_average)
            self.step += 1
            progress.update()
            if self.step % arguments.logging_steps == 0:
                means = {key: float(torch.stack(values).mean()) for key, values in running.items()}
                means["learning_rate"] = self.schedulers[0].get_last_lr()[0]
                self.log(means)
                progress.set_postfix({key: f"{value:.3g}" for key, value in list(means.items())[:4]})
                running = {}
            finished = self.step >= self.settings.steps
            if evaluate is not None and (finished or self.step % arguments.evaluation_steps == 0):
                if accelerator.is_main_process:
                    measured = evaluate(self.step)
                    self.log(measured)
                    tqdm.write(
                        f"{self.name} step {self.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in measured.items())
                    )
                accelerator.wait_for_everyone()
            if finished or self.step % arguments.checkpointing_steps == 0:
                self.save()
        progress.close()

    def log(self, values: dict[str, float]):
        """Scalars to every tracker, under this stage's name."""
        self.accelerator.log({f"{self.name}/{key}": value for key, value in values.items()}, step=self.step)

    def save(self):
        """Write a checkpoint and drop the oldest ones of this stage beyond `checkpoints_kept`."""
        folder = checkpoint_root(self.arguments) / f"{self.name}-{self.step:07d}"
        if self.accelerator.is_main_process:
            # Cut off while being written again, it must not pass for complete.
            (folder / "complete.json").unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(folder))
        if self.accelerator.is_main_process:
            (folder / "complete.json").write_text(json.dumps({"stage": self.name, "step": self.step}))
            for old in list_checkpoints(self.arguments, self.name)[: -self.arguments.checkpoints_kept]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def close(self):
        """Let go of this stage's modules and optimisers, so that the next stage's checkpoints do not hold them."""
        self.accelerator._custom_objects.clear()
        self.accelerator.free_memory()


def dataset_length(accelerator: Accelerator, settings: OptimizerArguments) -> int:
    """Items that `settings.steps` steps take on all processes together."""
    return settings.steps * settings.batch_size * accelerator.num_processes
