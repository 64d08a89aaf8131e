"""Norms that a conversion leaves as they are: found by their class, or when they are called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from cen.errors import CenWarning
from cen.exchange.stream_norm import StreamNorm

_FUNCTIONS: Mapping[Any, str] = {
    F.layer_norm: "F.layer_norm",
    torch.layer_norm: "F.layer_norm",
    F.group_norm: "F.group_norm",
    torch.group_norm: "F.group_norm",
    F.batch_norm: "F.batch_norm",
    torch.batch_norm: "F.batch_norm",
    F.instance_norm: "F.instance_norm",
    torch.instance_norm: "F.instance_norm",
    F.rms_norm: "F.rms_norm",
    torch.rms_norm: "F.rms_norm",
}


def shared_norms(module: nn.Module) -> list[str]:
    """Names of the modules that normalise with parameters of their own and know no streams.

    By their class, whose name says "Norm": LayerNorm, RMSNorm and what projects derive from them.
    """
    found = []
    for name, layer in module.named_modules():
        own = next(layer.parameters(recurse=False), None) is not None
        if own and "norm" in type(layer).__name__.lower() and not isinstance(layer, StreamNorm):
            found.append(name)
    return found


def named(names: Sequence[str], most: int = 4) -> str:
    """The first few of some names in quotes, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class SharedNorms(TorchFunctionMode):
    """Looks out, during a pass, for norms that are functions called with a parameter.

    Args:
        module: The converted network.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # Those of norm modules were told of when the network was converted.
        told = {id(p) for n in shared_norms(module) for p in module.get_submodule(n).parameters()}
        self.names = {id(p): name for name, p in module.named_parameters() if id(p) not in told}
        self.found: dict[str, str] = {}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Notes a norm, and calls it."""
        options = kwargs or {}
        if function in _FUNCTIONS:
            for value in (*args, *options.values()):
                if id(value) in self.names:
                    self.found[self.names[id(value)]] = _FUNCTIONS[function]
        return function(*args, **options)

    def tell(self) -> None:
        """Warns of what was found."""
        if self.found:
            functions = ", ".join(sorted(set(self.found.values())))
            warnings.warn(
                f"{named(list(self.found))} belong to norms that are no modules ({functions}); "
                "they stay shared by all streams, which exchange nothing there",
                CenWarning,
                stacklevel=4,
            )
