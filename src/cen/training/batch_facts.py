"""Whether a batch is to blame for a loss that is not finite, before the learning rate is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cen.models import ChannelExchangeNetwork

_LARGEST_INPUT = 1e4
_LARGEST_TARGET = 1e6


class BatchFacts:
    """The extreme values of the samples of some steps, reduced on the device, read back on demand.

    Holes of a ground truth (NaN, infinity, the ignored label) are no fault.

    Args:
        net: whose inputs and outputs are looked at.
    """

    def __init__(self, net: ChannelExchangeNetwork) -> None:
        self._net = net
        self._steps: list[tuple[list[str], dict[str, Tensor]]] = []

    def note(self, batch: Mapping[str, Any]) -> None:
        """Notes one batch; nothing waits for the device."""
        facts = {}
        for name in self._net.inputs:
            value = batch.get(name)
            if isinstance(value, Tensor) and name not in self._net.outputs:
                facts[name] = _extreme(value) / _LARGEST_INPUT
        for name, task in self._net.outputs.items():
            value = batch.get(name)
            if not isinstance(value, Tensor):
                continue
            if task.kind == "segmentation":
                outside = ((value < 0) | (value >= task.channels)) & (value != task.ignore_index)
                # A class number that is none counts as beyond all limits.
                facts[name] = _extreme(torch.where(outside, value.float().abs() + 2, 0))
            else:
                known = torch.where(torch.isfinite(value), value, 0)
                facts[name] = _extreme(known) / _LARGEST_TARGET
        samples = batch.get("name")
        names = [str(item) for item in samples] if isinstance(samples, list | tuple) else []
        self._steps.append((names, facts))

    def clear(self) -> None:
        """Forgets the steps noted so far."""
        self._steps = []

    def fault(self) -> str | None:
        """The first sample and field that cannot be meant, as part of a sentence; None if clean."""
        for names, facts in self._steps:
            for field, extremes in facts.items():
                for row, share in enumerate(extremes.tolist()):
                    if share <= 1:  # NaN is not
                        continue
                    sample = names[row] if row < len(names) else f"number {row} of its batch"
                    return f"sample {sample}: {field} holds {self._value(field, share)}"
        return None

    def _value(self, field: str, share: float) -> str:
        task = self._net.outputs.get(field)
        if task is None:
            return f"{share * _LARGEST_INPUT:.4g} (after normalisation)"
        if task.kind == "segmentation":
            return f"a label of magnitude {share - 2:.0f}, with {task.channels} classes"
        return f"{share * _LARGEST_TARGET:.4g}"


def _extreme(values: Tensor) -> Tensor:
    """The greatest magnitude of each sample, (B,) float32; NaN where there is one."""
    flat = values.detach().flatten(1)
    return flat.abs().amax(1).float() if flat.numel() else flat.new_zeros(len(flat))
