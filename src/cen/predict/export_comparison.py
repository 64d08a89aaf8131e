"""How an export compares with the network it was made of: values, labels, time, scores."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cen.errors import ConfigError
from cen.predict.export_graph import ExportGraph
from cen.predict.export_programs import Runner, Values, in_torch

_REPEATS = 5
ROUNDING = 3.0
"""How many times as far from float64 as PyTorch's own float32 an export may be."""
_BLIND = 1e-2
"""Where PyTorch itself is as far as this from float64, nothing can be compared."""


class Sample(NamedTuple):
    """A batch that an export is compared on.

    Attributes:
        inputs: what the network takes, (B, C, H, W) by name.
        raw: the same as it was read, see `cen.predict.raw_inputs`; None: an export with
            preprocessing cannot be compared on it.
        truth: ground truth by output, of the size of the inputs, as in the losses.
    """

    inputs: Mapping[str, Tensor]
    raw: Mapping[str, Tensor] | None = None
    truth: Mapping[str, Tensor] = {}

    def given(self, names: Sequence[str], raw: bool) -> dict[str, Tensor]:
        """What an export for these inputs takes.

        Raises:
            ConfigError: raw values are needed, and there are none.
        """
        values = self.raw if raw else self.inputs
        if values is None:
            raise ConfigError("an export of raw inputs is compared on samples with raw values")
        return {name: values[name] for name in names}


class Comparison(NamedTuple):
    """An export beside the network it was made of.

    Attributes:
        difference: the largest difference of values, relative to the largest of them.
        labels: the share of pixels whose class is the same; 1 without segmentations.
        seconds: median time of the export for the first sample.
        eager: that of the network.
        rounding: where the difference was beyond the tolerance and may be PyTorch's own, by how
            much the network differs from itself in float64, which the export was compared with
            then; else 0.
        scores: of int8, by output the `cen.scores.headline` of the network and of the export, in
            points of 100; else empty.
    """

    difference: float
    labels: float
    seconds: float
    eager: float
    rounding: float = 0.0
    scores: Mapping[str, tuple[float, float]] = {}


def compare(runner: Runner, graph: ExportGraph, samples: Sequence[Sample], raw: bool) -> Comparison:
    """Runs an export and the network it was made of.

    Args:
        runner: the export.
        graph: the network with the decision, but without preprocessing.
        samples: what both are run on.
        raw: whether the export preprocesses.
    """
    eager = in_torch(graph, graph)
    difference, same, pixels = 0.0, 0, 0
    for sample in samples:
        outputs = runner(sample.given(graph.names, raw))
        expected = eager(sample.given(graph.names, False))
        difference = max(difference, apart(outputs, expected))
        for name, value in expected.items():
            if np.issubdtype(value.dtype, np.integer):
                same += int((outputs[name] == value).sum())
                pixels += value.size
    first = samples[0]
    return Comparison(
        difference,
        same / pixels if pixels else 1.0,
        _seconds(lambda: runner(first.given(graph.names, raw))),
        _seconds(lambda: eager(first.given(graph.names, False))),
    )


def rounding(
    runner: Runner, graph: ExportGraph, samples: Sequence[Sample], raw: bool
) -> tuple[float, float]:
    """How far an export, and the network itself, are from the network in float64."""
    exact = in_torch(copy.deepcopy(graph).double(), graph)
    eager = in_torch(graph, graph)
    export_is, network_is = 0.0, 0.0
    for sample in samples:
        inputs = sample.given(graph.names, False)
        expected = exact({name: value.double() for name, value in inputs.items()})
        export_is = max(export_is, apart(runner(sample.given(graph.names, raw)), expected))
        network_is = max(network_is, apart(eager(inputs), expected))
    return export_is, network_is


def is_rounding(export_is: float, network_is: float) -> bool:
    """Whether an export differs no more from float64 than rounding to float32 explains."""
    return network_is < _BLIND and export_is <= ROUNDING * network_is


def apart(outputs: Values, expected: Values) -> float:
    """The largest difference of values that are no classes, relative to the largest of them."""
    difference = 0.0
    for name, value in expected.items():
        if np.issubdtype(value.dtype, np.integer):
            continue
        scale = max(float(np.abs(value).max()), 1e-12)
        here = float(np.abs(outputs[name] - value).max()) / scale
        # NaN is a difference, too.
        difference = max(difference, here if here == here else float("inf"))
    return difference


def headlines(
    runner: Runner, graph: ExportGraph, samples: Sequence[Sample], raw: bool
) -> dict[str, float]:
    """The `cen.scores.headline` of every output of which ground truth is known, times 100."""
    rules = {name: task.rules for name, task in graph.tasks.items()}
    counts = {name: rule.counts() for name, rule in rules.items()}
    for sample in (sample for sample in samples if sample.truth):
        outputs = runner(sample.given(graph.names, raw))
        for name in rules.keys() & sample.truth.keys():
            counted = rules[name].count(torch.from_numpy(outputs[name]), sample.truth[name])
            counts[name] = {key: counts[name][key] + value for key, value in counted.items()}
    scores = {name: rules[name].score(counts[name]).to_dict() for name in rules}
    found = {name: rules[name].headline(score) for name, score in scores.items()}
    return {name: 100 * score for name, score in found.items() if score is not None}


def _seconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return median(times)
