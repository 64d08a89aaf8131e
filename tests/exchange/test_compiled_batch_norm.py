"""Batch norm and exchange in the form that is compiled."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from cen.errors import ShapeError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    Streams,
    freeze_statistics,
    keep_partial_statistics,
)
from cen.exchange.functional import Parts

Compiled = Callable[[Tensor], Tensor]


def norm_of(names: str, parts: Parts = "paper", **options: Any) -> StreamBatchNorm:
    """In double precision, with own scales of all sizes around θ, and statistics."""
    rule = ExchangeRule(parts=parts)
    norm = StreamBatchNorm(7, Streams(list(names)), exchange=rule, **options).double()
    with torch.no_grad():
        norm.weight.uniform_(-0.06, 0.06)
        if norm.bias is not None:
            norm.bias.uniform_(-1, 1)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    assert norm.replaced().any() or len(names) == 1
    return norm


def check_like_eager(norm: StreamBatchNorm, packed: Tensor, present: str) -> None:
    """Values, gradients and statistics of a compiled pass are those of a plain one."""
    torch.compiler.reset()
    other = copy.deepcopy(norm)
    compiled: Compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    seen: list[list[Tensor]] = []
    for module, run in ((norm, norm), (other, compiled)):
        leaf = packed.clone().requires_grad_()
        with module.streams.activate(list(present)):
            values = run(leaf)
        (values * torch.linspace(-1, 1, values.numel()).to(values).view_as(values)).sum().backward()
        assert leaf.grad is not None
        with torch.no_grad(), module.streams.activate(list(present)):
            without_gradients = run(packed)
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        state = [value for value in module.state_dict().values() if value.is_floating_point()]
        seen.append([values.detach(), without_gradients, leaf.grad, *gradients, *state])
    assert len(seen[0]) == len(seen[1])
    for expected, value in zip(*seen, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("names", "present", "parts", "mode"),
    [
        ("ab", "ab", "paper", "training"),
        ("ab", "ab", "paper", "evaluation"),
        ("ab", "ab", "paper", "frozen"),
        ("ab", "b", "paper", "training"),
        ("abc", "abc", "paper", "training"),
        ("abc", "ac", "keeper", "training"),
        ("abc", "ac", "keeper", "evaluation"),
        ("abc", "abc", "keeper", "evaluation"),
    ],
)
def test_values_gradients_and_statistics_are_those_of_a_plain_pass(
    names: str, present: str, parts: Parts, mode: str
) -> None:
    norm = norm_of(names, parts).train(mode != "evaluation")
    freeze_statistics(norm, mode == "frozen")
    packed = 3 * torch.randn(5 * len(present), 7, 4, 3, dtype=torch.double) + 1
    check_like_eager(norm, packed, present)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 5), (6, 7, 2, 3, 2)])
def test_maps_may_have_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    check_like_eager(norm_of("ab"), torch.randn(shape, dtype=torch.double), "ab")


@pytest.mark.parametrize(
    "options", [{"momentum": None}, {"track_running_stats": False}, {"bias": False}]
)
def test_options_are_heeded(options: dict[str, Any]) -> None:
    check_like_eager(norm_of("ab", **options), torch.randn(6, 7, 4, 4, dtype=torch.double), "ab")


def test_statistics_for_absent_streams_are_kept_apart() -> None:
    norm = norm_of("ab")
    keep_partial_statistics(norm)
    check_like_eager(norm, torch.randn(6, 7, 4, 4, dtype=torch.double), "a")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    norm = norm_of("ab").float().eval()
    packed = (300 * torch.randn(6, 7, 4, 4)).to(dtype)
    compiled: Compiled = torch.compile(norm, fullgraph=True, backend="aot_eager")
    for module, run in ((norm, compiled), (norm.to(dtype), compiled)):
        expected, value = module(packed), run(packed)
        assert value.dtype == dtype
        torch.testing.assert_close(value, expected)


def test_one_value_per_channel_is_refused() -> None:
    with pytest.raises(ShapeError, match="one value per channel"):
        torch.compile(norm_of("ab"), backend="eager")(torch.ones(2, 7, 1, 1, dtype=torch.double))


@pytest.mark.parametrize("training", [False, True])
def test_nothing_in_the_graph_keeps_it_from_becoming_one_pass(
    traced: list[fx.GraphModule], training: bool
) -> None:
    net = nn.Sequential(nn.Conv2d(3, 7, 1), norm_of("ab").float()).train(training)
    with torch.set_grad_enabled(training):
        torch.compile(net, fullgraph=True)(torch.randn(4, 3, 5, 5))
    called = {getattr(node.target, "__name__", str(node.target)) for node in traced[0].graph.nodes}
    assert "where" in called
    assert not called & {"index_select", "batch_norm", "gather", "contiguous"}


def test_an_exported_norm_is_the_norm_of_other_programs() -> None:
    """Which know batch norm as one operation and put it into convolutions."""
    net = norm_of("ab").float().eval()
    graph = torch.export.export(net, (torch.randn(4, 7, 5, 5),)).graph
    assert "aten.batch_norm.default" in {str(node.target) for node in graph.nodes}
