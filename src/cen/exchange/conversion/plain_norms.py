"""What the norms of single-stream networks are: by what they compute, not by their names.

A layer of another library is believed to be a layer norm, say, when it gives on random values what
a layer norm gives with its weights; then the stream norm of that kind takes its place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cen.exchange.batch_norm import StreamBatchNorm
from cen.exchange.group_norm import StreamGroupNorm
from cen.exchange.instance_norm import StreamInstanceNorm
from cen.exchange.layer_norm import StreamLayerNorm, StreamRMSNorm
from cen.exchange.rule import ExchangeRule
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams
from cen.exchange.sync_batch_norm import StreamSyncBatchNorm

BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
MAPS = (*BATCH, *INSTANCE, nn.GroupNorm)
Kind = Literal["batch norm", "instance norm", "group norm", "layer norm", "RMS norm"]
_EPS = ("eps", "variance_epsilon", "epsilon")


@dataclass(frozen=True)
class PlainNorm:
    """A norm of a single-stream network.

    Attributes:
        kind: What it computes.
        layer: The layer itself.
        channels: C.
        channel_axis: Where its channels lie.
        eps: What it adds to the variance; None is RMS norm's own choice.
        after: What the layer does after the norm, in turn: dropout, activation.
    """

    kind: Kind
    layer: nn.Module
    channels: int
    channel_axis: int = 1
    eps: float | None = 1e-5
    after: tuple[nn.Module, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether it has a scale."""
        return getattr(self.layer, "weight", None) is not None

    @property
    def of_positions(self) -> bool:
        """Whether it normalises over the channels of each position, and not over maps."""
        return self.kind in ("layer norm", "RMS norm")

    def weak(self, threshold: float) -> bool:
        """Whether most of its scales lie below θ, so that it was never trained to be read."""
        scale = self.layer.weight if self.scaled else None
        if not isinstance(scale, Tensor) or scale.is_meta or is_lazy(scale):
            return False
        return float((scale.detach().abs() < threshold).float().mean()) > 0.5

    def twin(self, streams: Streams, rule: ExchangeRule | None) -> StreamNorm:
        """A stream norm with its options, not yet its weights."""
        layer: Any = self.layer
        options: dict[str, Any] = {
            "exchange": rule,
            "bias": getattr(layer, "bias", None) is not None,
        }
        if self.of_positions:
            kind = StreamLayerNorm if self.kind == "layer norm" else StreamRMSNorm
            return kind(
                self.channels, streams, eps=self.eps, channel_axis=self.channel_axis, **options
            )
        if self.kind == "group norm":
            return StreamGroupNorm(
                layer.num_groups, self.channels, streams, eps=layer.eps, **options
            )
        # As in PyTorch, the buffers decide what is used, and the attribute whether they move.
        options["track_running_stats"] = layer.running_mean is not None
        momentum = layer.momentum if layer.track_running_stats else 0.0
        if self.kind == "instance norm":
            return StreamInstanceNorm(
                self.channels, streams, eps=layer.eps, momentum=momentum or 0.0, **options
            )
        if isinstance(layer, nn.SyncBatchNorm):
            stream_norm = StreamSyncBatchNorm(
                self.channels, streams, eps=layer.eps, momentum=momentum, **options
            )
            stream_norm.process_group = layer.process_group
            return stream_norm
        return StreamBatchNorm(self.channels, streams, eps=layer.eps, momentum=momentum, **options)


def plain_norm(layer: nn.Module) -> PlainNorm | str | None:
    """What norm a layer is.

    Returns:
        The norm; or, of what normalises by its class or name, why it is none that has a stream
        norm; None for any other layer.
    """
    with torch.device("cpu"):  # where networks are built without values, too
        return _plain_norm(layer)


def _plain_norm(layer: nn.Module) -> PlainNorm | str | None:
    if isinstance(layer, MAPS):
        return _norm_of_maps(layer)
    own = dict(layer.named_parameters())
    channels = _channels(layer)
    if channels and type(layer) is nn.LayerNorm:
        return PlainNorm("layer norm", layer, channels, -1, layer.eps)
    if channels and own.keys() <= {"weight", "bias"}:
        norm = _norm_of_positions(layer, channels)
        if norm is not None:
            return norm
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm) and len(layer.normalized_shape) > 1:
        return "it normalises over more than channels"
    named = isinstance(layer, nn.LayerNorm | nn.RMSNorm) or "norm" in type(layer).__name__.lower()
    if named and any(True for _ in layer.parameters(recurse=False)):
        return "it computes something else than the norms that have a stream norm"
    return None


def _channels(layer: nn.Module) -> int:
    """C of what may be a layer norm: of its only axis of weights; 0 where there is no such."""
    scale, shift = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if isinstance(scale, nn.Parameter) and not is_lazy(scale):
        fits = scale.ndim == 1 and (shift is None or shift.shape == scale.shape)
        return len(scale) if fits else 0
    shape = getattr(layer, "normalized_shape", ())
    return int(shape[0]) if scale is None and isinstance(shape, tuple) and len(shape) == 1 else 0


def _norm_of_maps(layer: Any) -> PlainNorm | str:
    """A batch, instance or group norm, or what a subclass of one makes of it."""
    stock = next(kind for kind in MAPS if isinstance(layer, kind))
    group = stock is nn.GroupNorm
    kind: Kind = "instance norm" if stock in INSTANCE else "group norm" if group else "batch norm"
    channels = layer.num_channels if group else layer.num_features
    if type(layer).forward is stock.forward:
        return PlainNorm(kind, layer, channels)
    dims = {"1": 1, "3": 3}.get(stock.__name__[-2], 2)
    sample = torch.randn(2, channels, *[4] * dims, generator=torch.Generator().manual_seed(0))

    def stocked(probe: Any, x: Tensor) -> Tensor:
        result: Tensor = stock.forward(probe, x)
        return result

    for after in _rests(layer):
        if all(_computes(layer, sample, stocked, after, mode) for mode in (False, True)):
            return PlainNorm(kind, layer, channels, after=after)
    return "it has a forward of its own, and it is not act(drop(norm(x)))"


def _norm_of_positions(layer: nn.Module, channels: int) -> PlainNorm | None:
    """A layer norm or RMS norm, if on random values the layer is one; its channel axis with it."""
    eps = next((getattr(layer, name) for name in _EPS if hasattr(layer, name)), None)
    if eps is not None and not isinstance(eps, float):
        return None
    one, other = [size for size in (3, 5, 7) if size != channels][:2]
    shapes = {
        -1: [(2, one, channels), (2, one, other, channels), (2, channels)],
        1: [(2, channels, one, other), (2, channels, one)],
    }
    kinds: tuple[Kind, Kind] = ("layer norm", "RMS norm")
    norms: list[PlainNorm] = []
    for (axis, of_axis), kind, after in product(shapes.items(), kinds, _rests(layer)):
        norm = PlainNorm(kind, layer, channels, axis, eps, after)
        agree = [_agrees(norm, shape) for shape in of_axis]
        if True in agree and False not in agree and axis not in [one.channel_axis for one in norms]:
            norms.append(norm)
    # With both axes it would depend on the shape where the channels lie.
    return norms[0] if len(norms) == 1 else None


def _agrees(norm: PlainNorm, shape: Sequence[int]) -> bool | None:
    """Whether a layer computes the norm on values of a shape; None where it takes none of it."""
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(*shape, generator=generator) + 0.5  # a mean that must be taken away
    sample[0] *= (norm.eps or 1e-6) ** 0.5  # a variance beside which eps counts

    def stock(probe: Any, x: Tensor) -> Tensor:
        rows, shift = x.movedim(norm.channel_axis, -1), getattr(probe, "bias", None)
        if norm.kind == "layer norm":
            normalised = F.layer_norm(rows, (norm.channels,), probe.weight, shift, norm.eps or 0.0)
        else:
            normalised = F.rms_norm(rows, (norm.channels,), probe.weight, norm.eps)
            normalised = normalised if shift is None else normalised + shift
        return normalised.movedim(-1, norm.channel_axis)

    return _computes(norm.layer, sample, stock, norm.after)


def _rests(layer: nn.Module) -> list[tuple[nn.Module, ...]]:
    """What may follow a norm in its layer: nothing, or dropout and activation as elsewhere."""
    drop = getattr(layer, "drop", None)
    act = getattr(layer, "act", getattr(layer, "activation", None))
    rest = tuple(part for part in (drop, act) if isinstance(part, nn.Module))
    return [(), rest] if rest else [()]


@torch.no_grad()
def _computes(
    layer: nn.Module,
    sample: Tensor,
    stock: Callable[[Any, Tensor], Tensor],
    after: Sequence[nn.Module],
    training: bool = False,
) -> bool | None:
    """Whether a layer with random weights gives what ``stock`` and then ``after`` give.

    In training its buffers must move alike, too. None where it does not take the sample at all.
    """
    try:
        (probe, _), (twin, rest) = (_randomised(layer, after, training) for _ in range(2))
        actual = probe(sample.clone())
    except Exception:  # whatever a foreign layer raises, it is no such norm
        return None
    expected = stock(twin, sample.clone())
    for part in rest:
        expected = part(expected)
    if not isinstance(actual, Tensor) or actual.shape != expected.shape:
        return False
    pairs = [(actual, expected), *zip(probe.buffers(), twin.buffers(), strict=True)]
    return all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in pairs)


def _randomised(
    layer: nn.Module, after: Sequence[nn.Module], training: bool
) -> tuple[nn.Module, tuple[nn.Module, ...]]:
    """A copy of a layer and of what follows in it, with the same random values each time."""
    probe, rest = copy.deepcopy((layer, tuple(after)))
    # On the CPU whatever the layer's device is, meta included.
    probe = probe.to_empty(device="cpu").float().train(training)
    for part in rest:
        part.eval()
    generator = torch.Generator().manual_seed(1)
    for values in (*probe.parameters(), *probe.buffers()):
        drawn = torch.rand(values.shape, generator=generator) + 0.5
        values.data.copy_(drawn if values.is_floating_point() else torch.zeros_like(drawn))
    return probe, rest
