"""Several processes that share the shards of a source, as a launcher started them."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch


PATIENCE = timedelta(days=30)  # for which the first process waits for the slowest


@dataclass(frozen=True)
class Processes:
    """
    The processes of a run.

    Args:
        index: of this process. count: of all processes.
        device: of this process; `None` if there is only one, which may choose.
        wait: returns when all processes have called it.
        close: ends their connection.
    """

    index: int = 0
    count: int = 1
    device: torch.device | None = None
    wait: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks and puts the results together."""
        return self.index == 0


def join_processes() -> Processes:
    """Join the processes that `accelerate launch` or `torchrun` started. Without them this process is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    if state.device.type == "cpu":
        # Launchers leave one thread to each process; share all cores instead.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local))

    def wait():
        # Handlers of Python run after the wait. A launcher that ends all processes would have to kill this one.
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            state.wait_for_everyone()
        finally:
            signal.signal(signal.SIGTERM, handler)

    return Processes(state.process_index, state.num_processes, state.device, wait, state.destroy_process_group)


@dataclass(frozen=True)
class Share:
    """A process's share of a shard: the parts `first`, `first + step`, and so on."""

    shard: int
    first: int
    step: int


def share_of(shards: int, index: int, count: int) -> list[Share]:
    """The share of process `index` of `count`: whole shards, or parts of one if there are fewer shards than
    processes. Together the shares hold each part once."""
    if shards >= count:
        return [Share(shard, 0, 1) for shard in range(index, shards, count)]
    shard = index % shards
    return [Share(shard, index // shards, len(range(shard, count, shards)))]
