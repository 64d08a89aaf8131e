"""Graphs as programs: ONNX or those of torch.export, written, opened again and run."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from cen.errors import CenError, ConfigError
from cen.predict.export_graph import ExportGraph, FreePooling

Format = Literal["onnx", "pt2"]
METADATA = "cen"
"""The key of the metadata in the file, a JSON text."""

Values = dict[str, NDArray[Any]]
Runner = Callable[[Mapping[str, Tensor]], Values]


def traced(graph: ExportGraph, example: tuple[Tensor, ...]) -> Any:
    """The program of a graph, free in batch, height and width.

    Args:
        graph: the graph, in evaluation mode.
        example: inputs no two of whose lengths are the same and none of which is 1.

    Raises:
        CenError: torch.export cannot follow it.
    """
    free = torch.export.Dim.AUTO
    shapes = (tuple(dict.fromkeys(graph.places, free) for _ in example),)
    with told("torch.export cannot follow this network"), torch.no_grad(), FreePooling():
        return torch.export.export(graph, example, dynamic_shapes=shapes, strict=False)


def as_pt2(program: Any, text: str) -> bytes:
    """The program of torch.export as a file, with metadata."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: text})
    return buffer.getvalue()


def as_onnx(program: Any, graph: ExportGraph, text: str) -> bytes:
    """The program as a file of ONNX, with metadata.

    Raises:
        ConfigError: a package is missing.
        CenError: the program holds what ONNX has not.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX needs the package {error.name}; install it with: pip install 'cen[export]'"
        ) from None
    with told("this network cannot be written as ONNX; --format pt2 may"), _silent():
        onnx_program = torch.onnx.export(
            program, input_names=graph.names, output_names=graph.names_in_file, verbose=False
        )
    assert onnx_program is not None
    model = onnx_program.model_proto
    first = model.graph.input[0].type.tensor_type.shape.dim
    named = zip(graph.places, ("batch", "height", "width"), strict=True)
    free = {first[at].dim_param: name for at, name in named}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param in free:
                length.dim_param = free[length.dim_param]
    onnx.helper.set_model_props(model, {METADATA: text})
    content: bytes = model.SerializeToString()
    return content


def in_onnx_runtime(content: bytes, graph: ExportGraph) -> Runner:
    """Runs a file of ONNX on the CPU, with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Values:
        values = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return dict(zip(graph.results, values, strict=True))

    return run


def reloaded(content: bytes, graph: ExportGraph) -> Runner:
    """Runs a file of torch.export."""
    return in_torch(torch.export.load(io.BytesIO(content)).module(), graph)


def in_torch(module: Callable[..., Any], graph: ExportGraph) -> Runner:
    """Runs what takes and gives tensors as a graph does."""

    def run(inputs: Mapping[str, Tensor]) -> Values:
        with torch.no_grad():
            values = module(*inputs.values())
        return {n: v.numpy() for n, v in zip(graph.results, values, strict=True)}

    return run


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns whatever torch or ONNX Runtime raises into one line that says why."""
    try:
        yield
    except CenError:
        raise
    except Exception as error:  # they raise what they meet
        raise CenError(f"{what}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The first line that says something of what an error came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the exporter tells of its steps."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
