"""The peak of memory is that of a step, in a process of its own."""

import os
import signal
from functools import partial

import pytest
import torch

from cen.bench.peak_memory import peak_memory
from cen.errors import CenError

MB = 2**20


def taking(megabytes: int):
    """A step that fills so much memory and lets go of it, after more was taken before it."""
    del_me = torch.ones(300 * MB // 4)
    assert del_me.sum() > 0
    return partial(_fill, megabytes)


def _fill(megabytes: int) -> None:
    torch.ones(megabytes * MB // 4)


@pytest.mark.parametrize("megabytes", [64, pytest.param(200, marks=pytest.mark.slow)])
def test_the_growth_of_a_step_is_found_whatever_was_there_before(megabytes: int) -> None:
    found = peak_memory(partial(taking, megabytes), torch.device("cpu"))
    assert 0.95 * megabytes * MB < found < (megabytes + 32) * MB


def churning(megabytes: int):
    """A step whose making took the same memory in small blocks, which the C library keeps."""
    blocks = _blocks(2 * megabytes)
    pin = torch.ones(MB // 64)  # above them: only what lies at the end goes back by itself
    del blocks
    return partial(_blocks, megabytes, pin)


def _blocks(megabytes: int, pin: torch.Tensor | None = None) -> list[torch.Tensor]:
    return [torch.ones(MB // 64) for _ in range(16 * megabytes)]


def test_what_making_a_step_took_and_let_go_is_no_memory_that_it_has() -> None:
    found = peak_memory(partial(churning, 64), torch.device("cpu"))
    assert 0.9 * 64 * MB < found < 96 * MB


def dying():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_network_that_takes_more_memory_than_there_is_is_told() -> None:
    with pytest.raises(CenError, match=r"was killed, .*--no-memory"):
        peak_memory(dying, torch.device("cpu"))
