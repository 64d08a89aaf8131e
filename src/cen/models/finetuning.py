"""Carrying a network's weights over to other inputs, outputs or classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ConfigError, described
from cen.exchange import Streams
from cen.models.baselines import FusedNetwork
from cen.models.builders import build
from cen.models.network import ChannelExchangeNetwork
from cen.models.stems import adapt_channels
from cen.stream import Stream, input_of
from cen.tasks import Task


def finetune(
    net: ChannelExchangeNetwork,
    *,
    inputs: Mapping[str, int] | None = None,
    outputs: Mapping[str, int | Task] | None = None,
) -> ChannelExchangeNetwork:
    """Build a network for other inputs, classes or tasks that keeps every weight that fits.

    This project's extension. Kept are: all shared convolutions; the norms (scales, shifts,
    statistics) and private convolutions of every stream that stays, by name; the classifier and
    the ensemble's scalars of an output whose name, kind and number of channels stay. A new input
    starts from the norms of the first old one; as a decoder stream, from that of the same input,
    else of the same output, else from the first. A private stem whose number of channels changes
    is adapted by the rule of `adapt_channels`. A new or changed classifier starts afresh. Options
    (widths, exchange rule, ...) stay as they are.

    Args:
        net: the network to start from; it is not changed.
        inputs: channels of each input of the new network; None for those of ``net``.
        outputs: classes or `Task` of each output of the new network; None for those of ``net``.

    Returns:
        A new network, on the device and with the dtype and training mode of ``net``.

    Raises:
        ConfigError: if an input or output cannot be built.
        StreamError: if a name cannot be used.
    """
    if not isinstance(net, ChannelExchangeNetwork):
        raise ConfigError(
            f"finetune takes a network that cen.build or cen.load gave, not {described(net)}"
        )
    config = {**net.config}
    config["inputs"] = net.inputs if inputs is None else inputs
    config["outputs"] = net.outputs if outputs is None else outputs
    new = build(**config)
    reference = next(net.parameters())
    new.to(device=reference.device, dtype=reference.dtype)
    with torch.no_grad():
        _carry(net.encoder, new.encoder)
        _carry(net.decoder, new.decoder)
        _carry_stems(net, new)
        for name, task in new.outputs.items():
            old = net.outputs.get(name)
            if old is not None and (old.kind, old.channels) == (task.kind, task.channels):
                _carry(net.heads[name], new.heads[name])
                if name in new.alpha:
                    new.alpha[name].copy_(_alpha(net, new, name))
        if isinstance(net, FusedNetwork) and isinstance(new, FusedNetwork):
            _carry(net.fusion, new.fusion)
    preprocessing = net.metadata.get("preprocessing", {})
    new.metadata = {
        "preprocessing": {
            name: value for name, value in preprocessing.items() if _same_input(net, new, name)
        },
        **{key: net.metadata[key] for key in ("conventions",) if key in net.metadata},
    }
    return new.train(net.training)


def _same_input(old: ChannelExchangeNetwork, new: ChannelExchangeNetwork, name: str) -> bool:
    return name in new.inputs and old.inputs.get(name) == new.inputs[name]


def _alpha(old: ChannelExchangeNetwork, new: ChannelExchangeNetwork, output: str) -> Tensor:
    """The scalars of the streams that stay; a new stream gets their mean."""
    scalars = dict(zip(old.inputs, old.alpha[output], strict=True))
    mean = old.alpha[output].mean()
    return torch.stack([scalars.get(name, mean) for name in new.inputs])


def _carry(old: nn.Module, new: nn.Module) -> None:
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


def _carry_stems(old: ChannelExchangeNetwork, new: ChannelExchangeNetwork) -> None:
    """Start each private stem from the old one of its name, else from the shared convolution."""
    shared: Any = old.encoder.conv1
    first: Any = next(iter(old.stems.values())) if shared is None else shared
    for name, stem in new.stems.items():
        source: Any = old.stems[name] if name in old.stems else first  # noqa: SIM401
        target: Any = stem
        target.weight.copy_(adapt_channels(source.weight, target.weight.shape[1]))
    conv1: Any = new.encoder.conv1
    if conv1 is not None and shared is None:
        conv1.weight.copy_(adapt_channels(first.weight, 3))
