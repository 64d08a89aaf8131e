"""Weights from one network to another whose layers are the same, but for their streams."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cen.exchange import Streams
from cen.stream import Stream, input_of


def transfer(old: nn.Module, new: nn.Module) -> None:
    """Copy every tensor of ``old`` that has a counterpart of its shape in ``new``.

    Both have the same layers, but for the streams. The tensors of a stream layer have one row per
    stream, and rows are matched by the streams' names.
    """
    layers: dict[str, Any] = dict(old.named_modules())
    for name, layer in new.named_modules():
        if name not in layers or type(layers[name]) is not type(layer):
            continue
        source = _own_tensors(layers[name])
        streams: Any = getattr(layer, "streams", None)
        for key, target in _own_tensors(layer).items():
            if key not in source:
                continue
            value = source[key]
            if isinstance(streams, Streams):
                if key == "chosen" and layers[name].streams.names != streams.names:
                    continue  # other streams have other parts, of which the new layer has drawn
                rows = _rows(layers[name].streams.names, streams.names)
                value = value[rows]
            if value.shape == target.shape:
                target.copy_(value)


def _own_tensors(layer: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers of one layer, without those of the layers inside it."""
    keys = {key for key in layer.state_dict() if "." not in key}
    own = {
        **dict(layer.named_parameters(recurse=False)),
        **dict(layer.named_buffers(recurse=False)),
    }
    return {key: value for key, value in own.items() if key in keys}


def _rows(old: tuple[str, ...], new: tuple[str, ...]) -> list[int]:
    """Which old stream each new one starts from."""
    return [old.index(_closest(name, old)) for name in new]


def _closest(name: str, known: tuple[str, ...]) -> str:
    """The stream itself, else one of the same input, else of the same output, else the first."""
    for candidate in known:
        if candidate == name:
            return candidate
    for candidate in known:
        if input_of(candidate) == input_of(name):
            return candidate
    for candidate in known:
        if _same_output(candidate, name):
            return candidate
    return known[0]


def _same_output(one: str, other: str) -> bool:
    return isinstance(one, Stream) and isinstance(other, Stream) and one.output == other.output
