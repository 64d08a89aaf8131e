"""Turns any network into a multi-stream one by exchanging its norm layers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cen.arguments import choice
from cen.errors import CenWarning, ConfigError, ConversionError, described
from cen.exchange.batch_norm import StreamBatchNorm
from cen.exchange.group_norm import StreamGroupNorm
from cen.exchange.instance_norm import StreamInstanceNorm
from cen.exchange.multistream import MultiStream
from cen.exchange.private_convolution import StreamConv2d
from cen.exchange.rule import ExchangeRule
from cen.exchange.shared_norms import named, shared_norms
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams
from cen.exchange.sync_batch_norm import StreamSyncBatchNorm

WeakScales = Literal["refuse", "reset", "keep"]
Where = str | Collection[str] | Callable[[str, nn.Module], bool] | None
_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_PLAIN = (*_BATCH, *_INSTANCE, nn.GroupNorm)
_NORM_WORDS = ("BatchNorm", "InstanceNorm", "GroupNorm")


class NormAct(nn.Module):
    """A stream norm followed by what a combined norm-and-activation layer does after it."""

    def __init__(self, norm: StreamNorm, drop: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.norm, self.drop, self.act = norm, drop, act

    def forward(self, packed: Tensor) -> Tensor:
        """(B·S, C, *) → (B·S, C, *); the exchange comes before the activation."""
        result: Tensor = self.act(self.drop(self.norm(packed)))
        return result


def convert(
    module: nn.Module,
    streams: Sequence[str],
    *,
    where: Where = None,
    exchange: ExchangeRule | None = None,
    norm: Literal["private", "shared"] = "private",
    convolution: Literal["shared", "private"] = "shared",
    weak_scales: WeakScales = "refuse",
) -> MultiStream:
    """Makes a multi-stream network of a copy of any module with Batch/Instance/GroupNorm.

    Each stream starts from the module's weights, which all streams share except for the norms.
    Dtype, device, ``requires_grad``, memory format and training mode are kept.

    Args:
        module: The single-stream network; it is not changed.
        streams: Names, for example ("rgb", "thermal").
        where: Which norms exchange: None for all, ``fnmatch`` patterns on qualified names such as
            "*.bn2", or a predicate (name, module) → bool. For ResNets the paper's choice is the
            norm of the 3×3 convolution of every bottleneck.
        exchange: θ, scope and penalty; None is the paper's segmentation default.
        norm: "shared" keeps one norm for all streams (ablation; it cannot exchange).
        convolution: "private" gives each stream its own kernels (ablation).
        weak_scales: What is done with a norm that would exchange and starts with most of its scales
            below θ, as norms do that are initialised with zeros (the last of each block in many
            residual networks): its own channels would be exchanged before the first step, for
            ever, as a replaced channel learns nothing. "refuse"; "reset": its scales start at 1;
            "keep": as it is.

    Returns:
        The network; call it with a dict of inputs. Norms of other kinds that stay as they are,
        shared by all streams, are named in a `CenWarning`; those that are no modules at the first
        pass.

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
    shared = Streams(streams)
    _check(module, norm)  # before the copy, which fails on layers without weights
    converted = convert_layers(
        copy.deepcopy(module),
        shared,
        where=where,
        exchange=exchange or ExchangeRule(),
        norm=norm,
        convolution=convolution,
        weak_scales=weak_scales,
    )
    if norm == "private" and (left := shared_norms(converted)):
        warnings.warn(
            f"{named(left)} stay as they are, shared by all streams, which exchange nothing there: "
            "only batch, instance and group norms are converted",
            CenWarning,
            stacklevel=2,
        )
    return MultiStream(converted, shared)


def convert_layers(
    module: nn.Module,
    streams: Streams,
    *,
    where: Where = None,
    exchange: ExchangeRule | None = None,
    norm: Literal["private", "shared"] = "private",
    convolution: Literal["shared", "private"] = "shared",
    weak_scales: WeakScales = "keep",
) -> nn.Module:
    """Like :func:`convert`, but in place and for packed tensors; returns the module.

    A layer used in two places stays one layer.

    Args:
        module: The network to change.
        streams: The streams that all converted layers share.
        where: Which norms exchange, see :func:`convert`.
        exchange: The rule of those norms; None converts without any exchange.
        norm: "private" or "shared".
        convolution: "shared" or "private".
        weak_scales: See :func:`convert`.

    Raises:
        ConversionError: A layer cannot be converted (named), or no norm matches ``where``.
        ConfigError: An option is unknown, or a shared norm is asked to exchange by own parts.
    """
    choice("norm", norm, ("private", "shared"))
    choice("convolution", convolution, ("private", "shared"))
    choice("weak_scales", weak_scales, get_args(WeakScales))
    _check_where(where)
    names = _names_of_layers(module)
    made: dict[int, nn.Module] = {}
    tied: dict[int, nn.Parameter] = {}
    exchanging = 0
    weak: list[str] = []
    _check(module, norm)
    for layer, places in names.values():
        if isinstance(layer, _PLAIN) and norm == "private":
            matched = exchange is not None and any(_matches(where, p, layer) for p in places)
            exchanging += matched
            if matched and exchange is not None and exchange.guide == "scale" and len(streams) > 1:
                weak += [places[0]] if is_weak(layer, exchange.threshold) else []
            made[id(layer)] = _stream_layer(
                places[0], layer, streams, exchange if matched else None, tied
            )
        elif isinstance(layer, nn.Conv2d) and convolution == "private":
            made[id(layer)] = StreamConv2d(layer, streams)
    if norm == "private" and not any(isinstance(layer, _PLAIN) for layer, _ in names.values()):
        raise ConversionError(
            f"{type(module).__name__} holds no BatchNorm, InstanceNorm or GroupNorm to convert"
        )
    if norm == "private" and exchange is not None and not exchanging:
        raise ConversionError(
            f"where={described(where)} matches none of the norms; see named_modules()"
        )
    if weak and weak_scales == "refuse":
        raise ConversionError(
            f"{named(weak)} would exchange most of their own channels before the first step, for "
            f"ever: their scales start below θ = {exchange.threshold if exchange else 0:g}, as "
            "those of norms do that are initialised with zeros. Let other norms exchange (where=), "
            "load trained weights first, or let these scales start at 1 (weak_scales='reset') or "
            "be (weak_scales='keep')"
        )
    if weak_scales == "reset":
        for places in (places for _, places in names.values() if places[0] in weak):
            layer = next(made[id(value)] for value, found in names.values() if found is places)
            for part in layer.modules():
                if isinstance(part, StreamNorm):
                    nn.init.ones_(part.weight)
    return _replace(module, made)


def is_weak(layer: nn.Module, threshold: float) -> bool:
    """Whether most scales of a plain norm lie below θ, so that it was never trained to be read."""
    scale = layer.weight
    if not isinstance(scale, Tensor) or scale.is_meta or is_lazy(scale):
        return False
    return float((scale.detach().abs() < threshold).float().mean()) > 0.5


def _names_of_layers(module: nn.Module) -> dict[int, tuple[nn.Module, list[str]]]:
    """Every submodule once, with all the qualified names it is used under."""
    found: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        found.setdefault(id(layer), (layer, []))[1].append(name)
    return found


def _check(module: nn.Module, norm: str) -> None:
    for layer, places in _names_of_layers(module).values():
        _refuse(places[0], layer, norm)


def _replace(module: nn.Module, made: Mapping[int, nn.Module]) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child is not None and id(child) in made:
                parent._modules[name] = made[id(child)]
    return module


def _check_where(where: Where) -> None:
    """Refuses what says nothing about norms: a module, names that are no text."""
    if isinstance(where, nn.Module):
        raise ConfigError("where is a pattern on the names of norms, or a function, not a module")
    if where is None or isinstance(where, str) or callable(where):
        return
    if not isinstance(where, Collection) or not all(isinstance(w, str) for w in where):
        raise ConfigError(
            "where is a pattern on the names of norms such as '*.bn2', a list of them, or a "
            f"function (name, module) -> bool, not {described(where)}"
        )


def _matches(where: Where, name: str, layer: nn.Module) -> bool:
    if where is None:
        return True
    if callable(where):
        return bool(where(name, layer))
    patterns = [where] if isinstance(where, str) else where
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _refuse(name: str, layer: nn.Module, norm: str) -> None:
    """Refuses, by name, a layer that would silently do the wrong thing on packed tensors."""
    kind = type(layer).__name__
    if isinstance(layer, StreamNorm | StreamConv2d):
        raise ConversionError(f"{name!r} ({kind}) is multi-stream already")
    if kind == "StochasticDepth" and getattr(layer, "mode", None) == "batch":
        raise ConversionError(
            f"{name!r} drops whole batches (mode='batch') and so all streams at once; "
            f"use mode='row'"
        )
    if norm == "shared":
        return
    if isinstance(layer, nn.modules.lazy.LazyModuleMixin) and any(w in kind for w in _NORM_WORDS):
        raise ConversionError(f"{name!r} ({kind}) has no weights yet; run the module once first")
    if isinstance(layer, _PLAIN):
        hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)
        if any(hooks):
            raise ConversionError(f"{name!r} ({kind}) has hooks, which would be lost; remove them")
        if layer.weight is None or layer.bias is None:
            raise ConversionError(
                f"{name!r} ({kind}) has no affine scale, so there is no γ to read; "
                f"build it with affine=True"
            )
    elif any(word in kind for word in _NORM_WORDS) and not _holds_norms(layer):
        raise ConversionError(
            f"{name!r} ({kind}) normalises but is no subclass of a PyTorch norm; "
            f"replace it by nn.BatchNorm2d, nn.InstanceNorm2d or nn.GroupNorm first"
        )


def _holds_norms(layer: nn.Module) -> bool:
    return any(isinstance(inner, _PLAIN) for inner in layer.modules())


def _stream_layer(
    name: str,
    layer: nn.Module,
    streams: Streams,
    rule: ExchangeRule | None,
    tied: dict[int, nn.Parameter],
) -> nn.Module:
    stream_norm = _stream_norm(layer, streams, rule)
    if rule is not None:
        stream_norm.chosen = rule.chosen(stream_norm.num_features, streams.groups, name)
    stream_norm.load_plain(layer)
    for key in ("weight", "bias"):
        # Parameters that two norms share go on being shared.
        shared = tied.setdefault(id(getattr(layer, key)), getattr(stream_norm, key))
        setattr(stream_norm, key, shared)
    stock = next(kind for kind in _PLAIN if isinstance(layer, kind))
    if type(layer).forward is stock.forward:
        return stream_norm
    return _with_activation(name, layer, stream_norm)


def _stream_norm(layer: nn.Module, streams: Streams, rule: ExchangeRule | None) -> StreamNorm:
    """A stream norm with the options of a plain one, not yet its weights."""
    if isinstance(layer, nn.GroupNorm):
        return StreamGroupNorm(
            layer.num_groups, layer.num_channels, streams, exchange=rule, eps=layer.eps
        )
    # As in PyTorch, the buffers decide what is used, and the attribute whether they move.
    tracked = layer.running_mean is not None
    moves = layer.track_running_stats
    if isinstance(layer, _INSTANCE):
        return StreamInstanceNorm(
            layer.num_features,
            streams,
            exchange=rule,
            eps=layer.eps,
            momentum=(layer.momentum or 0.0) if moves else 0.0,
            track_running_stats=tracked,
        )
    assert isinstance(layer, _BATCH)
    kind = StreamSyncBatchNorm if isinstance(layer, nn.SyncBatchNorm) else StreamBatchNorm
    made = kind(
        layer.num_features,
        streams,
        exchange=rule,
        eps=layer.eps,
        momentum=layer.momentum if moves else 0.0,
        track_running_stats=tracked,
    )
    if isinstance(made, StreamSyncBatchNorm):
        made.process_group = layer.process_group
    return made


def _with_activation(name: str, layer: nn.Module, made: StreamNorm) -> NormAct:
    """Converts a subclass that drops and activates after the norm, as timm's BatchNormAct2d does.

    Whether that is all its forward does is tried out on random values rather than assumed.
    """
    drop, act = getattr(layer, "drop", nn.Identity()), getattr(layer, "act", None)
    if isinstance(drop, nn.Module) and isinstance(act, nn.Module) and _acts(layer, drop, act):
        return NormAct(made, drop, act)
    raise ConversionError(
        f"{name!r} ({type(layer).__name__}) has a forward of its own, and it is not "
        f"act(drop(norm(x))); convert it by hand or replace it by its plain norm"
    )


@torch.no_grad()
def _acts(layer: nn.Module, drop: nn.Module, act: nn.Module) -> bool:
    probe = copy.deepcopy(layer).eval()
    stock: Any = next(kind for kind in _PLAIN if isinstance(layer, kind))
    weight = probe.weight
    assert isinstance(weight, Tensor)
    dims = 1 if isinstance(layer, nn.BatchNorm1d | nn.InstanceNorm1d) else 2
    dims = 3 if isinstance(layer, nn.BatchNorm3d | nn.InstanceNorm3d) else dims
    sample = torch.randn(
        2,
        len(weight),
        *[4] * dims,
        generator=torch.Generator().manual_seed(0),
    ).to(weight)
    expected = act(copy.deepcopy(drop).eval()(stock.forward(probe, sample.clone())))
    return torch.allclose(probe(sample.clone()), expected, rtol=1e-4, atol=1e-5)
