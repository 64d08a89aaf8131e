"""Reading other people's checkpoint files safely."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cen.errors import CenError, CheckpointError, message_of
from cen.weightfiles import read_shapes

Net = TypeVar("Net", bound=nn.Module)

# A NumPy scalar is pickled as a call of `scalar` with a dtype. NumPy 2 moved the function, so
# files name it by either path. Nothing else of NumPy is allowed.
_SCALAR = np.float64(0).__reduce__()[0]
NUMPY_SCALAR: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8")),
]
"""What a pickled NumPy number needs, for ``torch.serialization.safe_globals``."""


def read_pickle(path: str | Path) -> Any:
    """What a ``.pth`` file of ``torch.save`` holds, in the zip or the legacy format, on the CPU.

    Only tensors, plain containers and NumPy numbers are allowed; no code of the file is run.
    """
    path = existing(path)
    try:
        with torch.serialization.safe_globals(NUMPY_SCALAR):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors alone, so it was not read: {reason_of(error)}"
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path} is damaged or no PyTorch checkpoint: {reason_of(error)}"
        ) from error


def reason_of(error: BaseException) -> str:
    """Why a file could not be loaded, in a line, without PyTorch's advice to load it unsafely."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    text = " ".join(text.split()) or type(error).__name__
    if text.startswith("mmap can only be used"):  # what torch says of anything but its archive
        return "it is no archive of torch.save, or but the beginning of one"
    for advice in _ADVICE:
        text = text.partition(advice)[0].rstrip(" .,:;(")
    return text[:200] or type(error).__name__


_ADVICE = (
    "Please use",
    "Please file",
    "Re-running",
    "In PyTorch 2.6",
    "(1)",
    "Check the documentation",
    "This file can still be loaded",
    "weights_only",
    "Do it only if",
)
"""Where advice begins that is not for files of others."""


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a flat state dict in a ``.safetensors`` or ``.pth`` file."""
    path = existing(path)
    if path.suffix == ".safetensors":
        read_shapes(path)
        try:
            return load_file(path)
        except (SafetensorError, OSError, AttributeError, KeyError) as error:
            raise CheckpointError(f"{path} is damaged: {reason_of(error)}") from error
    return tensors_of(read_pickle(path), str(path))


def tensors_of(content: Any, where: str) -> dict[str, Tensor]:
    """The tensors of a flat state dict, by name; other entries are left out."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{where} holds no state dict (a dict from names to tensors)")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{where} holds no tensor, neither directly nor under 'segmenter'")
    for key, value in tensors.items():
        plain = value.layout == torch.strided and not value.is_quantized and not value.is_meta
        if not plain or value.numel() * value.itemsize > value.untyped_storage().nbytes():
            raise CheckpointError(
                f"{where}: the tensor {key[:80]} is no plain array of {tuple(value.shape)} values"
            )
    return tensors


def require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], wrong: str) -> None:
    """Compare a state dict with the one it replaces: keys, shapes, and that values can be right.

    Every loader of weights ends here.
    """
    require_shapes({key: tuple(value.shape) for key, value in state.items()}, expected, wrong)
    problems = [
        f"{key} {problem}"
        for key, value in expected.items()
        if (problem := _impossible(key, state[key], value))
    ]
    _raise_if(problems, wrong)


def check_values(state: Mapping[str, Tensor], source: str) -> None:
    """Refuses weights that cannot be right: NaN, infinite, complex numbers, variances below 0."""
    problems = [
        f"{key} {why}" for key, value in state.items() if (why := _impossible(key, value, value))
    ]
    _raise_if(problems, f"{source} cannot be used")


def fill(net: nn.Module, state: Mapping[str, Tensor], wrong: str) -> None:
    """Loads a state dict; counters of batches, which nothing reads, may lack (PyTorch < 0.4.1)."""
    own = net.state_dict()
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    state = {**counters, **state}
    require_fit(state, own, wrong)
    net.load_state_dict(state)


def require_shapes(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor], wrong: str
) -> None:
    """Compare the keys and shapes of a state dict with those it must have."""
    problems = [f"{key} is missing" for key in expected if key not in shapes]
    problems += [f"{key[:80]} is unknown" for key in shapes if key not in expected]
    problems += [
        f"{key} has shape {shapes[key]}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in shapes and shapes[key] != value.shape
    ]
    _raise_if(problems, wrong)


class _Undrawn(TorchFunctionMode):
    """Draws no initial values: on the meta device each draw of nothing takes PyTorch long."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        kwargs = kwargs or {}
        if func is torch.linspace:  # rates of stochastic depth, which are read at once
            kwargs.setdefault("device", "cpu")
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """Networks built in this context have shapes and neither values nor memory."""
    with torch.device("meta"), _Undrawn():
        yield


def shadow_copy(net: Net) -> Net:
    """A copy of a network on the meta device, made without copying its values."""
    tensors: Mapping[int, Any] = {
        id(tensor): torch.empty_like(tensor, device="meta")
        if not isinstance(tensor, nn.Parameter)
        else nn.Parameter(torch.empty_like(tensor, device="meta"), tensor.requires_grad)
        for tensor in (*net.parameters(), *net.buffers())
    }
    return copy.deepcopy(net, dict(tensors))


def shadow_of(make: Callable[[], Net], wrong: str) -> Net:
    """A network without values: of any size that a file claims, it takes no memory."""
    try:
        with without_values():
            return make()
    # Of sizes beyond all bounds PyTorch says RuntimeError.
    except (CenError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise CheckpointError(f"{wrong}: {message_of(error)}") from error


def _impossible(key: str, value: Tensor, expected: Tensor) -> str:
    """What is wrong with the values of a tensor; "" for nothing."""
    if value.is_floating_point() != expected.is_floating_point() or value.is_complex():
        kind = str(value.dtype).removeprefix("torch.")
        return f"holds {kind}, not {str(expected.dtype).removeprefix('torch.')}"
    if not value.is_floating_point():
        return ""
    # Neither isfinite nor min is there for numbers of 8 bits.
    float_values = value.float() if value.itemsize == 1 else value
    if not bool(torch.isfinite(float_values).all()):
        return "holds NaN or infinite values"
    below = key.endswith(("running_var", "partial_var")) and bool((float_values < 0).any())
    return "holds variances below 0" if below else ""


def _raise_if(problems: list[str], wrong: str) -> None:
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{wrong}: {'; '.join(problems[:4])}{more}")


def existing(path: str | Path) -> Path:
    """``path`` as a `Path`, if it is a file."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is not a file")
    return path
