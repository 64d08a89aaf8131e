"""Things take turns, and ratios are those of the same round."""

import time

import numpy as np
import pytest
import torch

from cen.bench.timing import Step, clock_of, paired_ratio, stopwatch, take_turns


def test_ratios_are_paired_and_the_interval_holds_the_median() -> None:
    rng = np.random.default_rng(0)
    load = rng.uniform(1, 3, 40)  # what the machine does besides, the same for both
    times = {"a": list(1.1 * load), "b": list(load), "c": list(load * rng.normal(2, 0.1, 40))}
    first, low, high = paired_ratio(times["a"], times["b"])
    other, *interval = paired_ratio(times["c"], times["b"])
    assert first == pytest.approx(1.1)
    assert low == pytest.approx(1.1)
    assert high == pytest.approx(1.1)
    assert interval[0] < other < interval[1]
    assert interval[0] < 2 < interval[1]


def test_the_interval_covers_the_median_in_19_of_20_experiments() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        _, low, high = paired_ratio(list(rng.exponential(1, 15)), [1.0] * 15)
        covered += low <= np.log(2) <= high
    # The interval of 15 values leaves out three at either end: 96.5 %.
    assert 0.94 * 400 <= covered <= 0.99 * 400


def test_all_take_turns_and_none_is_always_behind_the_same() -> None:
    calls: list[str] = []
    steps = {name: (lambda name=name: calls.append(name)) for name in "abc"}

    def counted(step: Step) -> float:
        step()
        return float(len(calls))

    lines: list[str] = []
    times = take_turns(steps, 3, counted, lines.append, warm_up=1)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert times == {"a": [4, 9, 11], "b": [5, 7, 12], "c": [6, 8, 10]}
    assert lines == ["warming up", *(f"round {n} of 3" for n in (1, 2, 3))]


def test_one_thread_is_timed_by_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert clock_of(torch.device("cpu")) == "processor"
    assert stopwatch(torch.device("cpu"))(lambda: time.sleep(0.2)) < 0.1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert clock_of(torch.device("cpu")) == "wall"
    assert stopwatch(torch.device("cpu"))(lambda: time.sleep(0.2)) >= 0.2
