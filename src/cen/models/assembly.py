"""From a plain encoder and decoder to a network of streams, or to one of the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Protocol, cast

from torch import nn

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, Streams, convert_layers
from cen.exchange.conversion.converting import KernelSharing
from cen.models.baselines import (
    FUSIONS,
    AlignedNetwork,
    FusedNetwork,
    TokenExchange,
    TokenFusionNetwork,
)
from cen.models.image_encoder import ImageEncoder
from cen.models.mit import MiT, Stage
from cen.models.network import FUSED, ChannelExchangeNetwork, Encoder, decoder_names
from cen.models.network_description import NetworkDescription
from cen.models.stems import private_stems
from cen.options.network_options import NetworkOptions
from cen.tasks import Task


class PlainDecoder(Protocol):
    """What is asked of a plain decoder; see `RefineNetDecoder`."""

    channels: int
    reads: Sequence[int]
    first_norms: str
    batches: bool  # whether batch norms suit it; a U-Net is trained on single images

    def make_head(self, task: Task) -> nn.Module:
        """The classifier of one output, shared by its streams."""


def assemble(
    encoder: nn.Module, decoder: nn.Module, description: NetworkDescription
) -> ChannelExchangeNetwork:
    """Turn a plain encoder and decoder, whose modules it takes over, into a network of streams."""
    options, tasks = description.options, description.tasks
    fusion, inputs = options.fusion, options.inputs
    place = check_fusion(options, cast(PlainDecoder, decoder))
    if isinstance(encoder, ImageEncoder):
        check_whole(encoder, options, place)
    # Stage of the encoder after which the inputs have become one stream; None: not in the encoder.
    stages = cast(Encoder, encoder).stages
    joined = {"early": 0, "middle": len(stages) // 2}.get(place) if fusion in FUSIONS else None
    private = fusion == "exchange" and options.norm == "private"
    exchanging = description.rule if private else None
    streams = Streams(tuple(inputs))
    joint = fusion == "concat" and place == "early"  # all images enter as one
    enter = {FUSED: sum(inputs.values())} if joint else inputs
    fresh = options.weights is None
    stems: dict[str, nn.Module] = {}
    if isinstance(encoder, ImageEncoder):
        encoder.ride(
            Streams((FUSED,)) if joint else streams,
            enter,
            exchanging,
            options.exchange_norms,
            fresh=fresh,
            shared=options.norm == "shared",
        )
    else:
        every = joint or options.convolution == "private"
        stems = private_stems(encoder, enter, every=every, fresh=fresh)
        convert_encoder(encoder, streams, joined, exchanging, options)
    if fusion == "tokenfusion":
        exchange_tokens(encoder, streams, description)
    one = fusion in FUSIONS and place != "late"
    decoder_streams = convert_decoder(
        decoder, (FUSED,) if one else tuple(inputs), tasks, exchanging, options
    )
    heads = {name: cast(PlainDecoder, decoder).make_head(task) for name, task in tasks.items()}
    if fusion not in FUSIONS:
        sharing: dict[str, Any] = {"norm": "shared", "convolution": options.convolution}
        heads = {name: convert_layers(head, streams, **sharing) for name, head in heads.items()}
    parts: dict[str, Any] = {
        "encoder": encoder,
        "decoder": decoder,
        "stems": stems,
        "heads": heads,
        "inputs": inputs,
        "outputs": tasks,
        "encoder_streams": streams,
        "decoder_streams": decoder_streams,
        "config": description.to_dict(),
    }
    if fusion == "align":
        return AlignedNetwork(place=place, **parts)
    if fusion == "tokenfusion":
        return TokenFusionNetwork(**parts)
    if fusion in FUSIONS:
        blocks = make_blocks(encoder, decoder, len(inputs), tasks, fusion, place)
        return FusedNetwork(blocks=blocks, joined=joined, **parts)
    return ChannelExchangeNetwork(**parts)


def check_fusion(options: NetworkOptions, decoder: PlainDecoder) -> str:
    """The place of the fusion, the default filled in; ``""`` for streams that are not fused."""
    fusion, place, stages = options.fusion, options.fusion_at, options.exchange_stages
    if fusion != "exchange" and (options.decoder_exchange or stages is not None):
        raise ConfigError(
            f"fusion={fusion!r} exchanges no channels; leave out decoder_exchange and "
            "exchange_stages (or set them to null)"
        )
    if options.exchange_norms is not None and (fusion != "exchange" or stages is not None):
        raise ConfigError(
            "exchange_norms says which norms of the encoder exchange: with fusion='exchange' and "
            "without exchange_stages"
        )
    if stages is not None and not stages and not options.decoder_exchange:
        raise ConfigError(
            "exchange_stages is empty and decoder_exchange off, so nothing would be exchanged; "
            "streams without exchange are fusion='ensemble'"
        )
    apart = fusion in ("exchange", "ensemble", "tokenfusion")
    if apart and place is not None:
        raise ConfigError(
            f"fusion_at={place!r} says where features are fused, but fusion={fusion!r} fuses none; "
            "leave it out"
        )
    if fusion in ("exchange", "ensemble"):
        return ""
    if len(options.inputs) < 2:
        raise ConfigError(
            f"fusion={fusion!r} needs at least 2 inputs, not {len(options.inputs)}; a single "
            "modality alone is fusion='exchange' with one input"
        )
    if apart:
        return ""
    several = len(decoder.reads) > 1
    if place == "all" and fusion in FUSIONS and not several:
        raise ConfigError(
            "fusion_at='all' fuses every feature map that the decoder reads, but of this one it is "
            "the deepest alone, or not known; give 'early', 'middle' or 'late'"
        )
    return place or ("all" if several or fusion == "align" else "late")


def check_whole(encoder: ImageEncoder, options: NetworkOptions, place: str) -> None:
    """Refuses what is done between the stages of an encoder, of one that is called as a whole."""
    is_fused_at_stem = place == "early" and options.fusion != "concat"
    if is_fused_at_stem or place == "middle" or options.fusion == "align":
        where = f"fusion={options.fusion!r} at {place!r}"
    elif options.exchange_stages is not None:
        where = "exchange_stages"
    elif options.convolution == "private" and len(options.inputs) > 1:
        # One input has one encoder either way; its tasks may have decoders of their own.
        where = "convolution='private' of several inputs"
    else:
        return
    raise ConfigError(
        f"{where} needs an encoder of stages, and {encoder.name} is called as a whole; take a "
        "ResNet or a MiT, or another way (fusion_at='late', exchange_norms)"
    )


def convert_encoder(
    encoder: nn.Module,
    streams: Streams,
    joined: int | None,
    rule: ExchangeRule | None,
    options: NetworkOptions,
) -> None:
    """Make the encoder's layers those of streams, and those behind the fusion of one stream."""
    sharing: dict[str, Any] = {"norm": options.norm, "convolution": options.convolution}
    if joined == 0:
        convert_layers(encoder, Streams((FUSED,)), **sharing)
        return
    plain = cast(Encoder, encoder)
    if joined is not None:
        later = {name: encoder.get_submodule(name) for name in plain.stages[joined:]}
        behind = nn.ModuleList(later.values())
        for name in later:
            encoder.set_submodule(name, nn.Identity())
        convert_layers(encoder, streams, **sharing)
        convert_layers(behind, Streams((FUSED,)), **sharing)
        for name, module in zip(later, behind, strict=True):
            encoder.set_submodule(name, module)
        return
    where = options.exchange_norms
    if where is None:
        where = exchanging_norms(plain, options.exchange_stages)
    convert_layers(encoder, streams, where=where, exchange=rule if where else None, **sharing)


def exchange_tokens(encoder: nn.Module, streams: Streams, description: NetworkDescription) -> None:
    """Has the streams exchange tokens behind each attention of the encoder."""
    if not isinstance(encoder, MiT):
        raise ConfigError(
            "fusion='tokenfusion' exchanges the tokens of a transformer's blocks: take an encoder "
            f"mit_b0 to mit_b5, not {description.options.encoder}"
        )
    for name, channels in zip(encoder.stages, encoder.channels, strict=True):
        fusion = TokenExchange(channels, streams, description.rule.threshold)
        cast(Stage, encoder.get_submodule(name)).fusion = fusion


def exchanging_norms(encoder: Encoder, stages: Sequence[int] | None) -> list[str]:
    """Patterns of the names of the encoder's norms after which channels are exchanged."""
    if stages is None:
        return [encoder.exchanging]
    names = []
    for number in dict.fromkeys(stages):
        if not 1 <= number <= len(encoder.stages):
            raise ConfigError(
                f"exchange_stages holds {number}, but the stages of this encoder are 1 to "
                f"{len(encoder.stages)}"
            )
        stage = encoder.stages[number - 1]
        stage_norms = [
            name
            for name, module in cast(nn.Module, encoder).named_modules()
            if (name.startswith(f"{stage}.") or (number == 1 and name == "norm1"))
            and fnmatchcase(name, encoder.exchanging)
            and not isinstance(module, nn.Identity)
        ]
        if not stage_norms:
            raise ConfigError(
                f"exchange_stages holds {number}, but no norm of this encoder's stage {number} "
                "exchanges channels; leave it out"
            )
        names += stage_norms
    return names


def convert_decoder(
    decoder: nn.Module,
    names: Sequence[str],
    tasks: Mapping[str, Task],
    rule: ExchangeRule | None,
    options: NetworkOptions,
) -> Streams:
    """Make the decoder's layers those of streams.

    Returns:
        The decoder's streams: ``names``, or one per output and name.

    Raises:
        ConfigError: decoders of the outputs' own are to share their norms.
    """
    several = len(tasks) > 1
    convolution: KernelSharing = options.convolution
    if several and options.task_streams == "separate" and convolution == "shared":
        convolution = "group"
    streams = decoder_streams(names, tasks, options)
    if options.decoder_norm == "none":
        convert_layers(decoder, streams, norm="shared", convolution=convolution)
        return streams
    # All outputs see the same encoder feature, so at the first norm there is nothing to gain.
    among_outputs = several and options.task_streams == "private"
    firsts = cast(PlainDecoder, decoder).first_norms if among_outputs else ""
    convert_layers(
        decoder,
        streams,
        where=lambda name, _: not fnmatchcase(name, firsts),
        exchange=rule if options.decoder_exchange else None,
        norm=options.norm,
        convolution=convolution,
    )
    return streams


def decoder_streams(
    names: Sequence[str], tasks: Mapping[str, Task], options: NetworkOptions
) -> Streams:
    """Streams of a decoder for features of these names, by exchange groups.

    Raises:
        ConfigError: decoders of the outputs' own are to share their norms.
    """
    normed, own = options.decoder_norm != "none", options.norm == "private"
    if len(tasks) > 1 and options.task_streams == "separate":
        if normed and not own:
            raise ConfigError(
                "task_streams='separate' gives each output a decoder of its own, norms included: "
                "take norm='private'"
            )
        # Exchange among the inputs, as in the decoder of one output.
        return Streams(
            decoder_names(tasks, names), [decoder_names([task], names) for task in tasks]
        )
    # Without norms or convolutions of its own no output's decoder streams would differ from those
    # of another: then the outputs share them.
    differ = (normed and own) or options.convolution == "private"
    if len(tasks) > 1 and options.task_streams == "private" and differ:
        return Streams(decoder_names(tasks, names), [decoder_names(tasks, [n]) for n in names])
    return Streams(names)


def make_blocks(
    encoder: nn.Module,
    decoder: nn.Module,
    streams: int,
    tasks: Mapping[str, Task],
    fusion: str,
    place: str,
) -> dict[str, nn.Module]:
    """The fusion blocks by the names that `FusedNetwork` gives them."""
    channels = cast(Encoder, encoder).channels
    plain = cast(PlainDecoder, decoder)
    make = partial(FUSIONS[fusion], streams=streams, norm=plain.batches)
    if place == "early":
        # Joined images need no block: a convolution of all channels is the fusion.
        return {} if fusion == "concat" else {"stem": make(cast(Encoder, encoder).width)}
    if place == "late":
        return {name: make(plain.channels) for name in tasks}
    fused = set(plain.reads)
    if place == "middle":
        last = len(channels) // 2 - 1
        fused = {index for index in fused if index < last} | {last}
    return {f"stage{index + 1}": make(channels[index]) for index in sorted(fused)}
