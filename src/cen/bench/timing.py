"""Times of things that take turns in one process, and the ratios of their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import comb
from typing import Any, NamedTuple

import numpy as np
import torch

from cen.errors import ConfigError

Step = Callable[[], Any]
Progress = Callable[[str], None] | None
"""What is called with a line of text now and then."""
FEWEST = 6
"""Rounds below which no interval holds a median with 95 %."""


class Interval(NamedTuple):
    """A median and an interval that holds it with at least 95 % (order statistics)."""

    median: float
    low: float
    high: float


def check_rounds(rounds: int) -> None:
    """Refuses a number of rounds that gives no interval.

    Raises:
        ConfigError: Saying how many are needed.
    """
    if rounds < FEWEST:
        raise ConfigError(f"rounds must be at least {FEWEST} to give an interval, got {rounds}")


def check_device(name: str) -> torch.device:
    """The device of a name such as "cpu" or "cuda:1".

    Raises:
        ConfigError: It is not there.
    """
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name}: PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA "
            "devices here; give cpu"
        )
    return device


def paired_ratio(times: Sequence[float], others: Sequence[float]) -> Interval:
    """Median ratio of times taken in the same rounds, and its 95 % interval.

    The interval is distribution-free: the narrowest pair of order statistics, the same number from
    either end, that holds the true median with a probability of at least 95 %.
    """
    ratios = np.sort(np.asarray(times) / np.asarray(others))
    cut = _cut(len(ratios))
    return Interval(float(np.median(ratios)), float(ratios[cut]), float(ratios[-1 - cut]))


def _cut(count: int) -> int:
    """How many of ``count`` sorted values to leave out at either end of the interval."""
    outside, cut = 2 * 0.5**count, 0
    while outside + 2 * comb(count, cut + 1) * 0.5**count <= 0.05:
        cut += 1
        outside += 2 * comb(count, cut) * 0.5**count
    return cut


def take_turns(
    steps: Mapping[str, Step],
    rounds: int,
    seconds: Callable[[Step], float],
    progress: Progress = None,
    warm_up: int = 2,
) -> dict[str, list[float]]:
    """Seconds of every step in every round, after calls of each to warm up.

    Args:
        steps: What takes turns, by name.
        rounds: How often.
        seconds: Calls a step and says how long it took.
        progress: Called with a line of text now and then.
        warm_up: Calls of each beforehand.
    """
    if progress is not None:
        progress("warming up")
    for _ in range(warm_up):
        for step in steps.values():
            seconds(step)
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for turn in range(rounds):
        # Rotating the order keeps any effect of the predecessor from favouring one of them.
        first = turn % len(order)
        for name in order[first:] + order[:first]:
            times[name].append(seconds(steps[name]))
        if progress is not None:
            progress(f"round {turn + 1} of {rounds}")
    return times


def timed(step: Step, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that one call of a step takes, by a clock."""
    start = clock()
    step()
    return clock() - start


def stopwatch(device: torch.device) -> Callable[[Step], float]:
    """What says how long a step takes on a device, until that has finished.

    On one thread of a CPU it counts the time of the processor, so that what else the machine does
    counts as little as possible.
    """
    clock = time.process_time if clock_of(device) == "processor" else time.perf_counter

    if device.type != "cuda":
        return partial(timed, clock=clock)

    def seconds(step: Step) -> float:
        def finished() -> None:
            step()
            torch.cuda.synchronize(device)

        torch.cuda.synchronize(device)
        return timed(finished, clock)

    return seconds


def clock_of(device: torch.device) -> str:
    """What `stopwatch` counts: "processor" or "wall"."""
    return "processor" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall"


def prefixed(progress: Progress, words: Iterable[object]) -> Progress:
    """Progress whose lines begin with words."""
    if progress is None:
        return None
    head = ", ".join(map(str, words))
    return lambda line: progress(f"{head}: {line}")
