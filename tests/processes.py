"""Processes of a test: forked from it, so that none has to import PyTorch once more."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import torch


def side_by_side(work: Callable[..., None], *arguments: object, count: int = 2) -> None:
    """Runs ``work(rank, *arguments)`` in forked processes at the same time; each ends well."""
    fork = multiprocessing.get_context("fork")
    running = [fork.Process(target=_work, args=(work, rank, *arguments)) for rank in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join(200)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in running] == [0] * count


def _work(work: Callable[..., None], rank: int, *arguments: object) -> None:
    torch.set_num_threads(1)  # the threads of the process that was forked are not there
    work(rank, *arguments)
