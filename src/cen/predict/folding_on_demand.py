"""The network that a predictor runs: folded where that saves enough, compiled on request."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from cen.exchange import StreamNorm, exchange_rate
from cen.folding import fold
from cen.models import ChannelExchangeNetwork
from cen.models.compiled import Compiled, check_compiler, subset_count

_COMPILE = "compile"
_RATE = 0.25
"""Share of the own channels that is exchanged, from which on recording a graph may pay."""
_SAVED = 0.1
"""Share of the multiply-adds that must go, so that a graph is run in place of the network."""
_SMALL = 1 << 16
"""Values of a tensor below which it is added up along with others."""


class FoldingOnDemand:
    """Gives a network as it is or folded, see `cen.fold`, and compiled where that is wanted.

    Args:
        net: the network. Its weights and its rule may change: what was folded is folded again then.
        wanted: True: folded wherever that costs no more; False: never; None: where at least a
            quarter of the own channels is exchanged and a tenth of the multiply-adds goes.
        compile: what is run is compiled by ``torch.compile``.

    Raises:
        ConfigError: there is no compiler.
    """

    def __init__(
        self, net: ChannelExchangeNetwork, wanted: bool | None, compile: bool = False
    ) -> None:
        if compile:
            check_compiler(_COMPILE, next(net.parameters()).device)
        self._net, self._wanted, self._compile = net, wanted, compile
        self._lock = threading.Lock()
        self._state: object = None
        self._sums: list[int] | None = None
        self._current = net

    def __reduce__(self) -> tuple[type, tuple[ChannelExchangeNetwork, bool | None, bool]]:
        return FoldingOnDemand, (self._net, self._wanted, self._compile)  # locks are not copied

    def network(self) -> ChannelExchangeNetwork:
        """What is to be run, in evaluation mode."""
        if self._wanted is False and not self._compile:
            return self._net
        with self._lock:
            tensors = (*self._net.parameters(), *self._net.buffers())
            rules = [m.exchange for m in self._net.modules() if isinstance(m, StreamNorm)]
            state = [*map(_version, tensors), *rules]
            # What is folded is made of copies of the weights.
            if state != self._state or (self._sums and self._sums != _sums(tensors)):
                self._state = state
                self._current, copied = self._made()
                self._sums = _sums(tensors) if copied else None
            return self._current

    def _made(self) -> tuple[ChannelExchangeNetwork, bool]:
        """What is run, and whether it has weights of its own."""
        few = self._wanted is None and float(exchange_rate(self._net)) < _RATE
        if self._wanted is not False and not few:
            folded = fold(self._net, 0.0 if self._wanted else _SAVED)
            if self._compile:
                folded.prepare = self._compiled
            return folded.net, True
        if not self._compile:
            return self._net, False
        compiled = copy.copy(self._net)  # the same modules and tensors, called another way
        compiled.predictions = self._compiled(compiled.predictions)  # type: ignore[method-assign]
        return compiled, False

    def _compiled(self, part: Callable[..., Any]) -> Compiled:
        return Compiled(part, _COMPILE, subsets=subset_count(self._net.inputs))


def _version(tensor: Tensor) -> tuple[int, int]:
    """Another one after changes of the values, in place or not, but for those of `_sums`."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


def _sums(tensors: Iterable[Tensor]) -> list[int]:
    """What the bits of all values add up to: another number after any change that is not contrived.

    No version tells of what is written through ``.data``, as averages of weights mostly are, or
    through an array that shares their memory.
    """
    small: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    several = []
    for tensor in tensors:
        flat = tensor.detach().flatten()
        if len(flat) < _SMALL:
            small.setdefault((flat.dtype, flat.device), []).append(flat)
        else:
            several.append(flat)
    several += map(torch.cat, small.values())
    sums: list[int] = torch.stack([_sum(flat) for flat in several]).tolist()
    return sums


def _sum(values: Tensor) -> Tensor:
    bits = values.contiguous().view(torch.uint8)
    length = len(bits) // 8 * 8  # by eight bytes at once the sum is as fast as the memory
    return bits[:length].view(torch.int64).sum() + bits[length:].sum()
