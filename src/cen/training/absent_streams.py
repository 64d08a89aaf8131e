"""Streams which are absent in a step must not move in it.

A stream norm keeps the scales of all streams in one (S, C) parameter. When a modality is left out,
the rows of its streams get a zero gradient, and an optimiser with momentum or weight decay would
still move them. These rows, and the optimiser's state for them, are put back after the step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange import Streams
from cen.models.network import FUSED, networks_in
from cen.stream import input_of

Row = tuple[nn.Parameter, int]


def absent_rows(net: nn.Module, present: Collection[str]) -> list[Row]:
    """Rows (parameter, index on axis 0) that belong to streams of absent modalities.

    Covers every layer with a ``streams`` attribute and per-stream parameters, and the logits of
    alpha. A stream of an output is absent with its modality; what the modalities were fused to
    is never absent.

    Args:
        net: a network made by :func:`cen.build`.
        present: the modalities of this step.
    """
    rows: list[Row] = []
    for module in net.modules():
        streams = getattr(module, "streams", None)
        if isinstance(streams, Streams):
            absent = _absent(streams.names, present)
            for parameter in module.parameters(recurse=False):
                if parameter.shape[0] == len(streams.names):
                    rows += [(parameter, i) for i in absent]
    return rows + _alpha_rows(net, present)


def _alpha_rows(net: nn.Module, present: Collection[str]) -> list[Row]:
    return [
        (scalars, i)
        for network in networks_in(net)
        for output, scalars in network.alpha.items()
        for i in _absent(network.sources(output), present)
    ]


def _absent(names: Collection[str], present: Collection[str]) -> list[int]:
    there = {*present, FUSED}
    return [i for i, name in enumerate(names) if input_of(name) not in there]


@contextmanager
def kept(optimizer: torch.optim.Optimizer, rows: list[Row]) -> Iterator[None]:
    """Undoes, on leaving, what an optimiser step did to ``rows`` and to its state for them.

    Costs one copy of the rows before and after; nothing is read back to the host.
    """
    before = {key: view.clone() for key, view in _views(optimizer, rows)}
    yield
    targets, values = [], []
    for key, view in _views(optimizer, rows):
        targets.append(view)
        # State that this very step created starts at zero, as for a stream never seen.
        values.append(before[key] if key in before else torch.zeros_like(view))
    if targets:
        torch._foreach_copy_(targets, values)


def _views(
    optimizer: torch.optim.Optimizer, rows: list[Row]
) -> Iterator[tuple[tuple[int, str, int], Tensor]]:
    for parameter, i in rows:
        yield (id(parameter), "", i), parameter.detach()[i]
        state: dict[str, Any] = optimizer.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                yield (id(parameter), name, i), value[i]
