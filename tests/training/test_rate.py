"""The controller of the exchange rate, on scales that are pulled up by a noisy task."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, StreamBatchNorm, Streams, exchange_rate
from cen.optim import OptimizerName, Schedule, ScheduleName, build_optimizer, param_groups
from cen.training.rate import RateController

STREAMS = ("rgb", "depth")


def norms(channels: tuple[int, ...] = (64, 33, 128), theta: float = 2e-2) -> Any:
    streams = Streams(STREAMS)
    rule = ExchangeRule(threshold=theta)
    return nn.Sequential(*(StreamBatchNorm(c, streams, exchange=rule) for c in channels))


def train(
    rate: float,
    kind: OptimizerName,
    lr: float,
    steps: int,
    schedule: ScheduleName = "poly",
    by: float = 0.75,
    enforce: bool = False,
) -> list[float]:
    """Exchange rate after every step. A replaced scale gets no gradient from the task."""
    net = norms((64, 33))
    plan = Schedule(schedule, steps, lr, lr)
    controller = RateController(net, rate, plan, by=by)
    optimizer = build_optimizer(param_groups(net, lr, lr), kind)
    noise = torch.Generator().manual_seed(0)
    wanted = [torch.rand(layer.weight.shape, generator=noise) for layer in net]
    rates = []
    for step in range(steps):
        plan.apply(optimizer, step)
        optimizer.zero_grad()
        loss = torch.zeros(())
        for layer, goal in zip(net, wanted, strict=True):
            pull = torch.randn(goal.shape, generator=noise) * layer.weight
            task = 0.05 * ((layer.weight - goal) ** 2 + pull)
            loss = loss + (task * ~layer.replaced()).sum()
        (loss + controller(step).penalty).backward()
        optimizer.step()
        if enforce:
            controller.enforce(step)
        rates.append(float(exchange_rate(net)))
    return rates


@pytest.mark.parametrize(
    ("rate", "kind", "lr", "steps", "schedule"),
    [
        (0.3, "adam", 3e-3, 800, "poly"),
        pytest.param(0.1, "adamw", 3e-3, 800, "cosine", marks=pytest.mark.slow),
        pytest.param(0.7, "adam", 5e-3, 600, "constant", marks=pytest.mark.slow),
        (0.3, "sgd", 2e-2, 1000, "poly"),
    ],
)
def test_the_rate_rises_to_the_wish_and_not_past_it(
    rate: float, kind: OptimizerName, lr: float, steps: int, schedule: ScheduleName
) -> None:
    rates = train(rate, kind, lr, steps, schedule)
    assert rates[-1] == pytest.approx(rate, abs=0.03)
    assert max(rates) <= rate + 0.03
    assert rates[steps // 5] < rate / 2  # from below, not at once


@pytest.mark.parametrize(
    ("schedule", "by", "step"),
    [
        pytest.param("constant", 0.2, 0.2, marks=pytest.mark.slow),
        pytest.param("constant", 0.9, 0.9, marks=pytest.mark.slow),
        ("poly", 0.3, 0.18),
    ],
)
def test_the_rate_is_there_when_it_was_asked_for(
    schedule: ScheduleName, by: float, step: float
) -> None:
    # A poly schedule of power 0.9 has spent 30 % after 17 % of the steps.
    rates = train(0.3, "adam", 5e-3, 1200, schedule, by)
    assert rates[int(step * 600)] < 0.05  # half of the time
    assert rates[int((step + 0.08) * 1200)] == pytest.approx(0.3, abs=0.03)
    assert rates[-1] == pytest.approx(0.3, abs=0.03)


def test_only_the_weakest_are_ever_penalised() -> None:
    net = norms((10,))
    controller = RateController(net, 0.4, Schedule("constant", 10, 1.0, 1.0))
    with torch.no_grad():
        net[0].weight.copy_(torch.linspace(1, 2, 20).view(2, 10))
    controller(9, None).penalty.backward()
    gradient = net[0].weight.grad
    # Own parts: channels 0-4 of the first stream (the smaller half), 5-9 of the second.
    assert isinstance(gradient, torch.Tensor)
    assert gradient.nonzero().tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


def test_ties_do_not_add_channels() -> None:
    net = norms((10,))
    controller = RateController(net, 0.3, Schedule("constant", 10, 1.0, 1.0))
    controller(9, None).penalty.backward()
    assert int((net[0].weight.grad != 0).sum()) == controller.largest == 3


def test_scales_of_absent_modalities_are_not_pulled() -> None:
    net = norms((10,))
    controller = RateController(net, 1.0, Schedule("constant", 10, 1.0, 1.0))
    controller(9, ("depth",)).penalty.backward()
    gradient = net[0].weight.grad
    assert isinstance(gradient, torch.Tensor)
    assert gradient[0].abs().max() == 0
    assert gradient[1].count_nonzero() == 5


def test_the_penalty_writes_no_scale() -> None:
    net = norms((10,))
    before = net[0].weight.detach().clone()
    controller = RateController(net, 0.5, Schedule("constant", 10, 1.0, 1.0))
    for step in range(10):
        controller(step)
    assert torch.equal(net[0].weight, before)


def drift(net: Any, lr: float, steps: int, by: float) -> list[float]:
    """Exchange rates of a run whose learning rate moves no scale from 1 to the threshold."""
    controller = RateController(net, 0.4, Schedule("constant", steps, lr, lr), by=by)
    optimizer = build_optimizer(param_groups(net, lr, lr), "adam")
    rates = []
    for step in range(steps):
        optimizer.zero_grad()
        task = sum((-layer.weight * ~layer.replaced()).sum() for layer in net)
        (task + controller(step).penalty).backward()
        optimizer.step()
        controller.enforce(step)
        rates.append(float(exchange_rate(net)))
    return rates


@pytest.mark.parametrize("by", [0.3, 0.9])
def test_a_small_learning_rate_does_not_miss_the_wish(by: float) -> None:
    net = norms()
    rates = drift(net, 1e-5, 200, by)
    latest = min(1.25 * by, (1 + by) / 2)
    assert rates[int(200 * latest)] == rates[-1] == pytest.approx(0.4, abs=0.01)
    assert rates[int(200 * by * 0.5)] == 0
    # The others are where the task wants them.
    assert sum(int((layer.weight > 1).sum()) for layer in net) == 2 * 225 - round(0.4 * 225)


def test_what_the_penalty_leaves_over_is_made_up_for() -> None:
    """A penalty that nearly makes it: the rate is the wish, not a share of it."""
    missed, met = (train(0.3, "adam", 1e-3, 400, enforce=way) for way in (False, True))
    assert missed[-1] < 0.1
    assert met[-1] == pytest.approx(0.3, abs=0.005)
    assert max(met) <= 0.305


def test_its_state_resumes_exactly() -> None:
    def make() -> RateController:
        return RateController(norms((10,)), 0.5, Schedule("constant", 20, 1.0, 1.0))

    whole, first, second = make(), make(), make()
    weights = [float(whole(step).weight) for step in range(20)]
    again = [float(first(step).weight) for step in range(8)]
    second.load_state_dict(first.state_dict())
    again += [float(second(step).weight) for step in range(8, 20)]
    assert again == weights
    assert weights[-1] > weights[0]


def test_impossible_wishes_are_refused() -> None:
    plan = Schedule("constant", 10)
    with pytest.raises(ConfigError, match=r"exchange_rate is 1\.5"):
        RateController(norms(), 1.5, plan)
    with pytest.raises(ConfigError, match=r"exchange_rate_by is 1\.0"):
        RateController(norms(), 0.5, plan, by=1.0)
    alone = nn.Sequential(StreamBatchNorm(4, Streams(("rgb",)), exchange=ExchangeRule()))
    with pytest.raises(ConfigError, match="no layer of the network exchanges"):
        RateController(alone, 0.5, plan)


@pytest.mark.parametrize("penalty", ["none", "all"])
def test_a_penalty_that_a_rate_cannot_steer_is_refused(penalty: Any) -> None:
    rule = ExchangeRule(penalty=penalty)
    net = nn.Sequential(StreamBatchNorm(8, Streams(STREAMS), exchange=rule))
    with pytest.raises(ConfigError, match=f"model.penalty is {penalty}; say own"):
        RateController(net, 0.5, Schedule("poly", 10, 1e-3, 1e-3))


@pytest.mark.parametrize(
    ("schedule", "by", "told"),
    [("poly", 0.3, 0.17), ("poly", 0.18, 0.10), ("constant", 0.3, 0.3), ("constant", 0.18, 0.18)],
)
def test_the_share_of_the_steps_that_pages_tell(
    schedule: ScheduleName, by: float, told: float
) -> None:
    """docs/training.md, docs/exchange-rate.md and the docstring of train.exchange_rate_by."""
    steps = 1200
    plan = Schedule(schedule, steps, 3e-3, 3e-3)
    spent = list(accumulate(sum(plan.rates(step).values()) for step in range(steps)))
    first = next(step for step, share in enumerate(spent) if share >= by * spent[-1])
    assert first / steps == pytest.approx(told, abs=0.005)


def test_an_early_rate_stands_within_the_first_quarter_of_the_steps() -> None:
    """As the page of exchange rates says of 0.3 by 0.3 under poly."""
    rates = train(0.3, "adam", 4.5e-3, 800, by=0.3, enforce=True)
    assert rates[199] == pytest.approx(0.3, abs=0.005)
    assert rates[66] < 0.2
