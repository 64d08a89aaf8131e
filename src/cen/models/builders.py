"""`build`: a network from the names of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from torch import nn

from cen.arguments import choice
from cen.errors import ConfigError, described, did_you_mean
from cen.models.assembly import assemble
from cen.models.backbones import ARCHITECTURES, encoder_of, library_of, network_of
from cen.models.cycle import cycle
from cen.models.dense_decoder import DenseDecoder
from cen.models.foreign_weights import without_values
from cen.models.fpn import FPNDecoder
from cen.models.image_encoder import ImageEncoder
from cen.models.mit import LAYOUTS as MIT_LAYOUTS
from cen.models.mit import MiT
from cen.models.network import ChannelExchangeNetwork, Encoder
from cen.models.network_description import NetworkDescription
from cen.models.pretrained import load_pretrained
from cen.models.pspnet import PSPNetDecoder
from cen.models.refinenet import RefineNetDecoder
from cen.models.resnet import LAYOUTS, ResNet
from cen.models.segformer import SegFormerDecoder
from cen.models.unet import encoders as unet_encoders
from cen.models.unet import make_unet
from cen.models.upernet import UPerNetDecoder
from cen.options.network_options import NetworkOptions


def _resnet(depth: int, options: NetworkOptions, output_stride: int) -> ResNet:
    if options.drop_path is not None:
        raise ConfigError("drop_path is for encoders with stochastic depth, which ResNets are not")
    return ResNet(depth, options.width or 64, output_stride)


def _mit(number: int, options: NetworkOptions, output_stride: int) -> MiT:
    if output_stride != 32:
        raise ConfigError(
            f"mit_b{number} has feature maps of stride 4 to 32, and this decoder wants none above "
            f"{output_stride}; choose another decoder, such as segformer"
        )
    return MiT(number, options.width, 0.1 if options.drop_path is None else options.drop_path)


encoders: dict[str, Callable[[NetworkOptions, int], nn.Module]] = {
    **{f"resnet{depth}": partial(_resnet, depth) for depth in LAYOUTS},
    **{f"mit_b{number}": partial(_mit, number) for number in MIT_LAYOUTS},
}
"""What makes a plain encoder of `dense`, of options and an output stride, by name.

It has what `Encoder` asks for; or it is any module that maps images (N, 3, H, W) to feature maps,
finest first, which becomes an `ImageEncoder`.
"""


def build(name: str, **arguments: Any) -> ChannelExchangeNetwork:
    """Build a network by the name of its decoder.

    Args:
        name: a key of `builders`, such as ``"refinenet"``, ``"segformer"`` or ``"smp/Unet"``.
        **arguments: the options of the network, those of a configuration
            (`cen.options.network_options.NetworkOptions`), and: ``outputs``: number of classes (a
            segmentation) or `Task` of each output, by name. ``exchange``: when and where a channel
            is replaced and which scales are penalised, an `ExchangeRule` or a dict of its fields;
            None for the paper's, or none at all with shared norms. ``feeds``, of a cycle network:
            by name, factors and summands per channel with which a ground truth or a prediction
            becomes an input; none where both are alike.

    Raises:
        ConfigError: if a name or a value is unknown, or options do not go together.
        StreamError: if the name of an input or output cannot be used.
        CheckpointError: if the pretrained weights cannot be used.
    """
    if not isinstance(name, str) or name not in builders:
        hint = did_you_mean(name, builders) if isinstance(name, str) else ""
        if isinstance(name, str) and (
            name in encoders or name in unet_encoders or library_of(name) == "timm"
        ):
            hint = "; it is an encoder: give encoder= and the name of a decoder"
        raise ConfigError(f"unknown network {described(name)}{hint}; known: {', '.join(builders)}")
    description = NetworkDescription.of(name, arguments)
    if _largest(description) > _USUAL:
        _refuse_too_large(description)
    net = builders[name](description)
    net.rebuild = build
    return net


MOST_WEIGHTS = 2**31
"""Most weights of a network, 8 GiB of float32: some thirty times the largest one in use."""

_USUAL = 256  # channels up to which no network comes near


def _largest(description: NetworkDescription) -> int:
    """The greatest number of channels of a network."""
    options = description.options
    sizes = [options.width or 0, options.decoder_channels or 0, *options.inputs.values()]
    return max(*sizes, *(task.channels for task in description.tasks.values()))


def _refuse_too_large(description: NetworkDescription) -> None:
    """Refuses sizes that would fill the memory before anything else is said of them."""
    fresh = replace(description, options=replace(description.options, weights=None))
    try:
        with without_values():
            shadow = builders[description.options.name](fresh)
        count = sum(parameter.numel() for parameter in shadow.parameters())
    except (RuntimeError, OverflowError):  # what PyTorch says of sizes beyond all bounds
        count = MOST_WEIGHTS + 1
    if count > MOST_WEIGHTS:
        raise ConfigError(
            f"a network with {_largest(description)} channels has more than {MOST_WEIGHTS} "
            "weights; lower its width, decoder_channels, or the channels of inputs and outputs"
        )


DECODERS: dict[str, Callable[..., DenseDecoder]] = {
    "refinenet": RefineNetDecoder,
    "pspnet": PSPNetDecoder,
    "segformer": SegFormerDecoder,
    "upernet": UPerNetDecoder,
    "fpn": FPNDecoder,
}
"""The decoders that `dense` builds, by name."""


def dense(description: NetworkDescription) -> ChannelExchangeNetwork:
    """An encoder with a decoder for dense prediction."""
    options = description.options
    make_decoder = DECODERS[options.name]
    plain = _encoder(options, cast(type[DenseDecoder], make_decoder).output_stride)
    decoder = make_decoder(
        cast(Encoder, plain).channels,
        options.resolved("decoder_channels"),
        norm=options.decoder_norm == "batch",
        dropout=options.resolved("dropout"),
    )
    return assemble(plain, decoder, description)


def _encoder(options: NetworkOptions, output_stride: int) -> nn.Module:
    """The plain encoder that is named, with the weights that it starts from."""
    name = options.resolved("encoder")
    if library_of(name) is not None:
        if options.width is not None:
            raise ConfigError(f"width: {name} has widths of its own; leave it out")
        return encoder_of(name, output_stride, options.drop_path, options.weights)
    if name not in encoders:
        raise ConfigError(
            f"unknown encoder {name!r}{did_you_mean(name, encoders)}; known: "
            f"{', '.join(encoders)}, timm/NAME, smp/NAME"
        )
    plain = encoders[name](options, output_stride)
    if options.weights is not None:
        load_pretrained(plain, options.weights)
    return plain if hasattr(plain, "body") else ImageEncoder(plain, name)


def smp(description: NetworkDescription) -> ChannelExchangeNetwork:
    """A network of segmentation_models_pytorch.

    Raises:
        ConfigError: the library is missing, or has no such encoder.
    """
    options = description.options
    encoder, decoder = network_of(options.name, options.resolved("encoder"), options.weights)
    return assemble(encoder, decoder, description)


def unet(description: NetworkDescription) -> ChannelExchangeNetwork:
    """The U-Net generator of image translation.

    Channels are exchanged after the norms of the second to the last encoder convolution but one.
    The decoder has private norms without exchange, as released; with several outputs it runs one
    stream per output and input (this project's extension). Images are given in [-1, 1] (tanh),
    other outputs as they are, at the size of the input rounded down to even numbers.

    Raises:
        ConfigError: if the encoder is unknown, or convolutions shall be private, also to outputs.
    """
    choice("convolution", description.options.convolution, ("shared",))
    choice("task_streams", description.options.task_streams, ("private", "shared"))
    return assemble(*make_unet(description.options), description)


builders: dict[str, Callable[[NetworkDescription], ChannelExchangeNetwork]] = {
    **dict.fromkeys(DECODERS, dense),
    **{f"smp/{name}": smp for name in ARCHITECTURES},
    "unet": unet,
    "cycle": cycle,
}
"""The function that builds a network, by the name of its decoder."""
