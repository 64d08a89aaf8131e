"""Optimiser groups and learning-rate schedules."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

import cen
from cen.errors import ConfigError
from cen.optim import (
    OptimizerName,
    Schedule,
    Stage,
    build_optimizer,
    cosine,
    param_groups,
    poly,
    warm_up,
)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return cen.build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3, "depth": 1, "flow": 2},
        outputs={"segmentation": 3},
        width=4,
        decoder_channels=4,
    )


def names(net: nn.Module, group: dict[str, object]) -> set[str]:
    ids = {id(p) for p in group["params"]}  # type: ignore[attr-defined]
    return {name for name, p in net.named_parameters() if id(p) in ids}


def test_groups_hold_each_parameter_once(net: nn.Module) -> None:
    groups = param_groups(net, 1.0, 2.0, weight_decay=0.1)
    assert {group["weight_decay"] for group in groups} == {0.1}
    ids = [id(p) for group in groups for p in group["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in net.parameters()}


def test_encoder_group_is_encoder_and_stems(net: nn.Module) -> None:
    encoder, decoder = param_groups(net, 1.0, 2.0)
    assert (encoder["name"], encoder["lr"]) == ("encoder", 1.0)
    assert (decoder["name"], decoder["lr"]) == ("decoder", 2.0)
    assert {n.split(".")[0] for n in names(net, encoder)} == {"encoder", "stems"}
    assert {n.split(".")[0] for n in names(net, decoder)} == {"decoder", "heads", "alpha"}


def test_a_module_of_ones_own_around_networks_has_their_encoders(net: nn.Module) -> None:
    class Unit(nn.Sequential):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)

    wrapper = nn.ModuleDict({"student": net, "critic": nn.Linear(3, 1)})
    encoder, decoder = param_groups(wrapper, 1.0, 2.0)
    apart = param_groups(net, 1.0, 2.0)
    assert names(net, encoder) == names(net, apart[0])
    assert len(decoder["params"]) == len(apart[1]["params"]) + 2
    converted = cen.convert(Unit(), {"a": 3, "b": 3}, outputs={"s": 2})
    encoder, decoder = param_groups(converted, 1.0, 2.0)
    assert names(converted.encoder, encoder) == {"weight", "bias"}


def test_groups_leave_out_what_is_not_given_or_not_trained(net: nn.Module) -> None:
    net = copy.deepcopy(net)
    net.encoder.requires_grad_(False)
    stems, decoder = param_groups(net)
    assert "lr" not in decoder
    assert "weight_decay" not in decoder
    assert {n.split(".")[0] for n in names(net, stems)} == {"stems"}


def test_norms_are_without_weight_decay_where_that_is_asked_for() -> None:
    net = cen.build(
        "segformer", encoder="mit_b0", inputs={"a": 3, "b": 1}, outputs={"s": 2}, width=4
    )
    net.decoder.fuse.plain = nn.LayerNorm(3)
    groups = param_groups(net, 1.0, 2.0, weight_decay=0.1, norm_decay=False)
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("encoder", 1.0, 0.1),
        ("decoder", 2.0, 0.1),
        ("encoder", 1.0, 0.0),
        ("decoder", 2.0, 0.0),
    ]
    without = names(net, groups[2]) | names(net, groups[3])
    every = {name for name, _ in net.named_parameters()}
    assert without == {n for n in every if "norm" in n} | {
        f"decoder.fuse.{layer}" for layer in ("plain.weight", "plain.bias")
    }
    assert set().union(*(names(net, group) for group in groups)) == every
    assert [group.get("weight_decay") for group in param_groups(net, norm_decay=False)] == [
        None,
        None,
        0.0,
        0.0,
    ]


def test_a_shared_parameter_is_in_one_group() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(3, 3)
            self.decoder = self.encoder

    groups = param_groups(Tied(), 1.0, 2.0)
    assert [group["name"] for group in groups] == ["encoder"]


def test_factors() -> None:
    assert poly(0, 10) == 1
    assert poly(10, 10) == 0
    assert poly(11, 10) == 0
    assert poly(5, 10) == pytest.approx(0.5**0.9)
    assert cosine(0, 10) == 1
    assert cosine(5, 10) == pytest.approx(0.5)
    assert cosine(10, 10) == pytest.approx(0)
    assert cosine(99, 10) == pytest.approx(0)
    assert [warm_up(k, 4) for k in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warm_up(0, 0) == 1


def test_warm_up_multiplies_any_schedule() -> None:
    schedule = Schedule("constant", steps=10, encoder_lr=1.0, decoder_lr=2.0, warmup=2)
    assert [schedule.rates(k)["decoder"] for k in range(4)] == [1, 2, 2, 2]


STAGED = Schedule("staged", steps=9, stages=(Stage(3, 5e-4, 3e-3), Stage(2, 2e-4, 1e-3)))


def test_staged_rates_and_restarts() -> None:
    assert [STAGED.rates(k)["encoder"] for k in (0, 2, 3, 4)] == [5e-4, 5e-4, 2e-4, 2e-4]
    assert STAGED.rates(8) == {"encoder": 2e-4, "decoder": 1e-3}  # beyond: the last stage
    assert [k for k in range(9) if STAGED.restarts(k)] == [3]


def test_a_stage_starts_like_a_new_optimiser() -> None:
    """The released recipe makes a new SGD per stage, so no momentum is carried over."""
    gradients = torch.randn(6, 4)

    def step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, k: int) -> None:
        weight.grad = gradients[k].clone()
        optimizer.step()

    weight = nn.Parameter(torch.ones(4))
    optimizer = build_optimizer([{"params": [weight], "name": "decoder"}], "sgd", momentum=0.9)
    other = nn.Parameter(torch.ones(4))
    for k in range(5):
        STAGED.apply(optimizer, k)
        step(optimizer, weight, k)
    for rate, steps in ((3e-3, (0, 1, 2)), (1e-3, (3, 4))):
        fresh = torch.optim.SGD([other], lr=rate, momentum=0.9)
        for k in steps:
            step(fresh, other, k)
    assert torch.equal(weight, other)


def test_apply_sets_every_group_of_a_part(net: nn.Module) -> None:
    schedule = Schedule("poly", steps=10, encoder_lr=1.0, decoder_lr=2.0)
    groups = param_groups(net, 1.0, 2.0)
    optimizer = build_optimizer(groups, "adam")
    schedule.apply(optimizer, 5)
    rates = {(g["name"], g["lr"]) for g in optimizer.param_groups}
    assert rates == {("encoder", poly(5, 10)), ("decoder", 2 * poly(5, 10))}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)],
)
def test_optimisers(kind: str, expected: type) -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))]}]
    optimizer = build_optimizer(groups, kind, momentum=0.8, weight_decay=0.1)  # type: ignore[arg-type]
    assert type(optimizer) is expected
    group = optimizer.param_groups[0]
    assert group["weight_decay"] == 0.1
    assert (group["momentum"] if kind == "sgd" else group["betas"][0]) == 0.8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "polly"}, "polly"),
        ({"name": "staged"}, "train.stages"),
        ({"steps": 0}, "train.steps"),
        ({"name": "staged", "stages": (Stage(0, 1.0, 1.0),)}, r"train.stages\[0\]"),
    ],
)
def test_impossible_schedules_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Schedule(**arguments)  # type: ignore[arg-type]


def test_unknown_optimiser_is_refused() -> None:
    with pytest.raises(ConfigError, match="adagrad"):
        build_optimizer([{"params": [nn.Parameter(torch.ones(1))]}], "adagrad")  # type: ignore[arg-type]


def test_schedules_never_rise_without_warm_up() -> None:
    for kind in ("poly", "cosine"):
        schedule = Schedule(kind, steps=50)
        rates = [schedule.rates(k)["encoder"] for k in range(50)]
        assert all(a > b > 0 for a, b in itertools.pairwise(rates))


def test_what_is_wrapped_around_a_network_does_not_matter() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
            self.head = nn.Conv2d(4, 2, 1)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(values))

    converted = cen.convert(Plain(), ["a", "b"])
    for net in (converted, torch.compile(converted), nn.ModuleDict({"module": converted})):
        sizes = {g["name"]: len(g["params"]) for g in param_groups(net, 1.0, 2.0)}
        assert sizes == {"encoder": 4, "decoder": 2}


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_parameters_may_be_an_iterator(kind: OptimizerName) -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    optimizer = build_optimizer([{"params": iter(layer.parameters())}], kind, lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(layer.weight, before)
