"""Folded networks of random blocks give what the networks give."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.folding.networks import KINDS, Block, scatter
from torch import Tensor, nn

from cen.exchange import ExchangeRule, MultiStream, convert
from cen.folding import fold

NETWORK = given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    streams=st.integers(1, 4),
    rate=st.sampled_from([0.0, 0.3, 1.0]),
    rule=st.sampled_from([{}, {"scope": "any"}, {"parts": "keeper"}]),
    where=st.sampled_from([None, "*0.norm"]),
    seed=st.integers(0, 100),
)


@settings(max_examples=50, deadline=None)
@NETWORK
def test_random_networks(
    kinds: list[str], streams: int, rate: float, rule: Any, where: str | None, seed: int
) -> None:
    torch.manual_seed(seed)
    plain = nn.Sequential(*(Block(kind, 4) for kind in kinds), nn.Conv2d(4, 2, 1))
    names = [f"s{i}" for i in range(streams)]
    net: MultiStream = convert(plain, names, where=where, exchange=ExchangeRule(**rule))
    net = scatter(net, rate, seed).double().eval()  # type: ignore[assignment]
    folded = fold(net, saved=-math.inf)
    values = {name: torch.randn(2, 4, 7, 5, dtype=torch.float64) for name in names}
    for count in range(1, streams + 1):
        given = {name: values[name] for name in names[:count]}
        with torch.no_grad():
            found, expected = folded(given), net(given)
        for name in given:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-10)
    kept = names[seed % streams :: 2]
    found = fold(net, saved=-math.inf, streams=kept)(values)
    assert list(found) == kept
    for name in kept:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-10)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@NETWORK
def test_a_thousand_random_networks(**drawn: Any) -> None:
    test_random_networks.hypothesis.inner_test(**drawn)  # type: ignore[attr-defined]


def test_torch_export_makes_a_plain_graph() -> None:
    class Positional(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            found = self.net({"a": a, "b": b})
            return found["a"], found["b"]

    plain = nn.Sequential(Block("plain", 4), Block("residual", 4), nn.Conv2d(4, 2, 1))
    net = scatter(convert(plain, ["a", "b"]), 0.7).eval()
    module, auto = Positional(fold(net)), torch.export.Dim.AUTO
    example = (torch.randn(2, 4, 8, 6), torch.randn(2, 4, 8, 6))
    module(*example)  # makes the slices of weights
    shapes = ({0: auto, 2: auto, 3: auto},) * 2
    program = torch.export.export(module, example, dynamic_shapes=shapes)
    other = (torch.randn(3, 4, 5, 9), torch.randn(3, 4, 5, 9))
    with torch.no_grad():
        expected = net({"a": other[0], "b": other[1]})
    for found, name in zip(program.module()(*other), "ab", strict=True):
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-5)
