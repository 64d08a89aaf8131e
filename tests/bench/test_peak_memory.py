"""The peak of memory is that of a step, in a process of its own."""

from functools import partial

import pytest
import torch

from cen.bench.peak_memory import peak_memory

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
