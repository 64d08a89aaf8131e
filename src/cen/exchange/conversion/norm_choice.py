"""Which norms of a network become private, which of them exchange, and which stay shared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn

from cen.errors import ConfigError, ConversionError, described
from cen.exchange.conversion.conversion_summary import Fate, NormFate
from cen.exchange.conversion.plain_norms import MAPS, PlainNorm, plain_norm
from cen.exchange.conversion.private_convolution import StreamConv2d
from cen.exchange.conversion.replacement import fault_of_layer, layers_by_name
from cen.exchange.stream_norm import StreamNorm

MissingScales = Literal["refuse", "add"]
Where = str | Collection[str] | Callable[[str, nn.Module], bool] | None
_NORM_WORDS = ("BatchNorm", "InstanceNorm", "GroupNorm")


@dataclass(frozen=True)
class Choice:
    """What becomes of one layer that normalises.

    Attributes:
        layer: The layer.
        norm: What it computes; None where it stays as it is.
        fate: What becomes of it, with its first name.
    """

    layer: nn.Module
    norm: PlainNorm | None
    fate: NormFate


def check_where(where: Where, option: str) -> None:
    """Refuses what says nothing about norms: a module, names that are no text."""
    if isinstance(where, nn.Module):
        raise ConfigError(
            f"{option} is a pattern on the names of norms, or a function, not a module"
        )
    if where is None or isinstance(where, str) or callable(where):
        return
    if not isinstance(where, Collection) or not all(isinstance(w, str) for w in where):
        raise ConfigError(
            f"{option} is a pattern on the names of norms such as '*.bn2', a list of them, or a "
            f"function (name, module) -> bool, not {described(where)}"
        )


def _matches(where: Where, names: list[str], layer: nn.Module) -> bool:
    if callable(where):
        return any(bool(where(name, layer)) for name in names)
    patterns = [where] if isinstance(where, str) else where or ()
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def check_layers(module: nn.Module, shared: Where = None, norms: bool = True) -> None:
    """Refuses, by name, layers that would silently do the wrong thing on packed tensors.

    Args:
        module: The network, not yet converted.
        shared: Norms that stay as they are.
        norms: Whether norms are converted at all.

    Raises:
        ConversionError: There is one.
    """
    for layer, places in layers_by_name(module):
        kind = type(layer).__name__
        if isinstance(layer, StreamNorm | StreamConv2d):
            raise ConversionError(f"{places[0]!r} ({kind}) is multi-stream already")
        if kind == "StochasticDepth" and getattr(layer, "mode", None) == "batch":
            raise ConversionError(
                f"{places[0]!r} drops whole batches (mode='batch') and so all streams at once; "
                f"use mode='row'"
            )
        lazy = isinstance(layer, nn.modules.lazy.LazyModuleMixin)
        if norms and lazy and "Norm" in kind and not _matches(shared, places, layer):
            raise ConversionError(
                f"{places[0]!r} ({kind}) has no weights yet; run the module once first"
            )


def choose_norms(
    module: nn.Module, where: Where, shared: Where, missing_scales: MissingScales, exchanging: bool
) -> list[Choice]:
    """What becomes of every norm.

    Args:
        module: The network.
        where: Which norms exchange; None for the default of each family.
        shared: Which norms stay as they are; None for none.
        missing_scales: "add" gives scales to norms that have none.
        exchanging: Whether there is a rule to exchange by.

    Returns:
        One per layer that normalises.

    Raises:
        ConversionError: A norm can neither be converted nor stay as it is (named).
    """
    candidates = [(layer, places, plain_norm(layer)) for layer, places in layers_by_name(module)]
    norms = {id(layer): norm for layer, _, norm in candidates if isinstance(norm, PlainNorm)}
    default = _norms_before_mlps(module, norms) if where is None and exchanging else set()
    choices = []
    for layer, places, norm in candidates:
        plain = norm if isinstance(norm, PlainNorm) else None
        kind, channels = (plain.kind, plain.channels) if plain else (type(layer).__name__, 0)
        how: Fate = "shared"
        if _matches(shared, places, layer):
            if norm is None and (list(layer.children()) or "norm" not in kind.lower()):
                continue
            reason, plain = "asked for (shared=)", None
        else:
            _refuse(places[0], layer, norm, missing_scales)
            if norm is None:
                continue
            if isinstance(norm, str):
                reason = norm
            elif not norm.scaled and missing_scales == "refuse":
                reason, plain = "it has no scale", None
            elif exchanging:
                how, reason = _exchange_of(norm, places, where, default)
            else:
                how, reason = "private", "no exchange was asked for"
        is_as_asked = not isinstance(norm, str) or reason != norm
        choices.append(
            Choice(layer, plain, NormFate(places[0], kind, channels, how, reason, is_as_asked))
        )
    return choices


def _exchange_of(
    norm: PlainNorm, names: list[str], where: Where, default: set[int]
) -> tuple[Fate, str]:
    """Whether a norm exchanges, and why."""
    if where is not None:
        if _matches(where, names, norm.layer):
            return "exchanging", "where= names it"
        return "private", "where= does not name it"
    if not norm.of_positions:
        return "exchanging", "the default of norms of maps: all"
    if id(norm.layer) in default:
        return "exchanging", "the default of layer norms: before the MLP of a block"
    if not default:
        return "exchanging", "the default of layer norms where no block with an MLP is found: all"
    return "private", "not before the MLP of a block; where= can name it"


def _refuse(
    name: str, layer: nn.Module, norm: PlainNorm | str | None, missing_scales: MissingScales
) -> None:
    kind = type(layer).__name__
    if norm is None or isinstance(norm, str):
        _refuse_foreign(name, layer, norm)
        return
    if fault := fault_of_layer(layer):
        raise ConversionError(
            f"{name!r} ({kind}) {fault}, or keep this norm shared by all streams (shared=)"
        )
    if isinstance(layer, MAPS) and not norm.scaled and missing_scales == "refuse":
        raise ConversionError(
            f"{name!r} ({kind}) has no affine scale, so there is no γ to read; "
            f"build it with affine=True, or let it get one (missing_scales='add')"
        )


def _refuse_foreign(name: str, layer: nn.Module, norm: str | None) -> None:
    """Refuses what may mix the streams of a batch, as norms of batches do."""
    kind = type(layer).__name__
    if isinstance(layer, MAPS):
        raise ConversionError(
            f"{name!r} ({kind}) cannot be converted: {norm}; convert it by hand, replace it by its "
            "plain norm, or keep it shared by all streams (shared=)"
        )
    named = any(word in kind for word in _NORM_WORDS)
    if named and any(isinstance(inner, MAPS) for inner in layer.modules()):
        return
    if named or any(key.startswith("running_") for key in layer._buffers):
        raise ConversionError(
            f"{name!r} ({kind}) normalises but is no subclass of a PyTorch norm; "
            f"replace it by nn.BatchNorm2d, nn.InstanceNorm2d or nn.GroupNorm first, or keep it "
            f"shared by all streams (shared=)"
        )


def _norms_before_mlps(module: nn.Module, norms: Mapping[int, PlainNorm]) -> set[int]:
    """The layer and RMS norms inside residual branches whose output goes into an MLP.

    A block is the innermost module that holds such norms and an MLP: layers from C channels to
    more, and from others back to C. The last norm that a block holds itself is the one before its
    MLP in blocks of transformers, and the one in the branch in ConvNeXt's. Patch embeddings, the
    norms of queries and keys, and those after the last block are none of these. All by ``id``.
    """
    last: dict[nn.Module, int] = {}
    for owner in module.modules():
        own = [id(c) for c in owner.children() if id(c) in norms and norms[id(c)].of_positions]
        if own and not isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            channels = norms[own[-1]].channels
            if _holds_mlp(owner, channels):
                last[owner] = own[-1]
    return {
        norm
        for owner, norm in last.items()
        if not any(part in last for part in owner.modules() if part is not owner)
    }


def _holds_mlp(owner: nn.Module, channels: int) -> bool:
    """Whether layers lead from ``channels`` to more, and from another number back to it."""
    widths = [
        (layer.in_features, layer.out_features)
        if isinstance(layer, nn.Linear)
        else (layer.in_channels, layer.out_channels)
        for layer in owner.modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    widens = any(one == channels < other for one, other in widths)
    return widens and any(one != channels == other for one, other in widths)
