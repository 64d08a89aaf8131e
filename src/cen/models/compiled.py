"""A network under ``torch.compile``, and whether that pays (this project's extension)."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Sized
from typing import Any

import torch
from torch import nn
from torch._dynamo import config as dynamo
from torch._dynamo.exc import TorchDynamoException

from cen.errors import ConfigError
from cen.options.training_options import Compiling

STEPS_TO_PAY = 5000
"""Steps of a run from which on compiling for a GPU, a minute or two, is taken as worth it.

Not measured on a GPU; on CPUs a training step of a small RefineNet got 10 % faster for two minutes
of compiling (docs/results/speed.md), which is why none of them is compiled for unless asked.
"""


def compiles(asked: Compiling, device: torch.device, steps: int) -> bool:
    """Whether training is compiled, by its device and length alone, so that runs can be repeated.

    Args:
        asked: what the configuration says; "auto": on a CUDA GPU that Triton compiles for, in runs
            of at least `STEPS_TO_PAY` steps; "cuda_graphs": with its kernels launched together.
        device: where it runs.
        steps: length of the whole run.
    """
    if asked != "auto":
        return bool(asked)
    return device.type == "cuda" and steps >= STEPS_TO_PAY and _triton()


def check_compiler(key: str, device: torch.device) -> None:
    """Refuses to compile where there is no compiler, before anything is written.

    Args:
        key: what asked for it, for the message.
        device: where the network runs.

    Raises:
        ConfigError: naming what is missing.
    """
    if device.type == "cuda" and not _triton():
        raise ConfigError(f"{key}: compiling for a GPU needs Triton, which is not installed")
    if device.type == "cpu" and not any(
        shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++", "cl") if name
    ):
        raise ConfigError(
            f"{key}: compiling for a CPU needs a C++ compiler, and there is none (g++, clang++ or "
            "what CXX names); install one, or do not ask for it"
        )


def _triton() -> bool:
    return importlib.util.find_spec("triton") is not None


class Compiled:
    """The call of a module, compiled: the same up to rounding, but for the draws of dropout.

    A graph is compiled at the first call, and again for another subset of modalities, other sizes
    (from the third on for all of them) and another mode; after 8 for each subset, or what PyTorch
    is told, what is new runs as it is. No module, so that a trainer that holds one sees the
    parameters of the network once.

    Args:
        module: a network, or a function of one; its weights and mode stay its own.
        key: what asked for it, for messages.
        graphs: on a CUDA GPU, launch all kernels of a pass at once, as a CUDA graph. What a call
            gives is then overwritten by the next one.
        subsets: how many subsets of the modalities it may be called with.
    """

    def __init__(
        self,
        module: nn.Module | Callable[..., Any],
        key: str,
        graphs: bool = False,
        subsets: int = 1,
    ) -> None:
        self._compiled = torch.compile(module, mode="reduce-overhead" if graphs else None)
        self._key, self._graphs = key, graphs
        self._most = dynamo.recompile_limit * subsets

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What the module gives; arguments as its own.

        Raises:
            ConfigError: PyTorch cannot compile it here.
        """
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            # PyTorch counts the graphs of all subsets together, and runs what is beyond as it is.
            with dynamo.patch(recompile_limit=self._most):
                return self._compiled(*inputs, **options)
        except TorchDynamoException as failed:
            reason = next((line for line in str(failed).splitlines() if line.strip()), "")
            raise ConfigError(
                f"{self._key}: torch.compile of PyTorch {torch.__version__} failed "
                f"({type(failed).__name__}: {reason}); do without it"
            ) from failed


def subset_count(modalities: Sized) -> int:
    """How many non-empty subsets of the modalities there are."""
    return (1 << len(modalities)) - 1
