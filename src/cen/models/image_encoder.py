"""Any network that maps images to feature maps as an encoder of streams.

What an encoder of others is, is found by calling a copy of it without values: where its first
convolutions lie, which sizes of images it takes, on which axis its channels lie.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.errors import ConfigError, message_of
from cen.exchange import ConversionSummary, ExchangeRule, FirstPass, Streams, converted_layers
from cen.exchange.conversion.plain_norms import PlainNorm, plain_norm
from cen.exchange.conversion.private_stems import padded
from cen.models.foreign_weights import shadow_copy
from cen.models.stems import TILED, first_convolutions, make_inner_stem, take_over_stems

MULTIPLES = (1, 2, 4, 8, 14, 16, 32, 64, 128, 224, 256)
"""What the height and width of an image may have to be multiples of, tried in turn."""

LEAST_STRIDE = 4
"""The finest feature maps that decoders read; finer ones cost more than they tell."""


@dataclass(frozen=True)
class Trial:
    """What a pass showed.

    Attributes:
        multiple: of what height and width of an image are multiples.
        firsts: names of the convolutions that read the image.
        called: names of the modules that were called.
        maps: of every feature map, finest first: channels, stride, and the axis of the channels.
    """

    multiple: int
    firsts: tuple[str, ...]
    called: frozenset[str]
    maps: tuple[tuple[int, int, int], ...]


class ImageEncoder(nn.Module):
    """A network of others, or of one's own, as the encoder of a network of streams.

    It is called with whole images; where streams have other than one or three channels, its first
    convolutions become private. Its norms are chosen as by `cen.convert`.

    Args:
        net: maps images (N, 3, H, W) to a list, tuple or dict of feature maps, finest first.
        name: what messages call it.
        every: hand on all that it gives, for a decoder made for it.

    Attributes:
        channels: channels of the feature maps, finest first; 0 for what holds no features.
        strides: their strides, as whole numbers.
        multiple: of what height and width of an image are multiples.
        smallest: least height and width of an image.
        conv1: None; the first convolutions are inside.
        stages: none; maps cannot be fused on the way.
        streams: the streams that ride through it, once they do.
        widest: channels of the image of most channels, of all streams.
        first_pass: what looks at whose rows its norms get.

    Raises:
        ConfigError: it takes no images of free size, or gives no feature maps.
    """

    conv1 = None
    stages: Sequence[str] = ()

    def __init__(self, net: nn.Module, name: str, *, every: bool = False) -> None:
        super().__init__()
        trial = tried(net, name)
        for part, module in list(net.named_modules()):
            # What never runs has no gradient, and its scales would count in every figure.
            if part not in trial.called and isinstance(plain_norm(module), PlainNorm):
                net.set_submodule(part, nn.Identity())
        self.net, self.name, self.firsts = net, name, trial.firsts
        self._axes = tuple(axis for _, _, axis in trial.maps)
        coarse = [i for i, (c, stride, _) in enumerate(trial.maps) if c and stride >= LEAST_STRIDE]
        self.reads = tuple(range(len(trial.maps)) if every else coarse)
        if not coarse:
            raise ConfigError(f"encoder {name}: gives no feature map of stride {LEAST_STRIDE}")
        self.channels = tuple(trial.maps[i][0] for i in self.reads)
        self.strides = tuple(trial.maps[i][1] for i in self.reads)
        self.multiple = trial.multiple
        self.smallest = self.multiple * -(-32 // self.multiple)
        self.streams: Streams | None = None
        self.widest = 3
        self.first_pass = FirstPass(ConversionSummary(()))

    def ride(
        self,
        streams: Streams,
        inputs: Mapping[str, int],
        rule: ExchangeRule | None,
        where: Collection[str] | None,
        *,
        fresh: bool,
        shared: bool,
    ) -> None:
        """Makes its layers those of streams.

        Args:
            streams: the streams.
            inputs: channels of each.
            rule: how channels are exchanged; None: not at all.
            where: patterns of the names of the norms that exchange; None: see `cen.convert`.
            fresh: whether private first convolutions are drawn anew.
            shared: whether all streams share its norms.

        Raises:
            ConfigError: an input cannot have its number of channels.
            ConversionError: a norm cannot be converted, or none is named by ``where``.
        """
        other = any(count not in TILED for count in inputs.values())
        if other and not self.firsts:
            raise ConfigError(
                f"encoder {self.name}: no convolution reads the image first that could be made for "
                f"other channels; give inputs of 1 or 3 channels, not {dict(inputs)}"
            )
        for first in self.firsts if other else ():
            conv = cast(nn.Conv2d, self.net.get_submodule(first))
            self.net.set_submodule(first, make_inner_stem(conv, streams, inputs, fresh))
        self.streams = streams
        self.widest = max(3 if count in TILED else count for count in inputs.values())
        if shared:
            return
        _, summary = converted_layers(self.net, streams, rule, where)
        self.first_pass = FirstPass(summary)

    def summary(self) -> ConversionSummary:
        """What became of its norms, and why; see `cen.convert`."""
        return self.first_pass.summary

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W), or packed ones of all streams, to the feature maps."""
        return self.body(x)

    def body(self, x: Tensor, after: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """As `forward`; ``after`` is for encoders with stages."""
        if self.streams is not None and self.first_pass.follows:
            # The first pass is one of all streams, whichever are present.
            example = padded(next(iter(self.streams.unpack(x).values())), self.widest)
            self.first_pass.look(self.net, self.streams, example, self._features)
        return self._features(x)

    def _features(self, x: Tensor) -> list[Tensor]:
        features = _listed(self.net(x))
        maps = [
            features[i].movedim(-1, 1) if self._axes[i] < 0 else features[i] for i in self.reads
        ]
        return [
            one if count else one[:, :0] for one, count in zip(maps, self.channels, strict=True)
        ]

    def take_over(self, old: ImageEncoder) -> None:
        """Starts the first convolutions from those of another encoder of the same name."""
        for first in self.firsts:
            here, there = (net.get_submodule(first) for net in (self.net, old.net))
            take_over_stems(first_convolutions(here), first_convolutions(there))


def stems_in(encoder: nn.Module) -> tuple[str, ...]:
    """How the names of the weights of an encoder's first convolutions begin, in a network."""
    if isinstance(encoder, ImageEncoder):
        return tuple(f"encoder.net.{first}." for first in encoder.firsts)
    return ("encoder.conv1.",)


def tried(net: nn.Module, name: str) -> Trial:
    """What an encoder is, shown by passes of a copy without values.

    Raises:
        ConfigError: no size of image goes through, or what comes out are no feature maps.
    """
    shadow = shadow_copy(net).eval()
    problem: Exception | None = None
    for multiple in MULTIPLES:
        # No size is a multiple of more than it has to be.
        least = 97 if multiple == 1 else multiple * (-(-96 // multiple) | 1)
        size = (least, least + 34 if multiple == 1 else least + 2 * multiple)
        try:
            return _trial(shadow, multiple, size)
        except Exception as error:  # whatever a network of others raises of a size
            problem = error
    raise ConfigError(
        f"encoder {name}: takes images of none of the sizes that were tried (multiples of "
        f"{MULTIPLES[0]} to {MULTIPLES[-1]}): {message_of(problem)}"
    )


def _trial(shadow: nn.Module, multiple: int, size: tuple[int, int]) -> Trial:
    image = torch.empty(2, 3, *size, device="meta", dtype=next(shadow.parameters()).dtype)
    names = {id(module): name for name, module in shadow.named_modules()}
    called: dict[str, None] = {}
    firsts: dict[str, None] = {}

    def note(module: nn.Module, args: tuple[Any, ...]) -> None:
        called[names[id(module)]] = None
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1:
            firsts[names[id(module)]] = None

    hooks = [module.register_forward_pre_hook(note) for module in shadow.modules()]
    try:
        with torch.no_grad():
            features = _listed(shadow(image))
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():  # the axis that stays as it is where height and width change places
        turned = _listed(shadow(image.transpose(2, 3).contiguous()))
    # Some hand on the image, too, whose channels are no features and differ by stream.
    maps = tuple(
        (0, 1, 1) if one is image else _map(one, other, size)
        for one, other in zip(features, turned, strict=True)
    )
    return Trial(multiple, tuple(firsts), frozenset(called), maps)


def _map(feature: Tensor, turned: Tensor, size: tuple[int, int]) -> tuple[int, int, int]:
    """Channels, stride and channel axis of a feature map of an image of a size.

    Args:
        feature: the map.
        turned: that of an image whose height and width have changed places.
        size: height and width of the image.
    """
    if not isinstance(feature, Tensor) or feature.ndim != 4:
        shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise ConfigError(f"it gives {shape} where a feature map (N, C, H, W) is expected")
    last = feature.shape[-1] == turned.shape[-1] and feature.shape[1] != turned.shape[1]
    axis, sides = (-1, feature.shape[1:3]) if last else (1, feature.shape[2:])
    strides = [whole / max(1, side) for whole, side in zip(size, sides, strict=True)]
    return feature.shape[axis], max(1, round(min(strides))), axis


def _listed(output: Any) -> list[Tensor]:
    """The feature maps that a network gives."""
    if isinstance(output, Mapping):
        return list(output.values())
    return list(output) if isinstance(output, list | tuple) else [output]
