"""What a network says of its exchange."""

import json

import pytest
import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    Streams,
    exchange_rate,
    inspect,
    sparsity,
)


def network(scope: str = "own") -> nn.Module:
    streams = Streams(["a", "b", "lonely"], groups=[["a", "b"], ["lonely"]])
    norm = StreamBatchNorm(4, streams, exchange=ExchangeRule(scope=scope))
    norm.weight.data = torch.tensor(
        [[0.0, 1.0, -0.001, 1.0], [0.0, 0.5, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0]]
    )
    return nn.Sequential(norm, StreamBatchNorm(4, streams))


def test_one_entry_per_layer_and_stream_with_a_partner() -> None:
    found = inspect(network())
    first, second = found.layers
    assert (first.name, first.stream, first.own_start, first.own) == ("0", "a", 0, 2)
    assert (first.replaced, first.rate) == (1, 0.5)
    assert first.mask == (True, False, False, False)
    assert first.quantiles == pytest.approx((0, 0.00075, 0.5005, 1, 1))
    assert (second.stream, second.own_start, second.rate) == ("b", 2, 0.0)
    assert found.rate == 0.25


def test_an_own_part_may_be_in_two_pieces() -> None:
    """All but what a stream keeps, which is the middle for one of three."""
    rule = ExchangeRule(scope="own", parts="keeper")
    norm = StreamBatchNorm(7, Streams(["a", "b", "c"]), exchange=rule)
    pieces = {layer.stream: layer.own_parts for layer in inspect(nn.Sequential(norm)).layers}
    for stream, own in zip("abc", norm.own, strict=True):
        told = torch.zeros(7, dtype=torch.bool)
        for start, stop in pieces[stream]:
            told[start:stop] = True
        assert torch.equal(told, own)
    assert sorted(len(parts) for parts in pieces.values()) == [1, 1, 2]
    assert [len(layer.own_parts) for layer in inspect(network()).layers] == [1, 1]


def test_scope_any_shows_replacements_outside_the_own_part() -> None:
    first, second = inspect(network("any")).layers
    assert first.mask == (True, False, True, False)
    assert second.mask == (True, False, False, False)
    assert (first.rate, second.rate) == (0.5, 0.0)


def test_the_share_that_the_penalty_attracts() -> None:
    net = network()
    net[0].weight.grad = torch.full((3, 4), 0.5)
    net[0].weight.grad[0, 0] = 1e-5
    first, second = inspect(net, task_gradient_below=1e-3).layers
    assert (first.attracted, second.attracted) == (0.5, 0.0)
    assert inspect(net).layers[0].attracted is None


def test_it_is_plain_json() -> None:
    found = json.loads(json.dumps(inspect(network()).to_dict()))
    assert found["rate"] == 0.25
    assert found["layers"][0]["mask"] == [True, False, False, False]
    assert "mask" not in inspect(network()).to_dict(masks=False)["layers"][0]


def test_a_network_without_exchange() -> None:
    found = inspect(nn.Conv2d(3, 3, 1))
    assert (found.layers, found.rate, found.alpha) == ([], 0.0, {})


@pytest.mark.parametrize("given", [3, None, "rgb", {}])
@pytest.mark.parametrize("read", [inspect, sparsity, exchange_rate])
def test_what_is_no_network(read, given):
    with pytest.raises(ConfigError, match="a network"):
        read(given)
