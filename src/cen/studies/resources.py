"""How many runs go at a time, and which cores and GPU each gets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """Room for one run: threads, and CUDA_VISIBLE_DEVICES (None: as it is here)."""

    threads: int
    gpu: str | None = None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment of its process."""
        threads = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**base, **threads, **gpu}


def make_slots(
    jobs: int | None, runs: int, cores: int, gpus: Sequence[str], threads: int | None = None
) -> list[Slot]:
    """Deals cores and GPUs out to runs, ``jobs`` at a time.

    By default one per GPU, or one per core where there is no GPU (small networks waste most of a
    second core); more jobs than GPUs share them. Each has ``threads``, or the cores shared evenly.
    """
    count = max(1, min(jobs or len(gpus) or cores, runs))
    share = threads or max(1, cores // count)
    return [Slot(share, gpus[i % len(gpus)] if gpus else None) for i in range(count)]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads(environment: Mapping[str, str]) -> int | None:
    """Threads that the user asks for by OMP_NUM_THREADS; None if that is not a number."""
    text = environment.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that may be used, as CUDA_VISIBLE_DEVICES writes them."""
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    import torch  # only here: the grid and its tables need none

    count = torch.cuda.device_count()
    if listed is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in listed.split(",") if name.strip()][:count]
