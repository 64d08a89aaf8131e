"""Guide "random": a fixed share of each own part is exchanged, whatever the scales are."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    Streams,
    convert,
    exchange_layers,
    exchange_rate,
    group_parts,
    inspect,
    parts,
    random_parts,
    sparsity,
)

RULE = ExchangeRule(guide="random", rate=0.5, penalty="none")


def network(channels: int = 12, depth: int = 3) -> nn.Module:
    layers = [
        layer
        for _ in range(depth)
        for layer in (nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
    ]
    return nn.Sequential(*layers)


def masks(net: nn.Module) -> list[torch.Tensor]:
    return [layer.replaced() for layer in exchange_layers(net).values()]


@pytest.mark.parametrize("kind", ["paper", "keeper"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_only_own_channels_are_drawn_at_the_rate_asked_for(rate: float, kind: Any) -> None:
    groups = [[0, 1], [2], [3, 4, 5]]
    every = group_parts(10, groups, kind)
    drawn = torch.stack([random_parts(every, groups, rate, str(i)) for i in range(300)])
    assert not drawn[:, 2].any()  # alone in its group
    for group in ([0, 1], [3, 4, 5]):
        own = every[group]
        assert not (drawn[:, group] & ~own).any()
        share = drawn[:, group].sum().item() / (300 * own.sum().item())
        assert share == pytest.approx(rate, abs=0.03)


def test_rate_of_parts_too_small_for_it_is_met_in_the_mean() -> None:
    counts = [int(random_parts(parts(2, 2), [[0, 1]], 0.25, str(i)).sum()) for i in range(400)]
    assert set(counts) == {0, 1, 2}
    assert sum(counts) / 800 == pytest.approx(0.25, abs=0.05)


def test_draw_follows_from_the_seed_and_the_layers_name() -> None:
    first, again = (convert(network(), ["a", "b"], exchange=RULE) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(masks(first), masks(again), strict=True))
    assert not torch.equal(masks(first)[0], masks(first)[1])
    other = ExchangeRule(guide="random", rate=0.5, penalty="none", seed=1)
    assert not torch.equal(
        torch.stack(masks(first)),
        torch.stack(masks(convert(network(), ["a", "b"], exchange=other))),
    )


def test_channels_are_replaced_whatever_the_scales_are() -> None:
    streams = Streams(["a", "b"])
    norm = StreamBatchNorm(6, streams, exchange=RULE).eval()
    x = torch.randn(4, 6, 3, 3)
    plain = StreamBatchNorm(6, streams).eval()
    own, other = plain(x).view(2, 2, 6, 3, 3).unbind(1)
    expected = torch.stack([own, other], 1)
    mask = norm.replaced()
    assert mask.sum() in (2, 3, 4)
    expected[:, 0, mask[0]] = other[:, mask[0]]
    expected[:, 1, mask[1]] = own[:, mask[1]]
    torch.testing.assert_close(norm(x), expected.flatten(0, 1))
    with torch.no_grad():
        norm.weight.fill_(1e-6)
    assert torch.equal(norm.replaced(), mask)
    assert exchange_rate(norm) == mask.sum() / 6
    assert sum(layer.replaced for layer in inspect(norm).layers) == mask.sum()
    assert sparsity(norm) == 0


def test_a_stream_whose_partners_are_absent_keeps_its_channels() -> None:
    streams = Streams(["a", "b", "c"])
    norm = StreamBatchNorm(9, streams, exchange=ExchangeRule(guide="random", rate=1.0)).eval()
    x = torch.randn(2, 9, 3, 3)
    with streams.activate(["b"]):
        torch.testing.assert_close(norm(x), x / math.sqrt(1 + norm.eps))
    with streams.activate(["a", "c"]):
        pair = norm(torch.cat([x, x * 2])[[0, 2, 1, 3]])
    # a gives its channels 0..2 to c and takes c's; c gives 6..8.
    torch.testing.assert_close(pair[0, :3], pair[1, :3])
    torch.testing.assert_close(pair[0, 6:], pair[1, 6:])
    assert not torch.allclose(pair[0, 3:6], pair[1, 3:6])


def test_choice_travels_with_the_weights() -> None:
    saved = convert(network(), ["a", "b"], exchange=RULE)
    other = convert(
        network(),
        ["a", "b"],
        exchange=ExchangeRule(guide="random", rate=0.5, penalty="none", seed=9),
    )
    assert not torch.equal(masks(saved)[0], masks(other)[0])
    other.load_state_dict(saved.state_dict())
    twin = copy.deepcopy(other)
    for net in (other, twin):
        assert all(torch.equal(x, y) for x, y in zip(masks(saved), masks(net), strict=True))


def test_without_it_the_state_stays_as_it_was() -> None:
    norm = StreamBatchNorm(4, Streams(["a", "b"]), exchange=ExchangeRule())
    assert "chosen" not in norm.state_dict()


def test_it_is_built_without_memory_and_compiles_whole() -> None:
    with torch.device("meta"):
        norm = StreamBatchNorm(6, Streams(["a", "b"]), exchange=RULE)
    assert norm.chosen is not None
    assert norm.chosen.is_meta
    net = convert(network(6, 1), ["a", "b"], exchange=RULE).eval()
    inputs = {name: torch.randn(2, 6, 4, 4) for name in ("a", "b")}
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    for name, value in net(inputs).items():
        assert torch.equal(compiled(inputs)[name], value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guide": "chance"}, "guide is 'scale' or 'random'"),
        ({"guide": "random", "rate": 1.5}, "rate is a share"),
        ({"guide": "random", "rate": 0.5, "scope": "any"}, "needs scope 'own'"),
        ({"guide": "random"}, "needs a rate above 0"),
        ({"rate": 0.5}, "set guide='random'"),
    ],
)
def test_values_that_do_not_go_together(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExchangeRule(**options)  # type: ignore[arg-type]
