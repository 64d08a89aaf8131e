"""How equality travels through each operation: every row of the table."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.exchange.streams import widen
from cen.folding import Folded, Layout
from cen.folding.recording import NotRecordableError, Packable, Recorder
from cen.folding.rules import TABLE

COMMON = (4, 1)
PRIVATE = (0, 2, 3)
CHANNELS = 5


def folded(streams: int = 2, seed: int = 0, common: tuple[int, ...] = COMMON) -> Folded:
    """Five channels of 6 × 8 values in double precision, some equal in all streams."""
    generator = torch.Generator().manual_seed(seed)
    private = tuple(c for c in range(CHANNELS) if c not in common)
    width = len(common) + streams * len(private)
    rows = []
    for s in range(streams):
        at = {c: place for place, c in enumerate(common)}
        at |= {c: len(common) + s * len(private) + place for place, c in enumerate(private)}
        rows.append(tuple(at[c] for c in range(CHANNELS)))
    wide = torch.rand(2, width, 6, 8, dtype=torch.float64, generator=generator) + 0.1
    return Folded(Recorder(TABLE, {}).input(wide), Layout(tuple(rows), width))


def value(x: Any) -> Tensor:
    """What a folded tensor is, packed; what a recorded one is."""
    found: Tensor = (x.packed() if isinstance(x, Packable) else x).value
    return found


def equal_channels(packed: Tensor, streams: int) -> set[int]:
    """The channels of a packed tensor that are the same in all streams."""
    rows = packed.unflatten(0, (-1, streams))
    return {
        c
        for c in range(packed.shape[1])
        if torch.equal(rows[:, :1, c].expand_as(rows[:, :, c]), rows[:, :, c])
    }


CONV = nn.Conv2d(CHANNELS, 7, 3, padding=1, stride=2).double().requires_grad_(False)
UP = nn.ConvTranspose2d(CHANNELS, 4, 4, 2, 1).double().requires_grad_(False)
DEEP = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS).double().requires_grad_(False)
NORM = nn.BatchNorm2d(CHANNELS).double().eval().requires_grad_(False)
NORM.running_mean.copy_(torch.rand(CHANNELS))  # type: ignore[union-attr]
LINEAR = torch.rand(3, CHANNELS, dtype=torch.float64)
GATE = torch.rand(1, CHANNELS, 1, 1, dtype=torch.float64)

ALL, SAME, NONE = set(range(CHANNELS)), set(COMMON), set[int]()
ROWS: dict[str, tuple[Callable[[Any], Any], set[int]]] = {
    "relu": (F.relu, SAME),
    "gelu": (F.gelu, SAME),
    "silu method": (lambda x: x.sigmoid() * x, SAME),
    "leaky relu": (lambda x: F.leaky_relu(x, 0.2), SAME),
    "clamp": (lambda x: x.clamp(min=0.3), SAME),
    "dropout in eval mode": (lambda x: F.dropout(x, 0.5, training=False), SAME),
    "a number": (lambda x: 2 * x - 1, SAME),
    "division": (lambda x: x / 3, SAME),
    "into a number": (lambda x: 1 / x, SAME),
    "negation": (lambda x: -x, SAME),
    "a scale per channel": (lambda x: x * GATE, SAME),
    "a shift per channel": (lambda x: x + GATE[0], SAME),
    "max pooling": (lambda x: F.max_pool2d(x, 3, 1, 1), SAME),
    "average pooling": (lambda x: F.avg_pool2d(x, 2), SAME),
    "adaptive pooling": (lambda x: F.adaptive_avg_pool2d(x, 3), SAME),
    "mean over space": (lambda x: x.mean((2, 3), keepdim=True), SAME),
    "resizing": (lambda x: F.interpolate(x, (9, 5), mode="bilinear"), SAME),
    "padding": (lambda x: F.pad(x, (1, 2, 0, 1), mode="replicate"), SAME),
    "cropping": (lambda x: x[:, :, 1:, :-2], SAME),
    "cropping with dots": (lambda x: x[..., ::2], SAME),
    "mirroring": (lambda x: x.flip(-1), SAME),
    "type": (lambda x: x.to(torch.float32), SAME),
    "channels last": (lambda x: x.contiguous(memory_format=torch.channels_last), SAME),
    "plain norm": (NORM, SAME),
    "depthwise convolution": (DEEP, SAME),
    "convolution": (CONV, NONE),
    "transposed convolution": (UP, NONE),
    "some channels": (lambda x: x[:, 1:4], {0}),
    "softmax over channels": (lambda x: x.softmax(1), NONE),
    "linear layer of pixels": (lambda x: F.linear(x.mean((2, 3)), LINEAR), NONE),
    "tiling one channel": (lambda x: x[:, 1:2].expand(-1, 3, -1, -1), {0, 1, 2}),
    "added to itself": (lambda x: x + x, SAME),
    "joined with itself": (lambda x: torch.cat([x, x], 1), {1, 4, 6, 9}),
    "squeeze and excitation": (lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(), SAME),
}


@pytest.mark.parametrize("streams", [2, 3])
@pytest.mark.parametrize("operation", ROWS)
def test_rows_of_the_table(operation: str, streams: int) -> None:
    function, common = ROWS[operation]
    x = folded(streams)
    found, expected = function(x), function(value(x))
    if isinstance(found, Folded):
        assert set(found.layout.common) == common
        assert tuple(int(size) for size in found.shape) == expected.shape
    else:
        assert common == NONE
    torch.testing.assert_close(value(found), expected, rtol=1e-12, atol=1e-13, check_dtype=True)
    assert common <= equal_channels(expected, streams)


@pytest.mark.parametrize("layer", [CONV, UP])
def test_a_convolution_of_common_channels_is_common(layer: nn.Module) -> None:
    x = folded(common=(2, 0, 1, 4, 3))
    found = layer(x)
    torch.testing.assert_close(value(found), layer(value(x)))
    assert len(found.layout.common) == found.layout.width
    assert len(found.wide.value) == 2


@pytest.mark.parametrize("other", [(), (4, 1), (1, 0), (1, 4), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("function", [torch.add, torch.mul, torch.sub])
def test_two_tensors_have_in_common_what_both_have(
    other: tuple[int, ...], function: Callable[[Any, Any], Any]
) -> None:
    x, y = folded(), folded(seed=1, common=other)
    y.wide = x.recorder.input(y.wide.value)
    found = function(x, y)
    torch.testing.assert_close(value(found), function(value(x), value(y)))
    assert set(found.layout.common) == set(COMMON) & set(other)
    joined: Any = torch.cat([x, y], 1)  # type: ignore[list-item]
    torch.testing.assert_close(value(joined), torch.cat([value(x), value(y)], 1))
    assert set(joined.layout.common) == set(COMMON) | {5 + c for c in other}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.relu_(x - 0.5),
        lambda x: F.relu(x - 0.5, inplace=True),
        lambda x: (x - 0.5).mul_(2),
        lambda x: (x - 0.5).add_(x),
        lambda x: (x - 0.5).clamp_(0, 0.2),
    ],
)
def test_operations_in_place(function: Callable[[Any], Any]) -> None:
    x = folded()
    before = value(x).clone()
    torch.testing.assert_close(value(function(x)), function(before.clone()))
    assert torch.equal(value(x), before)


def test_whoever_holds_a_tensor_sees_it_changed_in_place() -> None:
    """RefineNet's first activation changes the residual that it is added to."""
    x = folded() - 0.5
    held = x
    F.relu(x, inplace=True)
    assert float(value(held).min()) == 0
    conv = CONV(held)  # computed later, from what is there now
    expected = CONV(value(held).clone())
    held.mul_(0)
    torch.testing.assert_close(value(conv), expected)


def test_chunks_are_those_of_torch() -> None:
    x = folded()
    for found, expected in zip(x.chunk(2, 1), value(x).chunk(2, 1), strict=True):
        torch.testing.assert_close(value(found), expected)
    for found, expected in zip(x.split([1, 4], 1), value(x).split([1, 4], 1), strict=True):
        torch.testing.assert_close(value(found), expected)


def test_what_no_rule_knows_gets_the_packed_tensor_and_is_noted() -> None:
    x = folded()
    found = F.pixel_shuffle(x[:, :4], 2)  # type: ignore[arg-type]
    torch.testing.assert_close(value(found), F.pixel_shuffle(value(x)[:, :4], 2))
    assert x.recorder.unfolded == {"pixel_shuffle": 1}
    assert torch.equal(value(x.sum()), value(x).sum())
    assert torch.equal(value(x.transpose(2, 3)), value(x).transpose(2, 3))


def test_an_unknown_operation_in_place_changes_the_tensor() -> None:
    x = folded()
    expected = value(x).clone().cumsum_(1)
    x.cumsum_(1)
    assert torch.equal(value(x), expected)


def test_it_quacks_like_the_packed_tensor() -> None:
    x = folded(3)
    packed = value(x)
    assert isinstance(x, Tensor)
    assert (x.ndim, x.dtype, x.device) == (4, packed.dtype, packed.device)
    assert tuple(map(int, x.shape)) == packed.shape
    assert (int(x.size(0)), x.dim(), int(x.numel())) == (6, packed.dim(), packed.numel())
    assert x.is_contiguous()
    assert torch.equal(x.apart().value, widen(packed, 3))
    with pytest.raises(AttributeError):
        _ = x.no_such_thing


def test_what_depends_on_values_is_no_graph() -> None:
    x = folded()
    with pytest.raises(NotRecordableError, match="values of a tensor"):
        bool(x.sum() > 0)
    with pytest.raises(NotRecordableError, match="values of a tensor"):
        x.sum().item()


def test_a_decision_by_sizes_binds_the_graph_to_them() -> None:
    x = folded()
    _ = F.pad(x, (x.shape[-1] - 1, 0))  # type: ignore[arg-type]
    assert not x.recorder.sized
    assert x.shape[-1] > x.shape[-2]
    assert x.recorder.sized
