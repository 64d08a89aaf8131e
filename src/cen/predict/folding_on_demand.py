"""The network that a predictor runs: folded where that saves enough, compiled on request."""

from __future__ import annotations

import copy
import threading
from functools import partial

from torch import Tensor

from cen.exchange import exchange_rate
from cen.folding import fold
from cen.models import ChannelExchangeNetwork
from cen.models.compiled import Compiled, check_compiler

_COMPILE = "compile"
_RATE = 0.25
"""Share of the own channels that is exchanged, from which on recording a graph may pay."""
_SAVED = 0.1
"""Share of the multiply-adds that must go, so that a graph is run in place of the network."""


class FoldingOnDemand:
    """Gives a network as it is or folded, see `cen.fold`, and compiled where that is wanted.

    Args:
        net: the network. Its weights may change: what was folded is folded again then.
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
        self._current = net

    def __reduce__(self) -> tuple[type, tuple[ChannelExchangeNetwork, bool | None, bool]]:
        return FoldingOnDemand, (self._net, self._wanted, self._compile)  # locks are not copied

    def network(self) -> ChannelExchangeNetwork:
        """What is to be run, in evaluation mode."""
        if self._wanted is False and not self._compile:
            return self._net
        with self._lock:
            tensors = (*self._net.parameters(), *self._net.buffers())
            state = [_version(tensor) for tensor in tensors]
            if state != self._state:
                self._state, self._current = state, self._made()
            return self._current

    def _made(self) -> ChannelExchangeNetwork:
        few = self._wanted is None and float(exchange_rate(self._net)) < _RATE
        if self._wanted is not False and not few:
            folded = fold(self._net, 0.0 if self._wanted else _SAVED)
            if self._compile:
                folded.prepare = partial(Compiled, key=_COMPILE)
            return folded.net  # type: ignore[no-any-return]
        if not self._compile:
            return self._net
        made = copy.copy(self._net)  # the same modules and tensors, called another way
        made.predictions = Compiled(made.predictions, _COMPILE)  # type: ignore[method-assign]
        return made


def _version(tensor: Tensor) -> tuple[int, int]:
    """Another one after every change of the values, in place or not."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version
