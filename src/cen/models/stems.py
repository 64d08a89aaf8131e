"""How inputs of any number of channels reach a first convolution made for three.

One channel is tiled to three and rides through the shared first convolution, and so does an input
of three. Any other count gets a private first convolution, started from the shared one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.exchange import Streams, StreamStem, adapt_channels
from cen.exchange.conversion.private_stems import padded

TILED = (1, 3)
"""Numbers of input channels that use the shared three-channel first convolution."""


def tile(image: Tensor) -> Tensor:
    """Repeat a one-channel image (B, 1, H, W) to three channels; others are handed back."""
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def private_stem(shared: nn.Conv2d, channels: int, fresh: bool = False) -> nn.Conv2d:
    """A first convolution for ``channels`` input channels.

    Args:
        shared: the convolution of three channels that others use.
        channels: number of input channels.
        fresh: draw weights of the size of the shared one's, which are random themselves, so that
            no two channels begin alike; otherwise start from the shared one's.
    """
    stem = nn.Conv2d(
        channels,
        shared.out_channels,
        (shared.kernel_size[0], shared.kernel_size[1]),
        (shared.stride[0], shared.stride[1]),
        (int(shared.padding[0]), int(shared.padding[1])),
        bias=shared.bias is not None,
        device=shared.weight.device,
        dtype=shared.weight.dtype,
    )
    with torch.no_grad():
        stem.weight.copy_(adapt_channels(shared.weight, channels))
        if fresh:
            _draw(stem.weight, shared.weight)
        if stem.bias is not None and shared.bias is not None:
            stem.bias.copy_(shared.bias)
    return stem


def private_stems(
    encoder: Any, inputs: Mapping[str, int], *, every: bool = False, fresh: bool = False
) -> dict[str, nn.Module]:
    """First convolutions of inputs that cannot share the encoder's, which goes where none can.

    Args:
        encoder: what has the shared one, ``conv1``.
        inputs: channels of each, by name.
        every: whether those get one, too, that could share.
        fresh: as for `private_stem`.
    """
    stems: dict[str, nn.Module] = {
        name: private_stem(encoder.conv1, 3 if channels in TILED else channels, fresh)
        for name, channels in inputs.items()
        if every or channels not in TILED
    }
    if len(stems) == len(inputs):
        # A convolution that no input uses would be a parameter without a gradient.
        encoder.conv1 = None
    return stems


def filled(images: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Images (B, C, H, W) with zeros behind their channels, up to the most that there are."""
    tiled = {name: tile(image) for name, image in images.items()}
    most = max(image.shape[1] for image in tiled.values())
    return {name: padded(image, most) for name, image in tiled.items()}


def make_inner_stem(
    conv: nn.Conv2d, streams: Streams, channels: Mapping[str, int], fresh: bool
) -> StreamStem:
    """What takes the place of a first convolution inside a network; see `private_stem`."""
    stem = StreamStem(conv, streams, [3 if c in TILED else c for c in channels.values()])
    for private_conv in stem.private.values() if fresh else ():
        _draw(cast(Tensor, private_conv.weight), conv.weight)
    return stem


@torch.no_grad()
def _draw(weight: Tensor, like: Tensor) -> None:
    """Draws weights of the size of others, which are random themselves; none where none are."""
    if not like.is_meta:
        weight.normal_(0.0, float(like.std()))


def first_convolutions(stem: nn.Module) -> dict[str, Any]:
    """The convolutions in a stem by stream; ``""`` is the shared one, or the only one there is."""
    if not isinstance(stem, StreamStem):
        return {"": stem}
    return {**dict(stem.private.items()), **({} if stem.shared is None else {"": stem.shared})}


def take_over_stems(new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Starts first convolutions from others, adapted where numbers of channels differ.

    Each starts from the one of its name, else from the shared one, whose name is ``""``, else from
    the first.
    """
    first = old[""] if "" in old else next(iter(old.values()))
    for name, conv in new.items():
        source = old.get(name, first)
        conv.weight.copy_(adapt_channels(source.weight, conv.weight.shape[1]))
        if conv.bias is not None:
            conv.bias.copy_(source.bias)
