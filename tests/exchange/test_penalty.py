"""The penalty on scales, and the exchange rate."""

import pytest
import torch
from torch import nn

from cen.errors import StreamError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    Streams,
    exchange_rate,
    sparsity,
)


@pytest.mark.parametrize(
    ("penalty", "streams", "expected"),
    [
        ("own", None, 1 + 2 + 7 + 8),
        ("all", None, 36),
        ("none", None, 0),
        ("own", ["b"], 7 + 8),
        ("all", ["b"], 5 + 6 + 7 + 8),
    ],
)
def test_sparsity_counts_each_own_scale_once(
    penalty: str, streams: list[str] | None, expected: float
) -> None:
    norm = StreamBatchNorm(4, Streams(["a", "b"]), exchange=ExchangeRule(penalty=penalty))
    norm.weight.data = -torch.arange(1.0, 9.0).view(2, 4)
    twice = nn.ModuleList([norm, nn.Sequential(norm), StreamBatchNorm(4, Streams(["x"]))])
    assert sparsity(twice, streams).item() == expected


def test_the_penalty_of_many_layers_is_the_sum_of_theirs_with_its_gradient() -> None:
    streams = Streams(["a", "b", "c"])
    rules = [ExchangeRule(penalty=penalty) for penalty in ("own", "all", "none", "own")]
    net = nn.ModuleList(
        StreamBatchNorm(3 + i, streams, exchange=rule) for i, rule in enumerate(rules)
    )
    expected = 0.0
    for i, norm in enumerate(net):
        norm.weight.data = -torch.arange(1.0, 1 + norm.weight.numel()).view_as(norm.weight) - i
        counted = {"own": norm.own, "all": torch.ones_like(norm.own)}.get(rules[i].penalty)
        if counted is not None:
            expected += float((norm.weight.abs() * counted)[[0, 2]].sum())
    total = sparsity(net, ["c", "a"])
    assert float(total) == expected
    assert float(total) == sum(float(sparsity(norm, ["c", "a"])) for norm in net)
    total.backward()
    grad = net[0].weight.grad
    assert grad is not None
    assert torch.equal(grad[[0, 2]], -norm_part(net[0])[[0, 2]])
    assert not grad[1].any(), "a stream that is absent is not pulled"


def norm_part(norm: nn.Module) -> torch.Tensor:
    assert isinstance(norm, StreamBatchNorm)
    return norm.own.float()


def test_a_stream_without_partner_is_neither_penalised_nor_counted() -> None:
    norm = StreamBatchNorm(4, Streams(["a"]), exchange=ExchangeRule())
    norm.weight.data.zero_()
    assert sparsity(norm).item() == 0
    assert exchange_rate(norm).item() == 0
    assert not norm.replaced().any()


def test_exchange_rate_is_the_share_of_own_channels() -> None:
    norm = StreamBatchNorm(4, Streams(["a", "b"]), exchange=ExchangeRule(scope="any"))
    norm.weight.data = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    assert float(exchange_rate(norm)) == 0.25


def test_an_unknown_stream_is_named() -> None:
    with pytest.raises(StreamError, match="did you mean 'depth'"):
        sparsity(StreamBatchNorm(3, Streams(["rgb", "depth"]), exchange=ExchangeRule()), ["dept"])
