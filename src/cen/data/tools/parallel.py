"""Work on all samples of a data set, in processes, with results in order."""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

from cen.data.readers.aligned import AlignedDataset
from cen.errors import DataError
from cen.signals import held_back, leave_signals_to_parent

T = TypeVar("T")
Task = Callable[[AlignedDataset, range], T]

CHUNK = 16
# A process takes some seconds to start, which is what reading this many samples takes.
_WORTHWHILE = 400

_dataset: AlignedDataset | None = None


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
        (range, result), in order, whatever the number of processes. No more than a few results per
        process wait to be taken.

    Raises:
        DataError: a process was killed.
    """
    count = len(dataset)
    ranges = (range(start, min(start + chunk, count)) for start in range(0, count, chunk))
    workers = min(default_workers(count) if workers is None else workers, -(-count // chunk))
    if workers <= 1:
        for part in ranges:
            yield part, task(dataset, part)
        return
    # Spawned: a process with OpenCV's or torch's threads running cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_take, initargs=(dataset,))
    waiting: deque[tuple[range, Future[Any]]] = deque()
    try:
        for part in ranges:
            with held_back():  # this may start a process
                waiting.append((part, pool.submit(_run, task, part)))
            if len(waiting) >= 4 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{dataset.root}: a process that read samples was killed, perhaps for want of memory; "
            "use fewer of them (--workers 1)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _take(dataset: AlignedDataset) -> None:
    import cv2

    leave_signals_to_parent()
    global _dataset
    _dataset = dataset
    # The processes share the cores; threads of each would only get in the way of the others'.
    cv2.setNumThreads(1)


def _run(task: Task[T], part: range) -> T:
    assert _dataset is not None
    return task(_dataset, part)
