"""`build`: a network from the names of its parts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from cen.errors import ConfigError, StreamError, did_you_mean
from cen.exchange import ExchangeRule, Streams, convert_layers
from cen.models.network import ChannelExchangeNetwork, decoder_names
from cen.models.pretrained import load_pretrained
from cen.models.refinenet import RefineNetDecoder
from cen.models.resnet import LAYOUTS, ResNet
from cen.models.stems import TILED, private_stem
from cen.models.task import Task
from cen.models.unet import Statistics, UNetDecoder, UNetEncoder
from cen.models.unet import encoders as unet_encoders

Sharing = Literal["private", "shared"]

encoders: dict[str, int] = {f"resnet{depth}": depth for depth in LAYOUTS}
"""Depth of the ResNet by the name of the encoder."""


def build(name: str, **arguments: Any) -> ChannelExchangeNetwork:
    """Build a network by the name of its decoder.

    Args:
        name: a key of `builders`; ``"refinenet"`` or ``"unet"``.
        **arguments: what the builder takes; see `refinenet` and `unet`.

    Raises:
        ConfigError: if a name or a value is unknown.
        StreamError: if the name of an input or output cannot be used.
        CheckpointError: if the pretrained weights cannot be used.
    """
    if name not in builders:
        hint = did_you_mean(name, builders)
        raise ConfigError(f"unknown network {name!r}{hint}; known: {', '.join(builders)}")
    return builders[name](**arguments)


def refinenet(
    *,
    encoder: str = "resnet50",
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    width: int | None = None,
    decoder_channels: int | None = None,
    decoder_norm: Literal["none", "batch"] | None = None,
    decoder_exchange: bool = False,
    task_streams: Sharing = "private",
    exchange: ExchangeRule | Mapping[str, Any] | None = None,
    norm: Sharing = "private",
    convolution: Sharing = "shared",
    dropout: float = 0.5,
    weights: str | Path | None = None,
) -> ChannelExchangeNetwork:
    """A ResNet encoder with a RefineNet decoder.

    Args:
        encoder: ``"resnet18"``, ``"resnet34"``, ``"resnet50"``, ``"resnet101"`` or
            ``"resnet152"``.
        inputs: channels of each input, by name; one stream each, in this order.
        outputs: number of classes (a segmentation) or `Task` of each output, by name.
        width: channels of the encoder's stem; None for the released 64.
        decoder_channels: channels of the decoder, twice as many at its deepest level; None for
            the released 256.
        decoder_norm: ``"none"`` as released, for encoders pretrained on ImageNet; ``"batch"``
            puts a stream norm behind every convolution of the decoder, for training from scratch
            (this project's extension). None takes ``"none"`` for one output and ``"batch"`` for
            several, which need norms to differ.
        decoder_exchange: exchange channels after the decoder's norms too (this project's
            extension): among the inputs with one output, among the outputs of the same input with
            several, then from the second norm on, the first seeing the same values for each.
        task_streams: with several outputs, ``"private"`` gives each a stream of its own in the
            decoder; ``"shared"`` runs the decoder once for all, which have but their heads to
            themselves (ablation).
        exchange: when and where a channel is replaced and which scales are penalised; None for
            the defaults of `ExchangeRule`, those of the paper's segmentation.
        norm: ``"private"`` scales, shifts and statistics per stream, or ``"shared"`` (ablation).
        convolution: convolutions ``"shared"`` by the streams, or ``"private"`` (ablation).
        dropout: probability on the two deepest encoder features and before the classifier.
        weights: ``"imagenet"``, a URL or a local file with ImageNet weights of the encoder; every
            stream's norms start from them. None for random weights.

    Raises:
        ConfigError: if a name or a value is unknown.
        StreamError: if the name of an input or output cannot be used.
        CheckpointError: if the pretrained weights cannot be used.
    """
    if encoder not in encoders:
        known = ", ".join(encoders)
        hint = did_you_mean(encoder, encoders)
        raise ConfigError(f"unknown encoder {encoder!r}{hint}; known: {known}")
    tasks = {key: Task.of(value) for key, value in outputs.items()}
    check_names(inputs, "input")
    check_names(tasks, "output")
    for key, channels in inputs.items():
        if channels < 1:
            raise ConfigError(f"input {key!r} needs at least 1 channel, not {channels}")
    if decoder_norm is None:
        decoder_norm = "none" if len(tasks) == 1 else "batch"
    for option, value, choices in (
        ("decoder_norm", decoder_norm, ("none", "batch")),
        ("norm", norm, ("private", "shared")),
        ("task_streams", task_streams, ("private", "shared")),
        ("convolution", convolution, ("private", "shared")),
    ):
        if value not in choices:
            raise ConfigError(f"{option} is {' or '.join(map(repr, choices))}, not {value!r}")
    if decoder_exchange and decoder_norm == "none":
        raise ConfigError("decoder_exchange=True needs norms to read: set decoder_norm='batch'")
    rule = as_rule(exchange)
    config = {
        "name": "refinenet",
        "encoder": encoder,
        "inputs": dict(inputs),
        "outputs": {key: task.to_dict() for key, task in tasks.items()},
        "width": width,
        "decoder_channels": decoder_channels,
        "decoder_norm": decoder_norm,
        "decoder_exchange": decoder_exchange,
        "task_streams": task_streams,
        "exchange": dataclasses.asdict(rule),
        "norm": norm,
        "convolution": convolution,
        "dropout": dropout,
    }
    plain = ResNet(encoders[encoder], 64 if width is None else width)
    if weights is not None:
        load_pretrained(plain, weights)
    decoder = RefineNetDecoder(
        plain.channels,
        256 if decoder_channels is None else decoder_channels,
        norm=decoder_norm == "batch",
        dropout=dropout,
    )
    return assemble(plain, decoder, inputs, tasks, config)


def unet(
    *,
    encoder: str = "unet8",
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    width: int | None = None,
    decoder_exchange: bool = False,
    task_streams: Sharing = "private",
    exchange: ExchangeRule | Mapping[str, Any] | None = None,
    norm: Sharing = "private",
    convolution: Literal["shared"] = "shared",
    dropout: float = 0.5,
    statistics: Statistics = "running",
) -> ChannelExchangeNetwork:
    """The U-Net generator of image translation.

    Channels are exchanged after the norms of the second to the last encoder convolution but one.
    The decoder has private norms without exchange, as released; with several outputs it runs one
    stream per output and input (this project's extension). Images are given in [-1, 1] (tanh),
    other outputs as they are, at the size of the input rounded down to even numbers.

    Args:
        encoder: ``"unet8"`` halves the image eight times, as released for 256x256; ``"unet3"`` to
            ``"unet9"`` are for other sizes, at least 2**n pixels high and wide.
        inputs: channels of each input, by name; one stream each, in this order.
        outputs: number of classes (a segmentation) or `Task` of each output, by name.
        width: channels after the first convolution; None for the released 64.
        decoder_exchange: exchange channels after the decoder's norms too (this project's
            extension); see `refinenet`.
        task_streams: with several outputs, ``"private"`` gives each a stream of its own in the
            decoder; ``"shared"`` runs the decoder once for all, which have but their heads to
            themselves (ablation).
        exchange: when and where a channel is replaced and which scales are penalised; None for
            the defaults of `ExchangeRule` with the paper's threshold for translation, 1e-2.
        norm: ``"private"`` scales, shifts and statistics per stream, or ``"shared"`` (ablation).
        convolution: ``"shared"``; private convolutions are for `refinenet` only.
        dropout: probability in the decoder's first blocks; see `UNetDecoder`.
        statistics: ``"running"``: the instance norms keep running statistics, which eval mode
            uses (as released). ``"instance"``: they always use those of the image at hand.

    Raises:
        ConfigError: if a name or a value is unknown.
        StreamError: if the name of an input or output cannot be used.
    """
    if encoder not in unet_encoders:
        hint = did_you_mean(encoder, unet_encoders)
        known = ", ".join(unet_encoders)
        raise ConfigError(f"unknown encoder {encoder!r} of a U-Net{hint}; known: {known}")
    tasks = {key: Task.of(value) for key, value in outputs.items()}
    check_names(inputs, "input")
    check_names(tasks, "output")
    for key, channels in inputs.items():
        if channels < 1:
            raise ConfigError(f"input {key!r} needs at least 1 channel, not {channels}")
    for option, value, choices in (
        ("norm", norm, ("private", "shared")),
        ("task_streams", task_streams, ("private", "shared")),
        ("convolution", convolution, ("shared",)),
        ("statistics", statistics, ("running", "instance")),
    ):
        if value not in choices:
            raise ConfigError(f"{option} is {' or '.join(map(repr, choices))}, not {value!r}")
    rule = ExchangeRule(1e-2) if exchange is None else as_rule(exchange)
    config = {
        "name": "unet",
        "encoder": encoder,
        "inputs": dict(inputs),
        "outputs": {key: task.to_dict() for key, task in tasks.items()},
        "width": width,
        "decoder_exchange": decoder_exchange,
        "task_streams": task_streams,
        "exchange": dataclasses.asdict(rule),
        "norm": norm,
        "convolution": convolution,
        "dropout": dropout,
        "statistics": statistics,
    }
    plain = UNetEncoder(
        unet_encoders[encoder], 64 if width is None else width, statistics=statistics
    )
    decoder = UNetDecoder(plain.channels, dropout=dropout, statistics=statistics)
    return assemble(plain, decoder, inputs, tasks, config)


def assemble(
    encoder: ResNet | UNetEncoder,
    decoder: RefineNetDecoder | UNetDecoder,
    inputs: Mapping[str, int],
    tasks: Mapping[str, Task],
    config: Mapping[str, Any],
) -> ChannelExchangeNetwork:
    """Turn a plain encoder and decoder, whose modules it takes over, into a network of streams.

    Args:
        encoder: plain encoder.
        decoder: plain decoder.
        inputs: channels of each input.
        tasks: task of each output.
        config: all the arguments of `build`, for the options and to be kept with the network.
    """
    names = tuple(inputs)
    encoder_streams = Streams(names)
    # Without norms or convolutions of its own no output's decoder streams would differ from those
    # of another: then the outputs share them.
    normed = config.get("decoder_norm") != "none"
    private = normed and config["norm"] == "private"
    separate = len(tasks) > 1 and config["task_streams"] == "private"
    separate = separate and (private or config["convolution"] == "private")
    groups = [decoder_names(tasks, [name]) for name in names] if separate else [names]
    decoder_streams = Streams(decoder_names(tasks, names) if separate else names, groups)
    convolution = config["convolution"]
    stems = {
        name: private_stem(encoder.conv1, 3 if channels in TILED else channels)
        for name, channels in inputs.items()
        if convolution == "private" or channels not in TILED
    }
    if len(stems) == len(names):
        # A convolution that no input uses would be a parameter without a gradient.
        cast(Any, encoder).conv1 = None
    heads = {
        name: decoder.make_head(task)
        if isinstance(decoder, UNetDecoder)
        else make_head(decoder.channels, task)
        for name, task in tasks.items()
    }

    exchanging: dict[str, Any] = {"norm": config["norm"], "convolution": convolution}
    plain: dict[str, Any] = {"norm": "shared", "convolution": convolution}
    if config["norm"] == "private":
        exchanging["exchange"] = as_rule(config["exchange"])
    convert_layers(encoder, encoder_streams, where=encoder.exchanging, **exchanging)
    if not normed:
        convert_layers(decoder, decoder_streams, **plain)
    else:
        if not config["decoder_exchange"]:
            exchanging["exchange"] = None
        # All outputs see the same encoder feature, so at the first norm there is nothing to gain.
        firsts = decoder.first_norms if separate else ""
        convert_layers(
            decoder,
            decoder_streams,
            where=lambda name, _: not fnmatchcase(name, firsts),
            **exchanging,
        )
    return ChannelExchangeNetwork(
        encoder=encoder,
        decoder=decoder,
        stems=stems,
        heads={
            name: convert_layers(head, encoder_streams, **plain) for name, head in heads.items()
        },
        inputs=inputs,
        outputs=tasks,
        encoder_streams=encoder_streams,
        decoder_streams=decoder_streams,
        config=config,
    )


def make_head(channels: int, task: Task) -> nn.Conv2d:
    """The 3x3 classifier of one output, shared by its streams."""
    head = nn.Conv2d(channels, task.channels, 3, padding=1)
    nn.init.normal_(head.weight, std=0.01)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def as_rule(exchange: ExchangeRule | Mapping[str, Any] | None) -> ExchangeRule:
    """The exchange rule meant: itself, the one described by a mapping, or the default.

    Raises:
        ConfigError: if the mapping holds an unknown key or value.
    """
    if isinstance(exchange, ExchangeRule):
        return exchange
    try:
        return ExchangeRule(**(exchange or {}))
    except TypeError as error:
        raise ConfigError(f"{exchange} does not describe an exchange rule: {error}") from None


def check_names(names: Collection[str], what: str) -> None:
    """Refuse names of inputs or outputs that a module cannot bear.

    Raises:
        StreamError: if there is no name, or one is not a plain word or taken by PyTorch.
    """
    if not names:
        raise StreamError(f"a network needs at least one {what}")
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            raise StreamError(
                f"{what} {name!r} cannot be named so; use letters, digits, '_' and '-', "
                "beginning with a letter"
            )
        if hasattr(nn.ModuleDict(), name) or hasattr(nn.ParameterDict(), name):
            raise StreamError(f"{what} {name!r}: PyTorch uses this name itself; choose another")


builders: dict[str, Callable[..., ChannelExchangeNetwork]] = {
    "refinenet": refinenet,
    "unet": unet,
}
"""The function that builds a network, by the name of its decoder."""
