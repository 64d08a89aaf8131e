"""Turns any network into a multi-stream one by exchanging its norm layers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from cen.arguments import choice
from cen.errors import CenWarning, ConfigError, ConversionError, described, message_of
from cen.exchange.batch_norm import freeze_statistics
from cen.exchange.conversion.conversion_summary import ConversionSummary, named
from cen.exchange.conversion.multistream import MultiStream
from cen.exchange.conversion.norm_choice import (
    Choice,
    MissingScales,
    Where,
    check_layers,
    check_where,
    choose_norms,
)
from cen.exchange.conversion.plain_norms import PlainNorm
from cen.exchange.conversion.private_convolution import private_convolutions
from cen.exchange.conversion.private_stems import stems_of
from cen.exchange.conversion.replacement import check_ties, layers_by_name, replace_layers
from cen.exchange.rule import ExchangeRule
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams

WeakScales = Literal["refuse", "reset", "keep"]
Sharing = Literal["private", "shared"]
KernelSharing = Literal["private", "shared", "group"]


@dataclass(frozen=True)
class _Options:
    """What is asked of a conversion; see :func:`convert`."""

    where: Where
    exchange: ExchangeRule | None
    norm: Sharing
    convolution: KernelSharing
    weak_scales: WeakScales
    shared: Where
    missing_scales: MissingScales

    def check(self, module: nn.Module) -> None:
        """Refuses options that there are not, and a module with layers that cannot be."""
        choice("norm", self.norm, get_args(Sharing))
        choice("convolution", self.convolution, get_args(KernelSharing))
        choice("weak_scales", self.weak_scales, get_args(WeakScales))
        choice("missing_scales", self.missing_scales, get_args(MissingScales))
        check_where(self.where, "where")
        check_where(self.shared, "shared")
        check_layers(module, self.shared, self.norm == "private")


class NormAct(nn.Module):
    """A stream norm followed by what a combined norm-and-activation layer does after it."""

    def __init__(self, norm: StreamNorm, after: Sequence[nn.Module]) -> None:
        super().__init__()
        self.norm = norm
        self.drop, self.act = [nn.Identity(), *after][-2:]

    def forward(self, packed: Tensor) -> Tensor:
        """(B·S, C, *) → (B·S, C, *); the exchange comes before the activation."""
        result: Tensor = self.act(self.drop(self.norm(packed)))
        return result


def convert(
    module: nn.Module,
    streams: Sequence[str] | Mapping[str, int],
    *,
    where: Where = None,
    exchange: ExchangeRule | None = None,
    norm: Sharing = "private",
    convolution: Sharing = "shared",
    weak_scales: WeakScales = "refuse",
    shared: Where = None,
    missing_scales: MissingScales = "refuse",
    stem: str | Sequence[str] | None = None,
) -> MultiStream:
    """Makes a multi-stream network of a copy of any module with norms.

    Each stream starts from the module's weights, which all streams share except for the norms:
    batch, instance, group, layer and RMS norms, those of other libraries too where they compute
    the same on random values. Dtype, device, ``requires_grad``, memory format and training mode
    are kept, and batch norms that the module's own ``train()`` leaves in evaluation mode keep their
    statistics (`cen.freeze_statistics`). What became of each norm, and why, is in ``summary()`` of
    the network.

    Args:
        module: The single-stream network; it is not changed.
        streams: Names, for example ("rgb", "thermal"); or channels by name, {"rgb": 3, "thermal":
            1}: where they are not those that the network takes, the stream gets a first convolution
            of its own, adapted by `adapt_channels`.
        where: Which norms exchange: ``fnmatch`` patterns on qualified names such as "*.bn2", or a
            predicate (name, module) → bool. For ResNets the paper's choice is the norm of the 3×3
            convolution of every bottleneck. None: of batch, instance and group norms all; of layer
            and RMS norms the last of each block, which is the one before its MLP (in ConvNeXt the
            one in the branch), or all where there is no such block. In the branch, what is given
            away comes back on the residual path, and unlike before the attention, no queries of
            one sensor meet keys of another (this project's extension; not measured).
        exchange: θ, scope and penalty; None is the paper's segmentation default.
        norm: "shared" keeps one norm for all streams (ablation; it cannot exchange).
        convolution: "private" gives each stream its own kernels (ablation).
        weak_scales: What is done with a norm that would exchange and starts with most of its scales
            below θ, as norms do that are initialised with zeros (the last of each block in many
            residual networks): its own channels would be exchanged before the first step, for
            ever, as a replaced channel learns nothing. "refuse"; "reset": its scales start at 1;
            "keep": as it is.
        shared: Which norms stay as they are, shared by all streams; None for none.
        missing_scales: What is done with norms without scales, so that there is no γ to read:
            "refuse" (layer and RMS norms stay as they are); "add": they get scales of 1.
        stem: Names of the convolutions that take the image, for streams with other channels; None:
            the first one of the module. The first pass shows whether images enter nowhere else.

    Returns:
        The network; call it with a dict of inputs. Norms that stay as they are, shared by all
        streams, without having been asked to are named in a `CenWarning`; those that are no
        modules at the first pass. That pass also shows whose rows each norm gets.

    Raises:
        ConversionError: A layer cannot be converted (named), or no norm matches ``where``.
    """
    if not isinstance(module, nn.Module):
        raise ConversionError(f"convert takes a network (nn.Module), not {described(module)}")
    if exchange is not None and not isinstance(exchange, ExchangeRule):
        raise ConfigError(
            f"exchange is a cen.ExchangeRule, such as ExchangeRule(threshold=0.02), not "
            f"{described(exchange)}"
        )
    together = Streams(list(streams) if isinstance(streams, Mapping) else streams)
    rule = exchange or ExchangeRule()
    options = _Options(where, rule, norm, convolution, weak_scales, shared, missing_scales)
    options.check(module)  # before the copy, which fails without weights
    converted, choices = _converted(_copied(module), together, options)
    channels = dict(streams) if isinstance(streams, Mapping) else {}
    converted = replace_layers(
        converted, stems_of(converted, together, channels, stem, convolution)
    )
    return MultiStream(converted, together, _summary(choices), channels)


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a network of others holds
        raise ConversionError(
            f"{type(module).__name__} cannot be copied (copy.deepcopy: "
            f"{message_of(error)}); let go of what it keeps beside its weights, "
            "such as results of its last call"
        ) from error


def convert_layers(
    module: nn.Module,
    streams: Streams,
    *,
    where: Where = None,
    exchange: ExchangeRule | None = None,
    norm: Sharing = "private",
    convolution: KernelSharing = "shared",
    weak_scales: WeakScales = "keep",
    shared: Where = None,
    missing_scales: MissingScales = "refuse",
) -> nn.Module:
    """Like :func:`convert`, but in place and for packed tensors; returns the module.

    A layer used in two places stays one layer.

    Args:
        module: The network to change.
        streams: The streams that all converted layers share.
        where: Which norms exchange, see :func:`convert`.
        exchange: The rule of those norms; None converts without any exchange.
        norm: "private" or "shared".
        convolution: "shared", "private", or "group": shared by the streams of an exchange group.
        weak_scales: See :func:`convert`.
        shared: Which norms stay as they are.
        missing_scales: See :func:`convert`.

    Raises:
        ConversionError: A layer cannot be converted (named), or no norm matches ``where``.
        ConfigError: An option is unknown, or a shared norm is asked to exchange by own parts.
    """
    options = _Options(where, exchange, norm, convolution, weak_scales, shared, missing_scales)
    options.check(module)
    return _converted(module, streams, options)[0]


def converted_layers(
    module: nn.Module, streams: Streams, exchange: ExchangeRule | None, where: Where = None
) -> tuple[nn.Module, ConversionSummary]:
    """Like :func:`convert_layers` for a network of others, and what became of its norms.

    Scales that start below θ start at 1 instead, where channels are exchanged after them. Norms
    that stay shared without having been asked to are named in a `CenWarning`.
    """
    options = _Options(where, exchange, "private", "shared", "reset", None, "refuse")
    options.check(module)
    converted, choices = _converted(module, streams, options)
    return converted, _summary(choices)


def _converted(
    module: nn.Module, streams: Streams, options: _Options
) -> tuple[nn.Module, list[Choice]]:
    """The module, converted in place, and what became of its norms."""
    where, exchange = options.where, options.exchange
    layers: dict[int, nn.Module] = {}
    choices: list[Choice] = []
    if options.convolution != "shared":
        by_group = options.convolution == "group"
        layers |= private_convolutions(layers_by_name(module), streams, by_group)
    if options.norm == "private":
        choices = choose_norms(
            module, where, options.shared, options.missing_scales, exchange is not None
        )
        _check_choices(module, choices, where, exchange)
        weak = _weak(choices, exchange if len(streams) > 1 else None, options.weak_scales)
        made = _stream_layers(module, streams, choices, exchange, weak)
        for key in _kept_in_evaluation(module) & made.keys():
            # The module knows its norms by their class, which is another one from now on.
            freeze_statistics(made[key])
        layers |= made
    check_ties(module, layers)
    return _without_fast_paths(replace_layers(module, layers)) if layers else module, choices


def _check_choices(
    module: nn.Module, choices: list[Choice], where: Where, exchange: ExchangeRule | None
) -> None:
    """Refuses a conversion that would come to nothing."""
    if not any(one.norm for one in choices):
        reasons = "".join(f"; {one.fate.name!r}: {one.fate.reason}" for one in choices[:4])
        raise ConversionError(
            f"{type(module).__name__} holds no BatchNorm, InstanceNorm, GroupNorm, LayerNorm or "
            f"RMSNorm to convert{reasons}"
        )
    if exchange is not None and not any(one.fate.fate == "exchanging" for one in choices):
        raise ConversionError(
            f"where={described(where)} matches none of the norms; see named_modules()"
        )


def _weak(choices: list[Choice], rule: ExchangeRule | None, how: WeakScales) -> list[str]:
    """Names of the norms that would exchange most of their own channels at once, if to be reset."""
    if rule is None or rule.guide != "scale" or how == "keep":
        return []
    names = [
        one.fate.name
        for one in choices
        if one.norm and one.fate.fate == "exchanging" and one.norm.weak(rule.threshold)
    ]
    if names and how == "refuse":
        raise ConversionError(
            f"{named(names)} would exchange most of their own channels before the first step, for "
            f"ever: their scales start below θ = {rule.threshold:g}, as those of norms do that are "
            "initialised with zeros. Let other norms exchange (where=), load trained weights "
            "first, or let these scales start at 1 (weak_scales='reset') or be "
            "(weak_scales='keep')"
        )
    return names


def _stream_layers(
    module: nn.Module,
    streams: Streams,
    choices: list[Choice],
    exchange: ExchangeRule | None,
    reset: list[str],
) -> dict[int, nn.Module]:
    """What takes the place of each norm, by ``id``."""
    layers: dict[int, nn.Module] = {}
    tied: dict[int, nn.Parameter] = {}
    first = next(module.parameters(), None)
    for one in choices:
        if one.norm is None:
            continue
        rule = exchange if one.fate.fate == "exchanging" else None
        layer = _stream_norm(one.fate.name, one.norm, streams, rule, tied)
        if not one.norm.scaled and first is not None:
            layer.to(first.device, first.dtype)
        if one.fate.name in reset:
            nn.init.ones_(layer.weight)
        after = one.norm.after
        layers[id(one.layer)] = NormAct(layer, after) if after else layer
    return layers


def _stream_norm(
    name: str,
    norm: PlainNorm,
    streams: Streams,
    rule: ExchangeRule | None,
    tied: dict[int, nn.Parameter],
) -> StreamNorm:
    """A stream norm with the options and the weights of a plain one."""
    stream_norm = norm.twin(streams, rule)
    if rule is not None:
        stream_norm.chosen = rule.chosen(stream_norm.num_features, streams.groups, name)
    stream_norm.load_plain(norm.layer)
    for key in ("weight", "bias"):
        # Parameters that two norms share go on being shared.
        source = getattr(norm.layer, key, None)
        if source is not None:
            setattr(stream_norm, key, tied.setdefault(id(source), getattr(stream_norm, key)))
    return stream_norm


def _summary(choices: list[Choice]) -> ConversionSummary:
    """What became of the norms; with a warning of those that stay shared without being asked to."""
    reasons: dict[str, list[str]] = {}
    for one in choices:
        if not one.fate.wanted:
            reasons.setdefault(one.fate.reason, []).append(one.fate.name)
    for reason, names in reasons.items():
        warnings.warn(
            f"{named(names)} stay as they are, shared by all streams, which exchange nothing "
            f"there: {reason}",
            CenWarning,
            stacklevel=3,
        )
    return ConversionSummary(tuple(one.fate for one in choices))


def _kept_in_evaluation(module: nn.Module) -> set[int]:
    """The ``id`` of the layers that a network's own ``train()`` leaves in evaluation mode.

    Many networks override it to keep the statistics of pretrained norms, which they know by their
    class. Nothing of the module is changed by the look.
    """
    if all(type(part).train is nn.Module.train for part in module.modules()):
        return set()
    modes = [(part, part.training) for part in module.modules()]
    learning = [(p, p.requires_grad) for p in module.parameters()]
    try:
        module.train()
        return {id(part) for part, _ in modes if not part.training}
    finally:
        for part, training in modes:
            part.training = training
        for parameter, learns in learning:
            parameter.requires_grad_(learns)


def _without_fast_paths(module: nn.Module) -> nn.Module:
    """Keeps PyTorch's encoder layers from reading the scales of their norms behind their backs.

    In eval mode they may hand weights of plain norms to a kernel of their own.
    """
    for part in module.modules():
        if isinstance(part, nn.TransformerEncoderLayer):
            part.activation_relu_or_gelu = 0
        if isinstance(part, nn.TransformerEncoder):
            part.use_nested_tensor = False
    return module
