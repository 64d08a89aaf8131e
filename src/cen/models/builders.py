"""`build`: a network from the names of its parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_type_hints

import torch

from cen import schema
from cen.errors import CheckpointError, ConfigError, described, did_you_mean
from cen.exchange import ExchangeRule
from cen.models.assembly import assemble
from cen.models.builder_arguments import check_arguments
from cen.models.cycle import cycle
from cen.models.network import ChannelExchangeNetwork
from cen.models.options import check_choices, check_fields, exchanges_in_decoder, rule_of
from cen.models.pretrained import load_pretrained
from cen.models.pspnet import PSPNetDecoder
from cen.models.refinenet import RefineNetDecoder
from cen.models.resnet import LAYOUTS, ResNet
from cen.models.unet import FirstNorm, Statistics, UNetDecoder, UNetEncoder
from cen.models.unet import encoders as unet_encoders
from cen.network_defaults import DEFAULTS
from cen.tasks import Task

Sharing = Literal["private", "shared"]

encoders: dict[str, int] = {f"resnet{depth}": depth for depth in LAYOUTS}
"""Depth of the ResNet by the name of the encoder."""


def build(name: str, **arguments: Any) -> ChannelExchangeNetwork:
    """Build a network by the name of its decoder.

    Args:
        name: a key of `builders`: ``"refinenet"``, ``"pspnet"``, ``"unet"`` or ``"cycle"``.
        **arguments: what the builder takes; see `dense` (RefineNet and PSPNet), `unet` and `cycle`.

    Raises:
        ConfigError: if a name or a value is unknown.
        StreamError: if the name of an input or output cannot be used.
        CheckpointError: if the pretrained weights cannot be used.
    """
    if not isinstance(name, str) or name not in builders:
        hint = did_you_mean(name, builders) if isinstance(name, str) else ""
        if isinstance(name, str) and (name in encoders or name in unet_encoders):
            hint = "; it is an encoder: give encoder= and the name of a decoder"
        raise ConfigError(f"unknown network {described(name)}{hint}; known: {', '.join(builders)}")
    checked = check_arguments(name, builders[name], arguments)
    if _largest(checked) > _USUAL:
        _refuse_too_large(name, checked)
    return builders[name](**checked)


MOST_WEIGHTS = 2**31
"""Most weights of a network, 8 GiB of float32: some thirty times the largest one in use."""

_USUAL = 256  # channels up to which no network comes near


def _largest(arguments: Mapping[str, Any]) -> int:
    """The greatest number of channels among arguments of `build`."""
    sizes = [arguments.get(key) for key in ("width", "decoder_channels")]
    for key in ("inputs", "outputs"):
        fields = arguments.get(key)
        values = list(fields.values()) if isinstance(fields, Mapping) else []
        sizes += [v.get("channels") if isinstance(v, Mapping) else v for v in values]
    sizes = [size.channels if isinstance(size, Task) else size for size in sizes]
    return max((size for size in sizes if isinstance(size, int)), default=0)


def _refuse_too_large(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuses sizes that would fill the memory before anything else is said of them.

    Raises:
        ConfigError: naming the sizes.
    """
    try:
        with torch.device("meta"):
            shadow = builders[name](**{k: v for k, v in arguments.items() if k != "weights"})
        count = sum(parameter.numel() for parameter in shadow.parameters())
    except (RuntimeError, OverflowError):  # what PyTorch says of sizes beyond all bounds
        count = MOST_WEIGHTS + 1
    if count > MOST_WEIGHTS:
        raise ConfigError(
            f"a network with {_largest(arguments)} channels has more than {MOST_WEIGHTS} weights; "
            "lower its width, decoder_channels, or the channels of inputs and outputs"
        )


def check_description(config: Mapping[str, Any], place: str) -> None:
    """Checks arguments of `build` that come from a file, before any of them is acted on.

    Args:
        config: the arguments, with ``name``.
        place: what messages call them.

    Raises:
        CheckpointError: an argument is unknown or of another type. ``weights`` is unknown: a file
            with weights of its own has no business to name others.
    """
    name = config["name"]
    hints = _hints(builders[name]) if name in builders else {}
    if name in builders:
        schema.check_arguments(config, {**hints, "name": str}, place, CheckpointError)
    for output, task in dict(config.get("outputs") or {}).items():
        if isinstance(task, Mapping):
            schema.check_arguments(task, _hints(Task), f"{place}.outputs.{output}", CheckpointError)
    if config.get("exchange") is not None:
        rule = _hints(ExchangeRule)
        schema.check_arguments(config["exchange"], rule, f"{place}.exchange", CheckpointError)


def _hints(made: Any) -> dict[str, Any]:
    """The types of what a builder or a dataclass takes, but for files and classes of Python."""
    hints = get_type_hints(made.func if isinstance(made, partial) else made)
    return {key: hint for key, hint in hints.items() if key not in ("return", "weights")}


class DenseDecoder(NamedTuple):
    """A decoder for a ResNet; what it takes unless told otherwise is in `cen.network_defaults`.

    Attributes:
        make: the decoder.
        output_stride: that of the encoder.
    """

    make: type[RefineNetDecoder] | type[PSPNetDecoder]
    output_stride: int


DECODERS = {
    "refinenet": DenseDecoder(RefineNetDecoder, 32),
    "pspnet": DenseDecoder(PSPNetDecoder, 8),
}
"""The decoders that `dense` builds, by name."""


def dense(
    name: str,
    *,
    encoder: str = "resnet50",
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    width: int | None = None,
    decoder_channels: int | None = None,
    decoder_norm: Literal["none", "batch"] | None = None,
    decoder_exchange: bool | None = None,
    task_streams: Sharing = "private",
    exchange: ExchangeRule | Mapping[str, Any] | None = None,
    exchange_stages: Sequence[int] | None = None,
    norm: Sharing = "private",
    convolution: Sharing = "shared",
    fusion: str = "exchange",
    fusion_at: str | None = None,
    dropout: float | None = None,
    weights: str | Path | None = None,
) -> ChannelExchangeNetwork:
    """A ResNet encoder with a decoder for dense prediction.

    Args:
        name: ``"refinenet"`` (output stride 4) or ``"pspnet"`` (a dilated encoder, output stride
            8).
        encoder: ``"resnet18"``, ``"resnet34"``, ``"resnet50"``, ``"resnet101"`` or
            ``"resnet152"``.
        inputs: channels of each input, by name; one stream each, in this order.
        outputs: number of classes (a segmentation) or `Task` of each output, by name.
        width: channels of the encoder's stem; None for the released 64.
        decoder_channels: channels of the decoder (RefineNet's deepest level has twice as many);
            None for the released 256 of RefineNet and the 512 of PSPNet's paper.
        decoder_norm: ``"none"``, or ``"batch"``: a stream norm behind every convolution of the
            decoder. None takes ``"none"`` for RefineNet with one output, as released for encoders
            pretrained on ImageNet, and ``"batch"`` for PSPNet, as in its paper, and for several
            outputs, which need norms to differ (this project's extension).
        decoder_exchange: exchange channels after the decoder's norms too (this project's
            extension): among the inputs with one output, among the outputs of the same input with
            several, then from the second norm on, the first seeing the same values for each.
            None: with several outputs alone, where nothing else switches the exchange off.
        task_streams: with several outputs, ``"private"`` gives each a stream of its own in the
            decoder; ``"shared"`` runs the decoder once for all, which have but their heads to
            themselves (ablation).
        exchange: when and where a channel is replaced and which scales are penalised; None for
            the defaults of `ExchangeRule`, those of the paper's segmentation, or none at all with
            shared norms.
        exchange_stages: numbers of the encoder's stages, from 1 to 4, that exchange (ablation);
            None for all.
        norm: ``"private"`` scales, shifts and statistics per stream, or ``"shared"`` (ablation;
            the exchange must be off).
        convolution: convolutions ``"shared"`` by the streams, or ``"private"`` (ablation).
        fusion: ``"exchange"``, or one of the baselines of docs/baselines.md, which read no
            exchange rule: ``"ensemble"``, ``"concat"``, ``"average"``, ``"sum"``,
            ``"attention"``, ``"gate"``, ``"align"``.
        fusion_at: where a baseline fuses or aligns: ``"early"``, ``"middle"``, ``"late"`` or
            ``"all"``; None for ``"all"``, or ``"late"`` where PSPNet is fused.
        dropout: probability of the decoder's dropout; None for the released 0.5 of RefineNet and
            0.1 of PSPNet.
        weights: ``"imagenet"``, a URL or a local file with ImageNet weights of the encoder; every
            stream's norms start from them. None for random weights.

    Raises:
        ConfigError: if a name or a value is unknown, or options do not go together.
        StreamError: if the name of an input or output cannot be used.
        CheckpointError: if the pretrained weights cannot be used.
    """
    if encoder not in encoders:
        known = ", ".join(encoders)
        hint = did_you_mean(encoder, encoders)
        raise ConfigError(f"unknown encoder {encoder!r}{hint}; known: {known}")
    kind, defaults = DECODERS[name], DEFAULTS[name]
    tasks = check_fields(inputs, outputs)
    if decoder_norm is None:
        decoder_norm = defaults.norm if len(tasks) == 1 else "batch"
    check_choices(
        ("decoder_norm", decoder_norm, ("none", "batch")),
        ("norm", norm, ("private", "shared")),
        ("task_streams", task_streams, ("private", "shared")),
        ("convolution", convolution, ("private", "shared")),
    )
    dropout = defaults.dropout if dropout is None else dropout
    rule = rule_of(exchange, ExchangeRule(defaults.threshold), norm=norm, fusion=fusion)
    decoder_exchange = exchanges_in_decoder(
        decoder_exchange,
        tasks,
        rule,
        norms=decoder_norm == "batch",
        task_streams=task_streams,
        norm=norm,
        fusion=fusion,
    )
    config = {
        "name": name,
        "encoder": encoder,
        "inputs": dict(inputs),
        "outputs": {key: task.to_dict() for key, task in tasks.items()},
        "width": width,
        "decoder_channels": decoder_channels,
        "decoder_norm": decoder_norm,
        "decoder_exchange": decoder_exchange,
        "task_streams": task_streams,
        "exchange": dataclasses.asdict(rule),
        "exchange_stages": None if exchange_stages is None else list(exchange_stages),
        "norm": norm,
        "convolution": convolution,
        "fusion": fusion,
        "fusion_at": fusion_at,
        "dropout": dropout,
    }
    plain = ResNet(encoders[encoder], 64 if width is None else width, kind.output_stride)
    if weights is not None:
        load_pretrained(plain, weights)
    decoder = kind.make(
        plain.channels,
        decoder_channels or defaults.channels or plain.channels[-1],
        norm=decoder_norm == "batch",
        dropout=dropout,
    )
    return assemble(plain, decoder, inputs, tasks, config, pretrained=weights is not None)


def unet(
    *,
    encoder: str = "unet8",
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    width: int | None = None,
    decoder_exchange: bool | None = None,
    task_streams: Sharing = "private",
    exchange: ExchangeRule | Mapping[str, Any] | None = None,
    norm: Sharing = "private",
    convolution: Literal["shared"] = "shared",
    exchange_stages: Sequence[int] | None = None,
    fusion: str = "exchange",
    fusion_at: str | None = None,
    dropout: float | None = None,
    statistics: Statistics = "running",
    first_norm: FirstNorm | None = None,
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
            extension); see `dense`.
        task_streams: with several outputs, ``"private"`` gives each a stream of its own in the
            decoder; ``"shared"`` runs the decoder once for all, which have but their heads to
            themselves (ablation).
        exchange: when and where a channel is replaced and which scales are penalised; None for
            the defaults of `ExchangeRule` with the paper's threshold for translation, 1e-2.
        norm: ``"private"`` scales, shifts and statistics per stream, or ``"shared"`` (ablation).
        convolution: ``"shared"``; private convolutions are for `dense` only.
        exchange_stages: numbers of the encoder's convolutions, that exchange (ablation); None for
            all that have a norm: neither the first, without ``first_norm``, nor the deepest.
        fusion: see `dense`.
        fusion_at: see `dense`.
        dropout: probability in the decoder's first blocks; see `UNetDecoder`. None for the
            released 0.5.
        statistics: ``"running"``: the instance norms keep running statistics, which eval mode
            uses (as released). ``"instance"``: they always use those of the image at hand.
        first_norm: a norm behind the encoder's first convolution too, ``"batch"`` or
            ``"instance"``, after which channels are exchanged (this project's extension, for
            small images: the released network first exchanges at a quarter of the image's size).
            None for none, as released.

    Raises:
        ConfigError: if a name or a value is unknown.
        StreamError: if the name of an input or output cannot be used.
    """
    if encoder not in unet_encoders:
        hint = did_you_mean(encoder, unet_encoders)
        known = ", ".join(unet_encoders)
        raise ConfigError(f"unknown encoder {encoder!r} of a U-Net{hint}; known: {known}")
    tasks = check_fields(inputs, outputs)
    check_choices(
        ("norm", norm, ("private", "shared")),
        ("task_streams", task_streams, ("private", "shared")),
        ("convolution", convolution, ("shared",)),
        ("statistics", statistics, ("running", "instance")),
        ("first_norm", first_norm, (None, "batch", "instance")),
    )
    defaults = DEFAULTS["unet"]
    dropout = defaults.dropout if dropout is None else dropout
    rule = rule_of(exchange, ExchangeRule(defaults.threshold), norm=norm, fusion=fusion)
    decoder_exchange = exchanges_in_decoder(
        decoder_exchange,
        tasks,
        rule,
        norms=True,
        task_streams=task_streams,
        norm=norm,
        fusion=fusion,
    )
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
        "exchange_stages": None if exchange_stages is None else list(exchange_stages),
        "fusion": fusion,
        "fusion_at": fusion_at,
        "dropout": dropout,
        "statistics": statistics,
        "first_norm": first_norm,
    }
    plain = UNetEncoder(
        unet_encoders[encoder],
        64 if width is None else width,
        statistics=statistics,
        first_norm=first_norm,
    )
    decoder = UNetDecoder(plain.channels, dropout=dropout, statistics=statistics)
    return assemble(plain, decoder, inputs, tasks, config)


builders: dict[str, Callable[..., ChannelExchangeNetwork]] = {
    **{name: partial(dense, name) for name in DECODERS},
    "unet": unet,
    "cycle": cycle,
}
"""The function that builds a network, by the name of its decoder."""
