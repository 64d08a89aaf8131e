"""What this machine has for a run, asked before anything is written or any process started."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from torch.utils.data import Dataset

from cen.config import Config
from cen.errors import ConfigError
from cen.launch import check_processes
from cen.models.compiled import check_compiler
from cen.options.training_options import TrainConfig

_FEW = 10_000
"""Numbers that every machine holds, so that no sample need be read to know it."""


def check_machine(accelerator: str, devices: int, nodes: int = 1) -> None:
    """Refuses an accelerator, or a number of devices or processes, that is not there."""
    check_processes(nodes, devices)
    gpus = CUDAAccelerator.auto_device_count() if CUDAAccelerator.is_available() else 0
    gpus = gpus or int(MPSAccelerator.is_available())
    if accelerator == "gpu" and not gpus:
        built = "" if torch.version.cuda or torch.version.hip else ", which is built for CPUs alone"
        raise ConfigError(
            f"train.accelerator: gpu, but there is none for PyTorch {torch.__version__}{built}; "
            "say cpu or auto"
        )
    if accelerator != "cpu" and 0 < gpus < devices:
        raise ConfigError(f"train.devices: {devices}, but there are {gpus} GPUs; give as many")


def check_compile(how: TrainConfig) -> None:
    """Refuses ``train.compile`` where nothing here compiles."""
    gpu = how.accelerator != "cpu" and CUDAAccelerator.is_available()
    if how.compile == "cuda_graphs" and not gpu:
        raise ConfigError(
            "train.compile: cuda_graphs needs a CUDA GPU, and this run has none; say true or auto"
        )
    if how.compile not in ("auto", False):
        check_compiler("train.compile", torch.device("cuda" if gpu else "cpu"))


def check_batch(config: Config, train: Dataset[Any]) -> None:
    """Refuses a batch that cannot be dealt out to the devices, or that no memory here holds."""
    config.train.check_devices()
    batch = config.train.batch_size
    how = config.data.transforms
    size = how.crop or how.resize
    if batch * math.prod(size or (1, 1)) < _FEW:
        return
    if size is None:
        shapes = [value.shape for value in train[0, 0].values() if hasattr(value, "shape")]
        height, width = max(shapes, key=math.prod)[-2:]
        size = (height, width)
    needed = 4 * batch * math.prod(size) * sum(config.model.inputs.values())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ConfigError(
            f"train.batch_size {batch}: the inputs of so many pictures of {size[0]} × {size[1]} "
            f"pixels take {needed / 2**30:.3g} GiB, and this machine has {memory / 2**30:.3g}; "
            "lower it, or data.transforms.crop"
        )
