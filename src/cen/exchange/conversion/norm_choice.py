"""Which norms of a network become private, which of them exchange, and which stay shared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from cen.errors import ConfigError, ConversionError, described
from cen.exchange.conversion.conversion_summary import Fate, NormFate
from cen.exchange.conversion.plain_norms import MAPS, PlainNorm, plain_norm
from cen.exchange.conversion.private_convolution import StreamConv2d
from cen.exchange.conversion.residual_branches import norms_before_mlps
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


def layers_by_name(module: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Every submodule once, with all the qualified names it is used under."""
    layers: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        layers.setdefault(id(layer), (layer, []))[1].append(name)
    yield from layers.values()


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


def check_ties(module: nn.Module, replaced: Collection[int]) -> None:
    """Refuses to give streams weights of their own that something else shares.

    Args:
        module: The network, not yet converted.
        replaced: The ``id`` of the layers that will be replaced.

    Raises:
        ConversionError: A layer that stays as it is has a weight in common with one of them.
    """
    owners: dict[int, str] = {}
    for layer, places in layers_by_name(module):
        if id(layer) not in replaced:
            for parameter in layer.parameters(recurse=False):
                owners.setdefault(id(parameter), places[0])
    for layer, places in layers_by_name(module):
        for key, parameter in layer.named_parameters(recurse=False):
            if id(layer) in replaced and id(parameter) in owners:
                raise ConversionError(
                    f"{places[0]!r} ({type(layer).__name__}) shares its {key} with "
                    f"{owners[id(parameter)]!r}, which stays as it is, so that what is common "
                    "would be two; give each a weight of its own, or keep both shared by all "
                    "streams (shared=)"
                )


def kept_in_evaluation(module: nn.Module) -> set[int]:
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
    default = norms_before_mlps(module, norms) if where is None and exchanging else set()
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
    if norm.kind not in ("layer norm", "RMS norm"):
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
    if any((layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)):
        raise ConversionError(f"{name!r} ({kind}) has hooks, which would be lost; remove them")
    if is_parametrized(layer) or "forward" in vars(layer):
        own = "a forward" if "forward" in vars(layer) else "parametrizations"
        raise ConversionError(
            f"{name!r} ({kind}) has {own} of its own, which would be lost; remove that first "
            "(torch.nn.utils.parametrize.remove_parametrizations), or keep this norm shared "
            "(shared=)"
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
