"""Networks as ONNX or PyTorch's exported programs, run and compared with what they were made of."""

from __future__ import annotations

import io
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cen import __version__
from cen.errors import CenError, ConfigError, StreamError
from cen.files import write_bytes
from cen.folding import fold
from cen.models import ChannelExchangeNetwork

Format = Literal["onnx", "pt2"]
METADATA = "cen"
"""The key of the metadata in the file, a JSON text."""
TOLERANCE = 1e-4
"""The largest difference, relative to the largest value, that an export may have."""
_REPEATS = 5

Values = dict[str, NDArray[Any]]
Runner = Callable[[Mapping[str, Tensor]], Values]


class Comparison(NamedTuple):
    """An export beside the network it was made of.

    Attributes:
        difference: the largest difference of values, relative to the largest of them.
        labels: the share of pixels whose class is the same; 1 without segmentations.
        seconds: median time of the export for a sample.
        eager: that of the network.
    """

    difference: float
    labels: float
    seconds: float
    eager: float


def export(
    net: ChannelExchangeNetwork,
    path: Path,
    samples: Sequence[Mapping[str, Tensor]],
    *,
    form: Format = "onnx",
    folded: bool = False,
) -> Comparison:
    """Writes a network for some of its inputs to one file, after running and comparing it.

    The inputs are named as those of the network, (B, C, H, W) float32, normalised as the metadata
    say; B, H and W are free. Outputs have the size of the inputs: of a segmentation ``NAME``, (B,
    H, W) int64 class numbers, and ``NAME_probabilities``, (B, C, H, W); of others ``NAME``.

    Args:
        net: the network, on the CPU.
        path: the file.
        samples: inputs that the export is compared on, all with the same names; their sizes and
            numbers should differ.
        form: "onnx", or "pt2" (`torch.export`).
        folded: computes once what exchange made equal, see `cen.fold`.

    Returns:
        How it compares; the file is written only where it is within the tolerance.

    Raises:
        ConfigError: a package is missing.
        CenError: the network cannot be exported, or the export cannot be run or gives other values.
    """
    names = list(samples[0])
    graph = _Graph(fold(net) if folded else net, names).eval()
    text = json.dumps(_metadata(net, names, folded), ensure_ascii=False)
    example = _example(net, names)
    if folded:
        graph(*example)  # records what is exported
    program = _program(graph, example)
    if form == "onnx":
        content = _onnx(program, graph, text)
        reopen = partial(_in_onnx_runtime, content)
    else:
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={METADATA: text})
        content = buffer.getvalue()
        reopen = partial(_reloaded, content, graph)
    try:
        found = _compare(reopen(), _Graph(net, names).eval(), samples)
    except Exception as error:  # the runtime raises what it meets
        raise CenError(
            f"{path}: is not written, as what was exported cannot be run: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if not found.difference <= TOLERANCE:
        raise CenError(
            f"{path}: is not written, as the export differs by {found.difference:.2g} of the "
            f"largest value (at most {TOLERANCE:g}); please report it with the configuration"
        )
    write_bytes(path, content)
    return found


class _Graph(nn.Module):
    """A network with positions instead of names, and the decision behind it."""

    def __init__(self, net: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.names = net, list(names)
        inner: Any = getattr(net, "net", net)
        self.tasks = inner.predicted_from(names) if inner.cyclic else inner.outputs
        if not self.tasks:
            raise StreamError(f"nothing is predicted from {', '.join(names)} alone")

    @property
    def results(self) -> list[str]:
        """Names of what is returned."""
        return [
            result
            for name, task in self.tasks.items()
            for result in ((name, f"{name}_probabilities") if task.rules.labels else (name,))
        ]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        size = (inputs[0].shape[2], inputs[0].shape[3])
        outputs = self.net(dict(zip(self.names, inputs, strict=True)), size=size)
        found: list[Tensor] = []
        for name, task in self.tasks.items():
            values = task.rules.activate(outputs[name].ensemble)
            found += [values.argmax(1), values] if task.rules.labels else [values]
        return tuple(found)


def _metadata(net: ChannelExchangeNetwork, names: Sequence[str], folded: bool) -> dict[str, Any]:
    """What a consumer needs to know."""
    kept = net.metadata
    preprocessing = kept.get("preprocessing") or {}
    return {
        "cen": __version__,
        "inputs": {name: net.inputs[name] for name in names},
        "outputs": {name: task.kind for name, task in net.outputs.items()},
        "classes": kept.get("classes"),
        "palette": kept.get("palette"),
        "preprocessing": {name: preprocessing.get(name) for name in names},
        "exchange_threshold": net.config.get("threshold"),
        "folded": folded,
    }


def _example(net: ChannelExchangeNetwork, names: Sequence[str]) -> tuple[Tensor, ...]:
    """Inputs that the graph is traced with; no two of their lengths are the same, none is 1."""
    align = max(net.smallest, 64)
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(2, net.inputs[name], 2 * align, 3 * align, generator=generator)
        for name in names
    )


def _program(graph: _Graph, example: tuple[Tensor, ...]) -> Any:
    free = torch.export.Dim.AUTO
    shapes = (tuple({0: free, 2: free, 3: free} for _ in example),)
    try:
        with torch.no_grad():
            return torch.export.export(graph, example, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch raises what it meets
        raise CenError(
            f"torch.export cannot follow this network: {str(error).splitlines()[0]}"
        ) from error


def _onnx(program: Any, graph: _Graph, text: str) -> bytes:
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX needs the package {error.name}; install it with: pip install 'cen[export]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program, input_names=graph.names, output_names=graph.results, verbose=False
        )
    assert made is not None
    model = made.model_proto
    first = model.graph.input[0].type.tensor_type.shape.dim
    free = {first[at].dim_param: name for at, name in ((0, "batch"), (2, "height"), (3, "width"))}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param in free:
                length.dim_param = free[length.dim_param]
    onnx.helper.set_model_props(model, {METADATA: text})
    content: bytes = model.SerializeToString()
    return content


def _in_onnx_runtime(content: bytes) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    results = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, Tensor]) -> Values:
        values = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return dict(zip(results, values, strict=True))

    return run


def _reloaded(content: bytes, graph: _Graph) -> Runner:
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Mapping[str, Tensor]) -> Values:
        with torch.no_grad():
            values = module(*inputs.values())
        return {n: v.numpy() for n, v in zip(graph.results, values, strict=True)}

    return run


def _compare(runner: Runner, graph: _Graph, samples: Sequence[Mapping[str, Tensor]]) -> Comparison:
    difference, agreeing, pixels = 0.0, 0, 0
    times: list[tuple[float, float]] = []
    for inputs in samples:
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            found = runner(inputs)
            between = time.perf_counter()
            with torch.no_grad():
                values = graph(*inputs.values())
            times.append((between - begun, time.perf_counter() - between))
        for name, value in zip(graph.results, values, strict=True):
            expected = value.numpy()
            if np.issubdtype(expected.dtype, np.integer):
                agreeing += int((found[name] == expected).sum())
                pixels += expected.size
                continue
            scale = max(float(np.abs(expected).max()), 1e-12)
            apart = float(np.abs(found[name] - expected).max()) / scale
            # NaN is a difference, too.
            difference = max(difference, apart if apart == apart else float("inf"))
    seconds, eager = (median(column) for column in zip(*times, strict=True))
    return Comparison(difference, agreeing / pixels if pixels else 1.0, seconds, eager)
