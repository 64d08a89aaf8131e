"""Whether a batch is to blame for a loss that is not finite, before the learning rate is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cen.data import AlignedDataset
from cen.models import ChannelExchangeNetwork
from cen.tasks.kind import extreme

_LARGEST_INPUT = 1e4


class BatchFacts:
    """The extreme values of the samples of some steps, reduced on the device, read back on demand.

    Holes of a ground truth (NaN, infinity, the ignored label) are no fault.
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
                facts[name] = extreme(value) / _LARGEST_INPUT
        for name, task in self._net.outputs.items():
            value = batch.get(name)
            if not isinstance(value, Tensor):
                continue
            facts[name] = task.rules.excess(value)
        samples = batch.get("name")
        names = [str(item) for item in samples] if isinstance(samples, list | tuple) else []
        self._steps.append((names, facts))

    def clear(self) -> None:
        """Forgets the steps noted so far."""
        self._steps = []

    def fault(self, dataset: object = None) -> str | None:
        """The first sample and field that cannot be meant, as part of a sentence; None if clean."""
        for names, facts in self._steps:
            for field, extremes in facts.items():
                for row, share in enumerate(extremes.tolist()):
                    if share <= 1:  # NaN is not
                        continue
                    sample = names[row] if row < len(names) else f"number {row} of its batch"
                    file = file_of(dataset, sample, field)
                    where = "" if file is None else f" in {file}"
                    return f"sample {sample}: {field} holds {self._value(field, share)}{where}"
        return None

    def _value(self, field: str, share: float) -> str:
        task = self._net.outputs.get(field)
        if task is None:
            return f"{share * _LARGEST_INPUT:.4g} (after normalisation)"
        return task.rules.excess_text(share)


def file_of(dataset: object, sample: str, field: str) -> Path | None:
    """The file that a field of a sample is read from; None where the data set has no files."""
    if not isinstance(dataset, AlignedDataset):
        return None
    index = next((i for i in range(len(dataset)) if dataset.name(i) == sample), None)
    return None if index is None else dataset.files(index).get(field)


def first_of_all(fault: str | None) -> str | None:
    """What the first process that found a fault says, on every process; all must call it."""
    faults: list[str | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(faults, fault)
    return next((message for message in faults if message is not None), None)
