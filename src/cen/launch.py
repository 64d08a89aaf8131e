"""Which of the processes of a run this one is, where torchrun or SLURM started them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from cen.errors import ConfigError


class Launch(NamedTuple):
    """A process that something else than this program has started.

    Attributes:
        by: the program that started it, "torchrun" or "srun".
        rank: its number among all processes.
        local: its number on its machine.
        world: how many there are.
    """

    by: str
    rank: int
    local: int
    world: int

    def __str__(self) -> str:
        """The words of a message."""
        return f"process {self.rank + 1} of {self.world}"


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """How this process was started; None where a command line started it alone.

    The script of a SLURM job itself is no step of the job (srun starts those), so that a command
    in it runs alone.
    """
    names = {
        "torchrun": ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE"),
        "srun": ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"),
    }
    for by, (identity, *numbers) in names.items():
        if identity in environment and all(environment.get(n, "").isdigit() for n in numbers):
            rank, local, world = (int(environment[name]) for name in numbers)
            # A step of one task is how schedulers start whatever they start.
            return Launch(by, rank, local, world) if by == "torchrun" or world > 1 else None
    return None


def of_several() -> bool:
    """Whether this process is one of several, also where Lightning starts those of a machine."""
    return launched() is not None or "LOCAL_RANK" in os.environ


def is_first() -> bool:
    """Whether this process speaks for the run: it was started alone, or is the first of all."""
    launch = launched()
    # Lightning starts further processes for further devices.
    return os.environ.get("LOCAL_RANK", "0") == "0" if launch is None else launch.rank == 0


def check_processes(nodes: int, devices: int) -> None:
    """Refuses a number of machines and devices that is not what was started.

    Raises:
        ConfigError: on every process.
    """
    launch, processes = launched(), nodes * devices
    if launch is None and nodes > 1:
        raise ConfigError(
            f"train.nodes: {nodes}, but this command was started on one machine alone; start it on "
            f"each by srun, or by torchrun --nnodes {nodes} --nproc_per_node {devices} "
            "(docs/several-machines.md)"
        )
    if launch is not None and launch.world != processes:
        raise ConfigError(
            f"train.nodes: {nodes} × train.devices: {devices} make {processes} processes, but "
            f"{launch.by} started {launch.world}; give both as they are"
        )
    if launch is not None and launch.by == "srun" and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(
            f"train.devices: {devices}; say --ntasks-per-node={devices} to sbatch or srun rather "
            "than how many tasks there are in all"
        )
