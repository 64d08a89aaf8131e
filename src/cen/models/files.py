"""Reading other people's checkpoint files safely."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cen.errors import CheckpointError

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

    Raises:
        CheckpointError: if the file is missing, damaged, or holds anything else.
    """
    path = existing(path)
    try:
        with torch.serialization.safe_globals(NUMPY_SCALAR):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2] or str(error)
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors alone, so it was not read: "
            f"{' '.join(reason.split())[:200]}"
        ) from error
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or no PyTorch checkpoint: {error}") from error


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a flat state dict in a ``.safetensors`` or ``.pth`` file.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe, or holds no state dict.
    """
    path = existing(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
    content = read_pickle(path)
    if isinstance(content, Mapping):
        tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise CheckpointError(f"{path} holds no state dict (a dict from names to tensors)")


def require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], wrong: str) -> None:
    """Compare the keys and shapes of a state dict with those it must have.

    Raises:
        CheckpointError: beginning with ``wrong``, then the first keys and shapes that do not fit.
    """
    problems = [f"{key} is missing" for key in expected if key not in state]
    problems += [f"{key} is unknown" for key in state if key not in expected]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{wrong}: {'; '.join(problems[:4])}{more}")


def existing(path: str | Path) -> Path:
    """``path`` as a `Path`, if it is a file.

    Raises:
        CheckpointError: if it is not.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is not a file")
    return path
