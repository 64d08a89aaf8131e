"""Training on any data set in memory: `cen.fit`."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from cen import notebook
from cen.config import Config
from cen.data.sampling import sample_rng, split_key
from cen.errors import ConfigError, DataError, ShapeError, described
from cen.models import ChannelExchangeNetwork
from cen.models.network_file import read_header
from cen.report.runfolder import read_run
from cen.scores import mean_headline
from cen.tasks import Task
from cen.tasks.pairs import labels_of
from cen.training.fitting import train_network


@dataclass(frozen=True)
class FitResult:
    """What `cen.fit` gives.

    Attributes:
        net: the network that was given, with its last weights, in evaluation mode.
        scores: of the last validation: by output ``ensemble`` and ``streams``, as ``cen evaluate``
            gives them; empty without a validation set.
        curves: every figure that was logged, by name (``train/loss``, ``lambda``): step to value.
        folder: the run folder with the best and the last network; None where it was not kept.
    """

    net: ChannelExchangeNetwork
    scores: dict[str, Any]
    curves: dict[str, dict[int, float]]
    folder: Path | None

    @property
    def score(self) -> float | None:
        """The score that the best network is chosen by: mIoU, or the like of other kinds."""
        return mean_headline(self.scores)

    def _repr_html_(self) -> str:
        """For notebooks: the scores of every output."""
        rows = [
            (output, name, notebook.number(value))
            for output, entry in self.scores.items()
            for name, value in entry["ensemble"].items()
            if isinstance(value, int | float)
        ]
        where = [("run folder", self.folder)] if self.folder else []
        return notebook.table("Validation", [*rows, *where])


def fit(
    net: ChannelExchangeNetwork,
    dataset: Dataset[Any],
    validation: Dataset[Any] | None = None,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    seed: int = 0,
    workers: int = 0,
    progress: bool = True,
    **train: Any,
) -> FitResult:
    """Trains a network on any data set that gives dicts of tensors.

    A sample has an entry for every input and every output of the network, by name; others are left
    out. Inputs: (C, H, W) floating point, normalised as you like, C as in ``net.inputs``. Outputs:
    a segmentation (H, W) integers, the class or the task's ``ignore_index``; depth and edges (1, H,
    W), normals (3, H, W), images (C, H, W) floating point, NaN where unknown. Arrays of NumPy do
    as well. Samples that are trained on are of one size, those of validation of any. What a data
    set draws from ``random``, ``numpy.random`` or torch follows from (seed, epoch, sample), so a
    run that is resumed is the uninterrupted one.

    Args:
        net: of `cen.build`, `cen.load`, `cen.finetune`, or of `cen.convert` with ``outputs=``;
            trained in place.
        dataset: what is trained on: has a length, and gives samples by index.
        validation: what the best network is chosen on; None: there is no best.
        folder: the run folder, new or empty; None: nothing is kept but the result.
        resume: go on with the run in ``folder``.
        seed: the order of the samples and everything else that is random follows from it.
        workers: processes that read samples.
        progress: show a progress bar.
        **train: the keys of ``train`` in a configuration: ``steps``, ``batch_size``,
            ``exchange_rate``, ... (docs/configuration.md).

    Returns:
        The network, its scores and curves.

    Raises:
        ConfigError: the network or data set is of no such kind, or a key is unknown or impossible.
        DataError, ShapeError: a sample is not as above; the message names sample and entry.
        TrainingError: the loss is no longer finite.
    """
    if not isinstance(net, ChannelExchangeNetwork):
        raise ConfigError(
            f"fit trains networks of cen.build, and of cen.convert with outputs=, not "
            f"{described(net)}; for others write the loop yourself (docs/your-own-loop.md)"
        )
    if net.cyclic:
        raise ConfigError("fit: a cycle network makes its inputs of files; use cen train")
    if resume and folder is None:
        raise ConfigError("fit: resume needs the folder of the run")
    checked = CheckedSamples(dataset, net, "dataset", seed, one_size=True)
    held_out = None
    if validation is not None:
        held_out = CheckedSamples(validation, net, "validation", seed)
    share = {} if validation is not None else {"validation": 0}
    settings = {"data": {"workers": workers, **share}, "train": train, "seed": seed}
    config = Config.from_dict(settings, source="fit")
    with _kept(folder) as place:
        train_network(
            config, place, net, checked, held_out, resume=resume, progress=progress,
            metadata={"modality_dropout": config.train.dropped_share},
        )  # fmt: skip
        metadata = read_header(place / "last.safetensors")["metadata"]
        curves = read_run(place, panels=False).metrics
    scores = dict(metadata["metrics"])
    return FitResult(
        net.eval(),
        scores,
        {name: dict(values) for name, values in curves.items()},
        None if folder is None else Path(folder),
    )


class CheckedSamples(Dataset[dict[str, Any]]):
    """Samples of somebody's own, checked when they are read, by index or (epoch, index).

    Args:
        dataset: the samples.
        net: the network that they are for.
        name: what messages call the data set.
        seed: of what the samples draw at random.
        one_size: all have the size of the first.

    Raises:
        ConfigError: the data set has no length or is empty.
        DataError, ShapeError: its first sample does not fit.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        net: ChannelExchangeNetwork,
        name: str,
        seed: int,
        one_size: bool = False,
    ) -> None:
        length = getattr(dataset, "__len__", None)
        if isinstance(dataset, IterableDataset) or length is None:
            raise ConfigError(
                f"{name}: {described(dataset)} has no length; give a data set with __len__ and "
                "__getitem__, so that a step's samples can be read by their numbers"
            )
        if not length():
            raise ConfigError(f"{name}: is empty; give one sample or more")
        self.dataset, self.name, self.seed, self.length = dataset, name, seed, length()
        self.inputs, self.outputs = dict(net.inputs), dict(net.outputs)
        self.size: tuple[int, ...] | None = None
        first = self[0]
        if one_size:
            self.size = first[next(iter(self.inputs))].shape[1:]

    def __len__(self) -> int:
        """Number of samples."""
        return int(self.length)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = split_key(key)
        with _seeded(sample_rng(self.seed, epoch, index)):
            sample = self.dataset[index]
        place = f"{self.name}[{index}]"
        if not isinstance(sample, Mapping):
            raise DataError(
                f"{place}: is {described(sample)}; give a dict with an entry for each of "
                f"{', '.join((*self.inputs, *self.outputs))}"
            )
        checked: dict[str, Any] = {"name": str(sample.get("name", index))}
        for name, channels in self.inputs.items():
            value = _tensor(sample, name, place)
            checked[name] = _numbers(value, channels, f"{place}[{name!r}]")
        size = self.size or tuple(checked[next(iter(self.inputs))].shape[1:])
        for name, task in self.outputs.items():
            checked[name] = _truth(_tensor(sample, name, place), task, f"{place}[{name!r}]")
        for name in (*self.inputs, *self.outputs):
            if tuple(checked[name].shape[-2:]) != tuple(size):
                height, width = checked[name].shape[-2:]
                raise ShapeError(
                    f"{place}[{name!r}]: is {height} × {width} (height × width), others are "
                    f"{size[0]} × {size[1]}; crop or resize them alike"
                )
        return checked


def _tensor(sample: Mapping[str, Any], name: str, place: str) -> Tensor:
    if name not in sample:
        raise DataError(f"{place}: has no {name!r}, only {', '.join(map(str, sample))}")
    value = sample[name]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if not isinstance(value, Tensor):
        raise DataError(f"{place}[{name!r}]: give a tensor or an array, not {described(value)}")
    return value


def _numbers(value: Tensor, channels: int, place: str) -> Tensor:
    """(C, H, W) float32."""
    if value.ndim != 3 or value.shape[0] != channels:
        raise ShapeError(f"{place}: must be ({channels}, H, W), got {tuple(value.shape)}")
    if not value.is_floating_point():
        raise DataError(
            f"{place}: must be floating point, got {value.dtype}; scale it (images: / 255) first"
        )
    return value.float()


def _truth(value: Tensor, task: Task, place: str) -> Tensor:
    """Ground truth of a task, (H, W) int64 labels within the classes, or (C, H, W) float32."""
    if not task.rules.labels:
        return _numbers(value, task.channels, place)
    if value.ndim != 2 or value.is_floating_point():
        raise ShapeError(
            f"{place}: must be (H, W) integers, got {tuple(value.shape)} {value.dtype}"
        )
    return labels_of(value, task.channels, task.ignore_index, place)[0]


@contextmanager
def _kept(folder: str | Path | None) -> Iterator[Path]:
    """The run folder, or one that is deleted afterwards."""
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="cen-") as directory:
        try:
            yield Path(directory) / "run"
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; without folder= nothing of it is kept") from None


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Seeds the common generators for a moment; afterwards they go on as if nothing was drawn."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
