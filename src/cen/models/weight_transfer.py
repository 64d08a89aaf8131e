"""Weights from one network to another whose layers are the same, but for their streams."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange import (
    MultiStream,
    StreamConv2d,
    StreamNorm,
    Streams,
    StreamStem,
)
from cen.exchange.conversion.private_stems import stems_of
from cen.exchange.conversion.replacement import replace_layers
from cen.stream import Stream, input_of, output_of


def transfer(
    old: nn.Module, new: nn.Module, prefix: str = "", outputs: Collection[str] = ()
) -> list[str]:
    """Copy every tensor of ``old`` that has a counterpart of its shape in ``new``.

    Both have the same layers, but for the streams. The tensors of a stream layer have one row per
    stream, and rows are matched by the streams' names; all start from a norm or a convolution that
    the streams of ``old`` share.

    Args:
        old: Where the weights are from.
        new: The layers that get them.
        prefix: Of the names that are returned.
        outputs: What ``new`` predicts. The streams of one output alone are named by their inputs,
            and start from those of this output.

    Returns:
        Names of the weights and statistics of ``new`` that stay as they were, behind ``prefix``.
    """
    layers: dict[str, Any] = dict(old.named_modules())
    left = []
    for name, layer in new.named_modules():
        before = layers.get(name)
        if before is None and isinstance(layer, StreamNorm):
            before = layers.get(name.removesuffix(".norm"))  # a norm and an activation in one
        taken = set() if before is None else _copied(before, layer, outputs)
        learned = dict(layer.named_parameters(recurse=False)).keys() | _STATISTICS
        kept = [key for key in _own_tensors(layer) if key in learned and key not in taken]
        left += [f"{prefix}{name}.{key}" if name else f"{prefix}{key}" for key in kept]
    return left


_STATISTICS = {"running_mean", "running_var"}


def _copied(old: Any, new: nn.Module, outputs: Collection[str]) -> set[str]:
    """Copies the tensors of one layer, without those inside it; the names of what was copied."""
    streams: Any = getattr(new, "streams", None)
    # The layers are the same, so that it is a norm, whatever library it is of.
    is_shared = isinstance(new, StreamNorm) and not isinstance(old, StreamNorm)
    source = _own_tensors(old)
    if isinstance(new, StreamConv2d) and isinstance(old, nn.Conv2d):
        is_shared = True
        source["weight"] = source["weight"].flatten(2)
    elif isinstance(new, nn.Conv2d) and isinstance(old, StreamConv2d):
        kernels = _kernels_of(old, outputs)
        if len(kernels) != 1:
            return set()
        (kernel,) = kernels
        source = {key: value[kernel] for key, value in source.items()}
        source["weight"] = torch.unflatten(source["weight"], -1, old.kernel_size)
    elif type(old) is not type(new) and not is_shared:
        return set()
    copied = set()
    for key, target in _own_tensors(new).items():
        if key not in source:
            continue
        value = source[key]
        if is_shared:
            value = value.expand(len(target), *value.shape)
        elif isinstance(streams, Streams):
            if key == "chosen" and old.streams.names != streams.names:
                continue  # other streams have other parts, of which the new layer has drawn
            value = value[_rows_of(old, new, outputs)]
        if value.shape == target.shape:
            target.copy_(value)
            copied.add(key)
    return copied


@torch.no_grad()
def restreamed(
    network: MultiStream,
    streams: Streams,
    channels: Mapping[str, int],
    stem: str | Sequence[str] | None = None,
) -> MultiStream:
    """A copy of a converted network for other streams, each of which starts from its closest one.

    Args:
        network: The network.
        streams: Its new streams.
        channels: Channels of each.
        stem: Names of the convolutions that take the image, as in its conversion.
    """
    new_network: MultiStream = copy.deepcopy(network, {id(network.streams): streams})
    rows = _rows(network.streams.names, streams.names)
    new_network.channels, new_network.widest = dict(channels), max(channels.values())
    new_network.first_pass = network.first_pass.again()
    counts = [channels[name] for name in streams.names]
    stems: dict[int, nn.Module] = {}
    private = False
    for layer in new_network.modules():
        if isinstance(layer, StreamNorm):
            layer.restream(rows)
        elif isinstance(layer, StreamConv2d):
            private = True
            layer.kernels = streams.every
            for name, value in layer.named_parameters(recurse=False):
                setattr(layer, name, nn.Parameter(value[rows], value.requires_grad))
        elif isinstance(layer, StreamStem):
            stems[id(layer)] = layer.restreamed(streams, counts)
    if not stems:
        kind = "private" if private else "shared"
        stems = stems_of(new_network.module, streams, channels, stem, kind)
    new_network.module = replace_layers(new_network.module, stems)
    return new_network


def _own_tensors(layer: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers of one layer, without those of the layers inside it."""
    keys = {key for key in layer.state_dict() if "." not in key}
    own = {
        **dict(layer.named_parameters(recurse=False)),
        **dict(layer.named_buffers(recurse=False)),
    }
    return {key: value for key, value in own.items() if key in keys}


def _kernels_of(conv: StreamConv2d, outputs: Collection[str]) -> set[int]:
    """The kernels that the streams of these outputs take."""
    pairs = zip(conv.streams.names, conv.kernels, strict=True)
    return {kernel for name, kernel in pairs if output_of(name) in outputs}


def _rows_of(old: Any, new: Any, outputs: Collection[str]) -> list[int]:
    """Which row of a layer's tensors each row of the new layer's starts from."""
    names = new.streams.names
    if len(outputs) == 1:
        (output,) = outputs
        names = tuple(Stream(output, input_of(name)) for name in names)
    rows = _rows(old.streams.names, names)
    if not isinstance(new, StreamConv2d):
        return rows
    # A kernel starts from that of the first stream that takes it.
    return [old.kernels[rows[new.kernels.index(k)]] for k in range(len(new.weight))]


def _rows(old: tuple[str, ...], new: tuple[str, ...]) -> list[int]:
    """Which old stream each new one starts from."""
    return [old.index(_closest(name, old)) for name in new]


def _closest(name: str, candidates: tuple[str, ...]) -> str:
    """The stream itself, else one of the same input, else of the same output, else the first."""

    def closeness(candidate: str) -> tuple[bool, bool, bool]:
        same_input = input_of(candidate) == input_of(name)
        if not isinstance(candidate, Stream) or not isinstance(name, Stream):
            return candidate == name, same_input, False
        return candidate == name, same_input, candidate.output == name.output

    return max(candidates, key=closeness)
