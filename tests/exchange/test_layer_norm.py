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


class Between(nn.Module):
    """A norm that exchanges half of its own channels, between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 4)
        self.norm = StreamLayerNorm(8, Streams(["a", "b"]), exchange=ExchangeRule())
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        assert self.norm.bias is not None
        nn.init.normal_(self.norm.bias)
        with torch.no_grad():
            self.norm.weight[0, :2] = self.norm.weight[1, 4:6] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.norm(self.first(x)))
        return found


def learnt(net: nn.Module, x: Tensor, device: str, *, autocast: bool, inside: bool) -> list[Tensor]:
    """A result, and gradients of the input and all parameters; ``inside``: within autocast."""
    given, upstream = x.to(device).requires_grad_(), torch.linspace(-1, 1, 4, device=device)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        result = net(given)
        if inside:
            result.backward(upstream.expand_as(result).to(result.dtype))
    if not inside:
        result.backward(upstream.expand_as(result).to(result.dtype))
    gradients = [given.grad, *(parameter.grad for parameter in net.parameters())]
    assert all(gradient is not None for gradient in gradients)
    return [result.detach(), *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
        ),
    ],
)
def test_a_step_under_autocast_is_that_of_float32_within_its_rounding(
    device: str, inside: bool
) -> None:
    """The backward pass may be called within autocast or behind it; gradients are float32."""
    x = torch.randn(4, 5, 6)
    expected = learnt(Between(), x, "cpu", autocast=False, inside=False)
    found = learnt(Between().to(device), x, device, autocast=True, inside=inside)
    assert found[0].dtype == torch.bfloat16
    assert {gradient.dtype for gradient in found[1:]} == {torch.float32}
    for one, other in zip(found, expected, strict=True):
        apart = float((one.float().cpu() - other).norm() / other.norm())
        assert apart < 0.02


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_rows_and_scales_of_one_dtype_are_what_the_plain_norm_gives(dtype: torch.dtype) -> None:
    """A network that is all of one precision, with and without autocast."""
    norm = made("layer", "ab", -1).to(dtype)
    packed = torch.randn(4, 5, 6).to(dtype)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found, plain = norm(packed), plain_twin(norm, "layer", 1).to(dtype)(packed[1::2])
        assert found.dtype == plain.dtype == dtype
        torch.testing.assert_close(found[1::2].float(), plain.float(), rtol=0.05, atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_of_a_gpu_gives_what_the_plain_norm_gives(dtype: torch.dtype) -> None:
    norm = made("layer", "ab", -1).to("cuda", dtype)
    packed = torch.randn(4, 5, 6, device="cuda", dtype=torch.bfloat16)
    plain = plain_twin(norm, "layer", 1).to("cuda", dtype)
    with torch.autocast("cuda", torch.bfloat16):
        found, expected = norm(packed), plain(packed[1::2])
    assert found.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(found[1::2], expected, rtol=1e-4, atol=1e-4)


def test_wrong_channels_are_told_with_their_axis() -> None:
    with pytest.raises(ShapeError, match=r"expected \(rows, …, 6\)"):
        made("layer", "ab", -1)(torch.ones(4, 6, 5))
