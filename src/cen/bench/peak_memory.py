"""How much memory a step takes at most, beyond what is there before it."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch

from cen.bench.timing import Step
from cen.errors import CenError

# The first call makes gradients and the optimiser's state, beside which the second runs.
_CALLS = 2
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(make: Callable[[], Step], device: torch.device) -> int:
    """Bytes by which a step's memory grows at its peak over what its network and inputs take.

    On a CPU, resident memory of a process of its own, scratch space of libraries included; on a
    GPU, what PyTorch's allocator counts in this process.

    Args:
        make: Makes the step; for a CPU it can be pickled.
        device: Where the step runs.

    Raises:
        CenError: The process was killed.
    """
    if device.type == "cuda":
        step = make()
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(_CALLS):
            step()
        return int(torch.cuda.max_memory_allocated(device)) - before
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        growth = pool.submit(_resident_growth, make, torch.get_num_threads())
        try:
            return growth.result()
        except BrokenProcessPool as error:
            raise CenError(
                "the process in which memory was measured was killed, perhaps for want of it; give "
                "a smaller batch or size, or leave memory out (--no-memory)"
            ) from error


def _resident_growth(make: Callable[[], Step], threads: int) -> int:
    """In the process of its own."""
    torch.set_num_threads(threads)
    step = make()
    _hand_back()
    _forget_peak()
    before = _resident("VmRSS")
    for _ in range(_CALLS):
        step()
    return max(0, _resident("VmHWM") - before)


def _hand_back() -> None:
    """Gives memory that is free to the system, where the C library can.

    What making a step took and let go, as the passes that record a folded network, stays resident
    otherwise, and the step would be found to need none.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if _STATUS.exists() else None
    if trim is not None:
        trim(0)


def _forget_peak() -> None:
    """Lets the peak start from what is resident now, where Linux offers that."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def _resident(name: str) -> int:
    """Bytes resident now ("VmRSS") or at most ("VmHWM"); outside Linux at most in both cases."""
    if _STATUS.exists():
        lines = (line.split() for line in _STATUS.read_text().splitlines())
        return next(int(words[1]) * 1024 for words in lines if words[0] == f"{name}:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
