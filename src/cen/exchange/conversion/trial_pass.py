"""Passes that are no real ones: a network is called to see what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange.streams import Activation, Pass, Streams, Witness

Run = Callable[[Tensor], Any]
"""Calls a network on a packed tensor."""


@torch.no_grad()
def trial_pass(
    module: nn.Module, streams: Streams, packed: Tensor, run: Run, witness: Witness | None = None
) -> list[Tensor]:
    """The tensors that a network returns in evaluation mode with all streams.

    Nothing random is drawn from the caller's generators, and the same in each of these passes; no
    statistics move, and modules keep the mode that they have.
    """
    devices = [packed.device] if packed.is_cuda else []
    state = Pass(streams.every, False, len(packed), witness)
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False  # the flag alone: what else train() of a network does may stay
        with torch.random.fork_rng(devices), Activation(streams, state):
            torch.manual_seed(0)
            return list(_tensors_in(run(packed)))
    finally:
        for part in training:
            part.training = True


def _tensors_in(result: Any) -> Iterator[Tensor]:
    """The tensors in what a network returns, in order."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _tensors_in(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from _tensors_in(value)
    elif hasattr(result, "__dict__"):
        yield from _tensors_in(vars(result))
