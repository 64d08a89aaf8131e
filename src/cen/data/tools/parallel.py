"""Work in processes, with results in order: on all samples of a data set, on whatever is listed."""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cen.errors import DataError
from cen.signals import held_back, leave_signals_to_parent

if TYPE_CHECKING:  # Rooms are rendered without torch
    from cen.data.readers.aligned import AlignedDataset

Item = TypeVar("Item")
T = TypeVar("T")
Task = Callable[["AlignedDataset", range], T]

CHUNK = 16
# A process takes some seconds to start, which is what reading this many samples takes.
_WORTHWHILE = 400


def default_workers(samples: int) -> int:
    """Processes that pay for so many samples; 1: none but this one."""
    return max(1, min(os.cpu_count() or 1, samples // _WORTHWHILE))


@dataclass
class Addable:
    """What is known of some samples, to which what is known of others is added field by field.

    Numbers and arrays are summed, lists joined, mappings added by key. A field that is added
    otherwise says how: ``field(metadata={"add": min})``.
    """

    def add(self, other: Self) -> None:
        """Takes in what is known of others, which stays as it is."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            setattr(self, item.name, item.metadata.get("add", _added)(mine, theirs))


def _added(mine: Any, theirs: Any) -> Any:
    if isinstance(mine, Addable):
        mine.add(theirs)
    elif isinstance(mine, dict):
        for name, entry in theirs.items():
            mine[name] = _added(mine[name], entry) if name in mine else copy.deepcopy(entry)
    elif isinstance(mine, list):
        mine += theirs
    else:
        return mine + theirs
    return mine


def over_samples(
    task: Task[T], dataset: AlignedDataset, *, workers: int | None = None, chunk: int = CHUNK
) -> Iterator[tuple[range, T]]:
    """Calls ``task`` on consecutive ranges of samples.

    Args:
        task: a function of a module, called with the data set and a range of its indices.
        dataset: is sent to every process once.
        workers: processes; None: as many as pay; 1: this one does all.
        chunk: samples per call. It alone decides the ranges, the number of processes does not.

    Yields:
        (range, result), in order, see `in_order`.

    Raises:
        DataError: a process was killed.
    """
    count = len(dataset)
    ranges = [range(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    workers = min(default_workers(count) if workers is None else workers, len(ranges))
    return zip(ranges, in_order(partial(task, dataset), ranges, workers, dataset.root), strict=True)


def in_order(
    task: Callable[[Item], T], items: Iterable[Item], workers: int, place: object
) -> Iterator[T]:
    """Calls ``task`` with every item, in processes.

    Args:
        task: can be pickled; is sent to every process once.
        items: what it is called with, one by one.
        workers: processes; 0 or 1: this one does all.
        place: where the data are, for the error.

    Yields:
        The results, in order, whatever the number of processes. No more than a few per process
        wait to be taken.

    Raises:
        DataError: a process was killed.
    """
    if workers <= 1:
        yield from map(task, items)
        return
    # Spawned: a process with OpenCV's or torch's threads running cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_take, initargs=(task,))
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            with held_back():  # this may start a process
                waiting.append(pool.submit(_run, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{place}: one of {workers} processes was killed, perhaps for want of memory; use "
            "fewer of them (--workers 1)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_task: Callable[[Any], Any] | None = None


def _take(task: Callable[[Any], Any]) -> None:
    """Keeps what a process is for, in that process."""
    import cv2

    leave_signals_to_parent()
    global _task
    _task = task
    # The processes share the cores; threads of each would only get in the way of the others'.
    cv2.setNumThreads(1)


def _run(item: Any) -> Any:
    assert _task is not None
    return _task(item)
