"""Norms that a conversion cannot see, as no module computes them: found when they are called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from cen.errors import CenWarning, ConversionError
from cen.exchange.conversion.conversion_summary import NormFate, named

_FUNCTIONS: Mapping[Any, str] = {
    getattr(room, name): f"F.{name}"
    for room in (F, torch)
    for name in ("layer_norm", "group_norm", "batch_norm", "instance_norm", "rms_norm")
}


class SharedNorms(TorchFunctionMode):
    """Looks out, during a pass, for norms that are functions called with a parameter or statistics.

    Args:
        module: The converted network.
        known: Names of the norms that were told of when it was converted.
    """

    def __init__(self, module: nn.Module, known: Collection[str]) -> None:
        super().__init__()
        norms = [module.get_submodule(name) for name in known]
        norm_parameters = {id(p) for norm in norms for p in (*norm.parameters(), *norm.buffers())}
        # Buffers are the statistics of what has no parameters, and are moved by all streams.
        every = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.names = {id(p): name for name, p in every.items() if id(p) not in norm_parameters}
        self.known = norm_parameters | self.names.keys()
        self.found: dict[str, str] = {}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Notes a norm, and calls it.

        Raises:
            ConversionError: Its parameters are none of the network's.
        """
        options = kwargs or {}
        if function in _FUNCTIONS:
            for value in (*args[1:], *options.values()):  # the first is what is normalised
                if id(value) in self.names:
                    self.found[self.names[id(value)]] = _FUNCTIONS[function]
                elif isinstance(value, nn.Parameter) and id(value) not in self.known:
                    raise ConversionError(
                        f"{_FUNCTIONS[function]} was called with a parameter of "
                        f"{tuple(value.shape)} that is none of the network's: a norm that was "
                        "converted is still called in its old form, held where a conversion does "
                        "not look (a closure, an object that is no module); let the module call "
                        "its own layers, or keep that norm shared (shared=)"
                    )
        return function(*args, **options)

    def fates(self) -> tuple[NormFate, ...]:
        """What was found, for the summary."""
        return tuple(
            NormFate(name, function, 0, "shared", "it is no module", wanted=False)
            for name, function in self.found.items()
        )

    def tell(self) -> None:
        """Warns of what was found."""
        if self.found:
            functions = ", ".join(sorted(set(self.found.values())))
            warnings.warn(
                f"{named(list(self.found))} belong to norms that are no modules ({functions}); "
                "they stay shared by all streams, which exchange nothing there",
                CenWarning,
                stacklevel=5,
            )
