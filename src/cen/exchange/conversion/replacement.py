"""Layers that take the places of others in a network: whether they can, and how they get there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from cen.errors import ConversionError


def layers_by_name(module: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Every submodule once, with all the qualified names it is used under."""
    layers: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        layers.setdefault(id(layer), (layer, []))[1].append(name)
    yield from layers.values()


def fault_of_weights(layer: nn.Module) -> str:
    """Why no layer can start from the weights of another, as said behind its name; "": one can."""
    if any(is_lazy(weight) for weight in layer.parameters(recurse=False)):
        return "has no weights yet; run the module once first"
    # A weight that is no parameter is what torch.nn.utils.spectral_norm makes of one.
    if is_parametrized(layer) or isinstance(vars(layer).get("weight"), Tensor):
        return (
            "has parametrizations: its weights are computed of other weights, which would be lost; "
            "remove them first (torch.nn.utils.parametrize.remove_parametrizations)"
        )
    return ""


def fault_of_layer(layer: nn.Module) -> str:
    """Why no other layer can do what a layer does, as said behind its name; "": one can."""
    if fault := fault_of_weights(layer):
        return fault
    if "forward" in vars(layer):
        return "has a forward of its own, which would be lost; remove that first"
    hooks = (
        layer._forward_pre_hooks,
        layer._forward_hooks,
        layer._backward_pre_hooks,
        layer._backward_hooks,
    )
    return "has hooks, which would be lost; remove them" if any(hooks) else ""


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


def replace_layers(module: nn.Module, made: Mapping[int, nn.Module]) -> nn.Module:
    """Puts layers in the places of others, also where a module keeps them in a list of its own."""
    if not made:
        return module
    if id(module) in made:
        return made[id(module)]
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child is not None and id(child) in made:
                parent._modules[name] = made[id(child)]
        for name, value in vars(parent).items():
            if name not in _OF_PYTORCH and isinstance(value, list | tuple | dict):
                vars(parent)[name] = _replaced_in(value, made)
    return module


_OF_PYTORCH = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def _replaced_in(value: Any, replacements: Mapping[int, nn.Module]) -> Any:
    """A list, tuple or dict with layers in the places of others; itself where it holds none."""
    if isinstance(value, nn.Module):
        return replacements.get(id(value), value)
    if isinstance(value, dict):
        for key, held in value.items():
            value[key] = _replaced_in(held, replacements)
    elif isinstance(value, list):
        value[:] = [_replaced_in(held, replacements) for held in value]
    elif type(value) is tuple:
        held = tuple(_replaced_in(one, replacements) for one in value)
        return value if all(a is b for a, b in zip(held, value, strict=True)) else held
    return value
