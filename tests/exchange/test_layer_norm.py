"""Layer and RMS norms of streams, against PyTorch's and against the definition of exchange."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange import (
    ExchangeRule,
    StreamLayerNorm,
    StreamNorm,
    StreamRMSNorm,
    Streams,
    exchange_rate,
    inspect,
    sparsity,
)

KINDS: dict[str, tuple[Callable[..., StreamNorm], Callable[..., nn.Module]]] = {
    "layer": (StreamLayerNorm, lambda: nn.LayerNorm(6)),
    "no shift": (lambda c, s, **k: StreamLayerNorm(c, s, bias=False, **k), None),  # type: ignore[dict-item]
    "rms": (StreamRMSNorm, lambda: nn.RMSNorm(6)),
}
KINDS["no shift"] = (KINDS["no shift"][0], lambda: nn.LayerNorm(6, bias=False))
SHAPES = {(6,): -1, (5, 6): -1, (3, 4, 6): -1, (6, 3, 4): 1, (6, 5): 1}


def made(kind: str, names: str, axis: int, **options: object) -> StreamNorm:
    norm = KINDS[kind][0](6, Streams(list(names)), channel_axis=axis, **options)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


def plain_twin(norm: StreamNorm, kind: str, stream: int) -> nn.Module:
    plain = KINDS[kind][1]()
    plain.load_state_dict({name: value[stream] for name, value in norm.state_dict().items()})
    return plain


def apart(packed: Tensor, streams: int, axis: int) -> Tensor:
    """(B·S, *) to (B, S, *, C)."""
    return packed.movedim(axis, -1).unflatten(0, (-1, streams))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_each_stream_is_a_plain_norm(kind: str, shape: tuple[int, ...], names: str) -> None:
    axis, count = SHAPES[shape], len(names)
    norm = made(kind, names, axis)
    packed = torch.randn(2 * count, *shape)
    found, given = apart(norm(packed), count, axis), apart(packed, count, axis)
    for stream in range(count):
        torch.testing.assert_close(
            found[:, stream], plain_twin(norm, kind, stream)(given[:, stream])
        )
    assert norm(packed).shape == packed.shape


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("scope", ["own", "any"])
@pytest.mark.parametrize("shape", [(5, 6), (6, 3, 4)])
def test_the_exchange_is_that_of_the_definition(
    kind: str, scope: str, shape: tuple[int, ...]
) -> None:
    axis = SHAPES[shape]
    norm = made(kind, "abc", axis, exchange=ExchangeRule(threshold=0.7, scope=scope))  # type: ignore[arg-type]
    plain = copy.deepcopy(norm)
    plain.exchange = None
    packed = torch.randn(6, *shape)
    before = apart(plain(packed), 3, axis)
    expected = before.clone()
    for s in range(3):
        for c in range(6):
            inside = scope == "any" or s * 2 <= c < s * 2 + 2
            if inside and abs(norm.weight[s, c]) < 0.7:
                others = [o for o in range(3) if o != s]
                expected[:, s, ..., c] = before[:, others][..., c].mean(1)
    assert not torch.allclose(before, expected)
    torch.testing.assert_close(apart(norm(packed), 3, axis), expected)


def test_a_subset_is_the_norm_of_these_streams_alone() -> None:
    norm = made("layer", "abc", -1, exchange=ExchangeRule(threshold=9.0))
    packed = torch.randn(2, 5, 6)
    with norm.streams.activate(["b"]):
        torch.testing.assert_close(norm(packed), plain_twin(norm, "layer", 1)(packed))
    with norm.streams.activate(["a", "c"]):
        found = norm(packed)
    other = plain_twin(norm, "layer", 2)(packed[1:])[..., :2]  # the own part of a
    torch.testing.assert_close(found[:1, :, :2], other)


def test_the_gradient_of_a_replaced_channel_goes_to_the_donor() -> None:
    norm = made("layer", "ab", -1, exchange=ExchangeRule(threshold=0.5))
    norm.weight.data.fill_(1.0)
    norm.weight.data[0, 0] = 0.0
    packed = torch.randn(2, 5, 6, requires_grad=True)
    norm(packed)[0, :, 0].sum().backward()
    assert norm.weight.grad is not None
    assert not norm.weight.grad[0].any()
    assert norm.weight.grad[1, 0] != 0
    assert packed.grad is not None
    assert not packed.grad[0].any()


def test_penalty_rate_and_inspection_read_it_as_any_norm() -> None:
    net = nn.Sequential(made("rms", "ab", -1, exchange=ExchangeRule(threshold=0.02)))
    net[0].weight.data.fill_(1.0)
    net[0].weight.data[0, 0] = 0.0
    assert float(sparsity(net)) == 5
    assert float(exchange_rate(net)) == pytest.approx(1 / 6)
    entry = inspect(net).layers[0]
    assert (entry.stream, entry.own, entry.replaced) == ("a", 3, 1)


def test_bfloat16_under_autocast_stays_what_the_plain_norm_gives() -> None:
    norm = made("layer", "ab", -1)
    packed = torch.randn(4, 5, 6).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, plain = norm(packed), plain_twin(norm, "layer", 1)(packed[1::2])
    assert found.dtype == plain.dtype
    torch.testing.assert_close(found[1::2].float(), plain.float(), rtol=0.05, atol=0.05)


def test_wrong_channels_are_told_with_their_axis() -> None:
    with pytest.raises(ShapeError, match=r"expected \(rows, …, 6\)"):
        made("layer", "ab", -1)(torch.ones(4, 6, 5))
