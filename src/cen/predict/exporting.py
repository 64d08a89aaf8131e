"""Networks as ONNX or PyTorch's exported programs, run and compared with what they were made of."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from cen import __version__
from cen.data import Modality
from cen.errors import CenError, ConfigError
from cen.exchange import StreamNorm
from cen.files import write_bytes
from cen.folding import fold
from cen.models import ChannelExchangeNetwork
from cen.predict.evaluating import Evaluating
from cen.predict.export_comparison import (
    Comparison,
    Sample,
    compare,
    headlines,
    is_rounding,
    rounding,
)
from cen.predict.export_graph import ExportGraph
from cen.predict.export_programs import (
    METADATA,
    Format,
    Runner,
    as_onnx,
    as_pt2,
    in_onnx_runtime,
    in_torch,
    reloaded,
    told,
    traced,
)
from cen.predict.inputs import stored_modalities
from cen.predict.quantisation import quantised
from cen.predict.raw_inputs import check_arithmetic, described, dtype_of

__all__ = ["METADATA", "TOLERANCES", "Comparison", "Exporting", "Sample", "export"]

Precision = Literal["fp32", "fp16", "int8"]
TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 2e-2, "int8": 1.0}
"""What an export may differ by: of the largest value; of int8 in points of each output's score."""


@dataclass(frozen=True)
class Exporting:
    """How a network is exported.

    Attributes:
        form: "onnx", or "pt2" (`torch.export`).
        folded: computes once what exchange made equal, see `cen.fold`.
        streams: of a folded network the inputs whose predictions are kept, of which the ensemble
            is; None: all.
        raw: preprocessing is in the graph, which takes what `cen.data.Modality.read` gives.
        precision: "fp32"; "fp16": weights and what is computed have 16 bits; "int8": those of
            convolutions and products have 8, in "onnx" alone.
        tolerance: what the export may differ by; None: that of `TOLERANCES`.

    Raises:
        ConfigError: these do not go together.
    """

    form: Format = "onnx"
    folded: bool = False
    raw: bool = False
    precision: Precision = "fp32"
    tolerance: float | None = None
    streams: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.form not in get_args(Format) or self.precision not in TOLERANCES:
            raise ConfigError(f"there is no export as {self.form} in {self.precision}")
        if self.precision == "int8" and self.form != "onnx":
            raise ConfigError("precision int8 is ONNX Runtime's: export it as onnx, or as fp16")
        if self.streams is not None and not self.folded:
            raise ConfigError("streams are kept by folding: fold it, too (--fold)")

    @property
    def limit(self) -> float:
        """What the export may differ by."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance


def export(
    net: ChannelExchangeNetwork,
    path: Path,
    samples: Sequence[Sample],
    how: Exporting | None = None,
    *,
    names: Sequence[str] | None = None,
    calibration: Sequence[Sample] = (),
) -> Comparison:
    """Writes a network for some of its inputs to one file, after running and comparing it.

    Inputs have the names of the network's. Normalised ones are (B, C, H, W) float32, raw ones as
    the metadata say; B, H and W are free. Outputs have the size of the inputs: of a segmentation
    ``NAME``, (B, H, W) int64 class numbers, and ``NAME_probabilities``, (B, C, H, W) float32; of
    others ``NAME``. One that is called like an input is ``NAME_predicted``.

    An export in float32 that differs from the network by more than the tolerance is compared with
    the network in float64, as both may be off by rounding alone: it is right where it is no more
    than `cen.predict.export_comparison.ROUNDING` times as far from that as the network.

    Args:
        net: the network, on the CPU.
        path: the file.
        samples: what the export is compared on; their sizes and numbers should differ. With "int8"
            those that have ground truth are scored.
        how: how it is exported.
        names: the inputs; None: all.
        calibration: with "int8", samples on which the ranges of values are measured.

    Returns:
        How it compares; the file is written only where it is within the tolerance.

    Raises:
        ConfigError: a package is missing, or preprocessing is no arithmetic.
        CheckpointError: nothing says how an input is preprocessed.
        StreamError: none of the streams that are kept is of these inputs.
        CenError: the network cannot be exported, or the export cannot be run or gives other values.
    """
    how = how or Exporting()
    names = [name for name in net.inputs if names is None or name in names]
    modalities = None
    if how.raw:
        every = stored_modalities(net, None)
        modalities = {name: every[name] for name in names}
        check_arithmetic(modalities, net.metadata.get("resize"))
    with Evaluating(net):
        plain = ExportGraph(_plain(net, how), net, names).eval()
        before = _scored(plain, samples, calibration) if how.precision == "int8" else {}
        runner, content = _made(net, names, how, modalities, calibration)
        with told(f"{path}: is not written, as what was exported cannot be run"):
            comparison = compare(runner, plain, samples, how.raw)
        if how.precision == "int8":
            after = headlines(runner, plain, samples, how.raw)
            comparison = _kept(path, plain, before, after, how, comparison)
        else:
            comparison = _judged(path, runner, plain, samples, how, comparison)
    write_bytes(path, content)
    return comparison


def _made(
    net: ChannelExchangeNetwork,
    names: Sequence[str],
    how: Exporting,
    modalities: Mapping[str, Modality] | None,
    calibration: Sequence[Sample],
) -> tuple[Runner, bytes]:
    """The export, opened, and its file."""
    own = copy.deepcopy(net).half() if how.precision == "fp16" else net
    made = fold(own, streams=how.streams) if how.folded else own
    graph = ExportGraph(made, net, names, modalities).eval()
    example = _example(net, names, modalities)
    if how.folded:
        with torch.no_grad():
            graph(*example)  # records what is exported
    text = json.dumps(_metadata(net, graph, how, modalities), ensure_ascii=False)
    program = traced(graph, example)
    if how.form == "pt2":
        content = as_pt2(program, text)
        return reloaded(content, graph), content
    content = as_onnx(program, graph, text)
    if how.precision == "int8":
        content = quantised(content, [s.given(names, how.raw) for s in calibration])
    with told("ONNX Runtime does not open what was exported"):
        return in_onnx_runtime(content, graph), content


def _plain(net: ChannelExchangeNetwork, how: Exporting) -> nn.Module:
    """What the export is compared with: the network as it is, with the streams that are kept."""
    return net if how.streams is None else fold(net, saved=1.0, streams=how.streams)


def _example(
    net: ChannelExchangeNetwork, names: Sequence[str], raw: Mapping[str, Modality] | None
) -> tuple[Tensor, ...]:
    """Inputs that the graph is traced with; no two of their lengths are the same, none is 1."""
    align = max(net.smallest, 64)
    # Odd, so that nothing is left out which even sizes do without, as padding and resizing.
    size = (2 * align + 5, 3 * align + 7)
    generator = torch.Generator().manual_seed(0)
    if raw is None:
        return tuple(torch.randn(2, net.inputs[name], *size, generator=generator) for name in names)
    inputs = []
    for name in names:
        shape = (2, *size, *described(raw[name])["shape"][3:])
        values = 1 + 200 * torch.rand(shape, generator=generator)
        inputs.append(values.to(dtype_of(raw[name])))
    return tuple(inputs)


def _judged(
    path: Path,
    runner: Runner,
    plain: ExportGraph,
    samples: Sequence[Sample],
    how: Exporting,
    comparison: Comparison,
) -> Comparison:
    """The comparison of an export that is right.

    Raises:
        CenError: values differ by more than allowed and than rounding does.
    """
    if comparison.difference <= how.limit:
        return comparison
    refusal = (
        f"{path}: is not written, as the export differs by {comparison.difference:.2g} of the "
        "largest"
    )
    if how.precision != "fp32" or comparison.difference == float("inf"):
        raise CenError(f"{refusal} value (at most {how.limit:g}); --tolerance sets the limit")
    export_is, network_is = rounding(runner, plain, samples, how.raw)
    if not (export_is <= how.limit or is_rounding(export_is, network_is)):
        raise CenError(
            f"{refusal} value (at most {how.limit:g}); from the network in float64 it differs by "
            f"{export_is:.2g}, and PyTorch itself by {network_is:.2g}; please report it with the "
            "configuration"
        )
    return comparison._replace(rounding=network_is)


def _scored(
    plain: ExportGraph, samples: Sequence[Sample], calibration: Sequence[Sample]
) -> dict[str, float]:
    """The scores of the network that int8 is compared by, of every output.

    Raises:
        ConfigError: there are no data, or an output has no ground truth in them.
    """
    if not calibration or not any(sample.truth for sample in samples):
        raise ConfigError(
            "precision int8 needs training samples to measure ranges on, and labelled ones to "
            "score: give the folder of a run whose data are there"
        )
    scores = headlines(in_torch(plain, plain), plain, samples, False)
    if unknown := [name for name in plain.tasks if name not in scores]:
        raise ConfigError(
            f"precision int8 is scored, and no scene of the validation split has ground truth of "
            f"{', '.join(unknown)}; fp16 is measured by its values"
        )
    return scores


def _kept(
    path: Path,
    plain: ExportGraph,
    before: Mapping[str, float],
    after: Mapping[str, float],
    how: Exporting,
    comparison: Comparison,
) -> Comparison:
    """The comparison of an int8 export that loses no more than allowed, with its scores.

    Raises:
        CenError: an output loses more.
    """
    for name, score in before.items():
        # Scores that are no number any more are lost, too.
        if not score - after.get(name, -inf) <= how.limit:
            text = plain.tasks[name].rules.headline_text()
            raise CenError(
                f"{path}: is not written, as int8 takes the {text} of {name} from {score:.2f} to "
                f"{after.get(name, nan):.2f} (in percent; at most {how.limit:g} points may be "
                "lost); --tolerance sets the limit"
            )
    return comparison._replace(scores={name: (before[name], after[name]) for name in before})


def _metadata(
    net: ChannelExchangeNetwork,
    graph: ExportGraph,
    how: Exporting,
    raw: Mapping[str, Modality] | None,
) -> dict[str, Any]:
    """What a consumer needs to know."""
    kept, names = net.metadata, graph.names
    preprocessing = kept.get("preprocessing") or {}
    normalised = {
        name: {
            "shape": ["batch", net.inputs[name], "height", "width"],
            "type": "float32",
            "values": "normalised, see preprocessing",
        }
        for name in names
    }
    inputs = normalised if raw is None else {name: described(raw[name]) for name in names}
    return {
        "cen": __version__,
        "inputs": inputs,
        "outputs": {name: task.kind for name, task in graph.tasks.items()},
        "results": graph.names_in_file,
        "smallest": net.smallest,
        "classes": kept.get("classes"),
        "palette": kept.get("palette"),
        "preprocessing": {name: preprocessing.get(name) for name in names},
        "resize": kept.get("resize"),
        "exchange_threshold": _threshold(net),
        "folded": how.folded,
        "streams": how.streams and [name for name in graph.names if name in how.streams],
        "raw": how.raw,
        "precision": how.precision,
    }


def _threshold(net: ChannelExchangeNetwork) -> float | None:
    """θ, the scale below which channels are exchanged; None where nothing is."""
    norms = [norm for norm in net.modules() if isinstance(norm, StreamNorm)]
    rules = [norm.exchange for norm in norms if norm.exchange is not None]
    return rules[0].threshold if rules else None
