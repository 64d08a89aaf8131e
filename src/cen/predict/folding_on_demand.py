"""The network that a predictor runs: folded where that saves enough, anew when weights change."""

from __future__ import annotations

import threading

from torch import Tensor

from cen.exchange import exchange_rate
from cen.folding import fold
from cen.models import ChannelExchangeNetwork

_RATE = 0.25
"""Share of the own channels that is exchanged, from which on recording a graph may pay."""
_SAVED = 0.1
"""Share of the multiply-adds that must go, so that a graph is run in place of the network."""


class FoldingOnDemand:
    """Gives a network as it is or folded, see `cen.fold`.

    Args:
        net: the network. Its weights may change: what was folded is folded again then.
        wanted: True: folded wherever that costs no more; False: never; None: where at least a
            quarter of the own channels is exchanged and a tenth of the multiply-adds goes.
    """

    def __init__(self, net: ChannelExchangeNetwork, wanted: bool | None) -> None:
        self._net, self._wanted = net, wanted
        self._lock = threading.Lock()
        self._state: object = None
        self._current = net

    def __reduce__(self) -> tuple[type, tuple[ChannelExchangeNetwork, bool | None]]:
        return FoldingOnDemand, (self._net, self._wanted)  # locks are not copied

    def network(self) -> ChannelExchangeNetwork:
        """What is to be run, in evaluation mode."""
        if self._wanted is False:
            return self._net
        with self._lock:
            tensors = (*self._net.parameters(), *self._net.buffers())
            state = [_version(tensor) for tensor in tensors]
            if state != self._state:
                self._state, self._current = state, self._made()
            return self._current

    def _made(self) -> ChannelExchangeNetwork:
        if self._wanted:
            return fold(self._net).net  # type: ignore[no-any-return]
        if float(exchange_rate(self._net)) < _RATE:
            return self._net
        return fold(self._net, saved=_SAVED).net  # type: ignore[no-any-return]


def _version(tensor: Tensor) -> tuple[int, int]:
    """Another one after every change of the values, in place or not."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version
