"""What an export is compared on: scenes of a run's data as they are read and as a network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cen.config import Config
from cen.data import AlignedDataset, Modality
from cen.data.transforms import INTRINSICS
from cen.errors import CenError, CheckpointError
from cen.models import ChannelExchangeNetwork
from cen.predict.export_comparison import Sample
from cen.predict.inputs import stored_modalities
from cen.predict.raw_inputs import as_raw, dtype_of
from cen.runfiles import folder_of
from cen.training.setup import open_dataset

_SIZES = tuple((batch, *size) for size in ((1, 1, 0), (1, 2, 5), (2, 1, 0)) for batch in (1, 4))
"""Batch, height and width over the least ones, and pixels beyond: some sizes are no multiples."""
_SCORED = 100
"""Scenes that int8 is scored on, at most."""

Scene = Mapping[str, Any]


def samples_of(
    net: ChannelExchangeNetwork, source: Path, calibrated: int = 0
) -> tuple[list[Sample], list[Sample], bool]:
    """Batches of several sizes of the run's validation split; random ones where there is none.

    Args:
        net: the network.
        source: the run folder or file that it comes from.
        calibrated: how many training samples are wanted; then the validation samples have ground
            truth.

    Returns:
        The samples; training samples; and whether they are real.
    """
    # Some of the sizes are multiples of what the encoder takes multiples of, some are none.
    align = -(-64 // net.smallest) * net.smallest
    sizes = [(b, tall * align + more, wide * align + more) for b, tall, wide, more in _SIZES]
    try:
        modalities = stored_modalities(net, None)
    except CheckpointError:  # built by hand: all that is known is channels
        return [_noise(net, *size) for size in sizes], [], False
    try:
        config = Config.load(folder_of(source) / "config.yaml", {}, of_run=True)
        validation = open_dataset(config, "validation")
        scenes = _scenes(validation, _SCORED if calibrated else 4)
        training = _scenes(open_dataset(config, "train"), calibrated) if calibrated else []
    except CenError:
        scenes, training = [], []
    if not scenes:
        drawn = [_drawn(modalities, *size) for size in sizes]
        return [_sample(net, modalities, scenes) for scenes in drawn], [], False
    targets = validation.targets if calibrated else {}
    full_size = [_sample(net, modalities, [scene], targets) for scene in scenes]
    samples = full_size if calibrated else full_size[:1]
    for number, *size in sizes:
        batch = [scenes[k % len(scenes)] for k in range(number)]
        samples.append(_sample(net, modalities, [_resized(s, modalities, size) for s in batch]))
    return samples, [_sample(net, modalities, [scene]) for scene in training], True


def _scenes(dataset: AlignedDataset, count: int) -> list[Scene]:
    """Some scenes as they are read, evenly spread over the data set."""
    dataset.transform = None
    step = max(1, len(dataset) // count)
    return [dataset[index] for index in islice(range(0, len(dataset), step), count)]


def _resized(scene: Scene, modalities: Mapping[str, Modality], size: Sequence[int]) -> Scene:
    """The inputs of a scene at another size; the camera is that of the old one."""
    pair = (size[0], size[1])
    camera = {INTRINSICS: scene[INTRINSICS]} if INTRINSICS in scene else {}
    return {name: m.resize(scene[name], pair) for name, m in modalities.items()} | camera


def _sample(
    net: ChannelExchangeNetwork,
    modalities: Mapping[str, Modality],
    scenes: Sequence[Scene],
    targets: Mapping[str, Modality] = {},
) -> Sample:
    """Scenes of one size as a batch, with the ground truth that all of them have."""
    raw, inputs = {}, {}
    resize = net.metadata.get("resize")
    for name, modality in modalities.items():
        arrays = [scene[name] for scene in scenes]
        raw[name] = as_raw(modality, arrays)
        prepared = [
            modality.prepare(array, scene.get(INTRINSICS))
            for array, scene in zip(arrays, scenes, strict=True)
        ]
        if resize is not None:
            prepared = [modality.resize(one, (resize[0], resize[1])) for one in prepared]
        inputs[name] = torch.from_numpy(np.stack([modality.normalise(one) for one in prepared]))
    size = next(iter(inputs.values())).shape[-2:]
    truth = {
        name: torch.from_numpy(np.stack([_truth(target, s[name], size) for s in scenes]))
        for name, target in targets.items()
        if all(name in scene for scene in scenes)
    }
    return Sample(inputs, raw, truth)


def _truth(target: Modality, values: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """Ground truth at the size that the network predicts."""
    return target.target(target.resize(target.prepare_target(values), (size[0], size[1])))


def _drawn(
    modalities: Mapping[str, Modality], batch: int, height: int, width: int
) -> list[dict[str, Any]]:
    """Random pictures in the values of each modality."""
    rng = np.random.default_rng(0)
    scenes: list[dict[str, Any]] = []
    for _ in range(batch):
        scene: dict[str, Any] = {}
        for name, modality in modalities.items():
            channels, kind = modality.stored_channels, modality.field_kind
            shape = (height, width) if channels == 1 or kind.classes else (height, width, channels)
            dtype = dtype_of(modality)
            if kind.classes:
                scene[name] = rng.integers(0, modality.channels, shape)
            elif dtype in (torch.uint8, torch.uint16):
                high = 256 if dtype == torch.uint8 else 65536
                scene[name] = rng.integers(0, high, shape).astype(str(dtype).partition(".")[2])
            else:
                # Indoor metres; others are about their mean.
                scene[name] = rng.uniform(0.5, 6.0, shape).astype(np.float32)
        scenes.append(scene)
    return scenes


def _noise(net: ChannelExchangeNetwork, batch: int, height: int, width: int) -> Sample:
    generator = torch.Generator().manual_seed(0)
    return Sample(
        {
            name: torch.randn(batch, channels, height, width, generator=generator)
            for name, channels in net.inputs.items()
        }
    )
