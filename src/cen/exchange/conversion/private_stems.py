"""First convolutions of their own for streams of other numbers of channels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.errors import ConfigError, ConversionError, ShapeError, StreamError, described
from cen.exchange.conversion.replacement import fault_of_weights
from cen.exchange.streams import Streams

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weight for another number of input channels.

    The rule (this project's extension) keeps the response to an image whose channels are all
    equal, so the norm behind the convolution sees values of the size it was trained for:

    - as many or more channels: channel i gets the weight of channel i mod C, divided by the
      number of channels that share it (with RGB weights, the first three stay R, G, B);
    - fewer channels: each gets an equal share of the sum of all the weights.

    Args:
        weight: (O, C, *).
        channels: Number of input channels wanted, at least 1.

    Returns:
        A new tensor (O, channels, *).
    """
    own_channels = weight.shape[1]
    if channels < own_channels:
        share = weight.sum(1, keepdim=True) / channels
        return share.repeat(1, channels, *[1] * (weight.ndim - 2))
    # Counted on the host: a network that is loaded is first built without values.
    index = torch.arange(channels, device="cpu") % own_channels
    shares = torch.bincount(index, minlength=own_channels)[index].to(weight)
    return weight[:, index.to(weight.device)] / shares.view(1, -1, *[1] * (weight.ndim - 2))


class StreamStem(nn.Module):
    """A first convolution of streams that have different numbers of channels.

    Streams of as many channels as the plain one takes share it; each of the others has a copy whose
    weights are adapted by `adapt_channels`. The packed tensor has the channels of the widest
    stream; those that a stream has not are zeros, and are not read.

    Args:
        conv: The plain convolution.
        streams: The streams.
        channels: Channels of each stream, in their order.

    Raises:
        StreamError: The name of a stream cannot be that of a module.
        ConversionError: The convolution cannot be made for other numbers of channels.
    """

    def __init__(self, conv: nn.Module, streams: Streams, channels: Sequence[int]) -> None:
        super().__init__()
        plain: Any = conv
        self.streams, self.channels = streams, dict(zip(streams.names, channels, strict=True))
        self.taken: int = plain.in_channels
        private = {name: c for name, c in self.channels.items() if c != self.taken}
        # Nobody's convolution would be one without gradients.
        self.shared = plain if len(private) < len(streams) else None
        self.private = nn.ModuleDict()
        for name, count in private.items():
            own = adapted(plain, count)
            try:
                self.private[name] = own
            except (KeyError, TypeError) as error:
                raise StreamError(f"stream {name!r} cannot be named so: {error}") from error

    def restreamed(self, streams: Streams, channels: Sequence[int]) -> nn.Module:
        """The same for other streams; those with a name and channels of now keep their weights."""
        first = next(iter(self.private.values()), None)
        plain: nn.Module = adapted(first, self.taken) if self.shared is None else self.shared
        if set(channels) == {self.taken}:
            return plain
        stem = StreamStem(plain, streams, channels)
        for name, conv in self.private.items():
            if name in stem.private:
                stem.private[name] = adapted(conv, stem.channels[name])
        return stem

    def forward(self, packed: Tensor) -> Tensor:
        """(B·S, C, *) → (B·S, O, *), C the channels of the widest stream."""
        rows = self.streams.running.rows
        if rows is not None and packed.shape[0] != rows:
            raise ShapeError(
                f"a first convolution got {packed.shape[0]} rows where {rows} ride through the "
                "network; frames that are folded into the batch need the same number of channels "
                "in every stream"
            )
        features = {}
        for name, image in self.streams.unpack(packed).items():
            conv: Any = self.private[name] if name in self.private else self.shared  # noqa: SIM401
            features[name] = conv(image[:, : self.channels[name]])
        return self.streams.pack(features)


def adapted(conv: Any, channels: int) -> Any:
    """A copy of a convolution for another number of input channels; see `adapt_channels`.

    Raises:
        ConversionError: Its kernel is computed of other weights, or it has none yet.
    """
    if fault := fault_of_weights(conv):
        raise ConversionError(
            f"the first convolution ({type(conv).__name__}) cannot be made for {channels} "
            f"channels: it {fault}"
        )
    new_conv = copy.deepcopy(conv)
    new_conv.in_channels = channels
    weight = adapt_channels(conv.weight.detach(), channels)
    new_conv.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    return new_conv


def padded(image: Tensor, channels: int) -> Tensor:
    """(B, C, *) with zeros behind its channels."""
    missing = channels - image.shape[1]
    return F.pad(image, [*[0, 0] * (image.ndim - 2), 0, missing]) if missing else image


def stems_of(
    module: nn.Module,
    streams: Streams,
    channels: Mapping[str, int],
    names: str | Sequence[str] | None,
    convolution: str,
) -> dict[int, nn.Module]:
    """What takes the place of first convolutions where streams have other channels than these.

    Args:
        module: The network.
        streams: Its streams.
        channels: Channels of each stream; empty where they are not told.
        names: Of the convolutions that take the image; None: the first one of the module.
        convolution: "shared", or "private" where each stream has kernels of its own already.

    Returns:
        Stems by the ``id`` of the convolution; none where all streams fit.

    Raises:
        ConfigError: A number is none of channels, or options do not go together.
        ConversionError: No convolution takes the image, or it cannot be made for other channels.
        StreamError: A stream has a name that no module can have.
    """
    for name, count in channels.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"stream {name!r} has {described(count)} channels; give 1 or more")
    if names is not None and not channels:
        raise ConfigError("stem= is for streams given with their channels, such as {'rgb': 3}")
    if convolution == "private" and len(set(channels.values())) > 1:
        raise ConfigError(
            "convolution='private' gives each stream kernels of one size; give all streams the "
            "same number of channels"
        )
    if not channels or convolution == "private":
        return {}
    firsts = _first_convolutions(module, [names] if isinstance(names, str) else names)
    if set(channels.values()) == {firsts[0].in_channels}:
        return {}
    counts = [channels[name] for name in streams.names]
    return {id(conv): StreamStem(conv, streams, counts) for conv in firsts}


def _first_convolutions(module: nn.Module, names: Sequence[str] | None) -> list[Any]:
    parts = dict(module.named_modules())
    for name in names or ():
        if not isinstance(parts.get(name), CONVOLUTIONS):
            raise ConversionError(f"stem={name!r} is no convolution of the network")
    convolutions: list[tuple[str, Any]] = [
        (n, m) for n, m in parts.items() if isinstance(m, CONVOLUTIONS)
    ]
    chosen = [(n, m) for n, m in convolutions if n in names] if names else convolutions[:1]
    if not chosen:
        raise ConversionError(
            "streams given with their channels need a convolution that takes the image; this "
            "network has none"
        )
    for name, layer in chosen:
        if layer.groups != 1 or layer.in_channels != chosen[0][1].in_channels:
            raise ConversionError(
                f"{name!r} takes {layer.in_channels} channels in {layer.groups} groups and cannot "
                "be made for other numbers of channels; name the convolutions that take the image "
                "(stem=)"
            )
    return [layer for _, layer in chosen]
