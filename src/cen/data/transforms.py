"""The released training transforms, one geometry for all modalities and labels of a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cen.data.modality import Modality
from cen.errors import ConfigError, DataError

Sample = dict[str, Any]
Size = tuple[int, int]


@dataclass(frozen=True)
class Transform:
    """Raw sample in, tensors out: random scale, mirror, pad and crop, then normalise.

    The recipe and its order are those of the released code; its cubic interpolation for images and
    nearest neighbour for depth and labels are the defaults of ``Modality``. Whatever is left at
    None is not done. A crop that reaches beyond the picture is filled with each modality's ``fill``
    (the mean colour, 0 after normalisation), the labels with ``ignore_index`` and other ground
    truth with NaN. In a mirrored picture the x axis of normals points the other way.

    Attributes:
        modalities: entries of the sample that become (C, H, W) float32 for the network.
        labels: entries that become (H, W) int64.
        targets: entries that become ground truth, see ``Modality.to_target``; an entry of
            ``modalities`` is none.
        scale: range of the random zoom.
        shorter_side: least length of the shorter side after the zoom, which is raised to reach it.
        flip: probability of mirroring left and right.
        crop: (H, W) of the random crop.
        ignore_index: label of padding.
    """

    modalities: Mapping[str, Modality]
    labels: tuple[str, ...] = ("segmentation",)
    targets: Mapping[str, Modality] = field(default_factory=dict)
    scale: tuple[float, float] | None = None
    shorter_side: int | None = None
    flip: float = 0.0
    crop: Size | None = None
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ConfigError("modalities: there must be at least one")
        if self.scale is not None and not 0.0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(
                f"scale: {self.scale} is no range of positive factors, low before high"
            )
        if self.crop is not None and min(self.crop) < 1:
            raise ConfigError(f"crop: {self.crop} is no (height, width) of at least 1 pixel")
        if self.shorter_side is not None and self.shorter_side < 1:
            raise ConfigError(f"shorter_side: {self.shorter_side} is less than 1 pixel")
        if not 0.0 <= self.flip <= 1.0:
            raise ConfigError(f"flip: {self.flip} is no probability")

    @property
    def random(self) -> bool:
        """Whether the result depends on a random generator."""
        return self.scale is not None or self.flip > 0.0 or self.crop is not None

    def __call__(self, sample: Mapping[str, Any], rng: np.random.Generator | None = None) -> Sample:
        """Transforms a sample.

        Args:
            sample: raw arrays of one height and width under the names of the modalities and labels
                (labels may be absent), and anything else, which is passed on.
            rng: where the random numbers come from; always the same number of them is drawn.

        Returns:
            A new dict: modalities (C, H, W) float32 and labels (H, W) int64 tensors.

        Raises:
            DataError: a modality is absent or sizes differ.
            ValueError: the transform is random and ``rng`` is missing.
        """
        if self.random and rng is None:
            raise ValueError(
                "this transform draws random numbers: pass rng=numpy.random.default_rng(...)"
            )
        size = self._size_of(sample)
        zoom, mirror, top, left = (0.5, 1.0, 0.5, 0.5) if rng is None else rng.random(4)
        scaled = self._scaled(size, zoom)
        window = _Window.of(scaled, self.crop, top, left)
        result: Sample = {}
        for name, value in sample.items():
            if name in self.modalities:
                turned = self._placed(self.modalities[name], value, scaled, mirror)
                result[name] = self._numbers(self.modalities[name], turned, window)
            elif name in self.targets and self.targets[name].kind != "label":
                turned = self._placed(self.targets[name], value, scaled, mirror)
                result[name] = _truth(self.targets[name], turned, window)
            elif name in self.labels or name in self.targets:
                resized = value if scaled == size else _resize_labels(value, scaled)
                flipped = resized[:, ::-1] if mirror < self.flip else resized
                result[name] = self._classes(flipped, window)
            else:
                result[name] = value
        return result

    def _size_of(self, sample: Mapping[str, Any]) -> Size:
        sizes = {}
        for name in dict.fromkeys((*self.modalities, *self.labels, *self.targets)):
            if name in sample:
                sizes[name] = sample[name].shape[:2]
            elif name in self.modalities:
                raise DataError(f"the sample has no {name!r}, only {', '.join(sample)}")
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise DataError(f"sample {sample.get('name', '')}: sizes differ: {listed}")
        height, width = next(iter(sizes.values()))
        return int(height), int(width)

    def _scaled(self, size: Size, zoom: float) -> Size:
        """Size after the random zoom, whose shorter side is at least ``shorter_side``."""
        if self.scale is None and self.shorter_side is None:
            return size
        low, high = self.scale or (1.0, 1.0)
        factor = low + zoom * (high - low)
        if self.shorter_side is not None:
            factor = max(factor, self.shorter_side / min(size))
        return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))

    def _placed(
        self, modality: Modality, values: NDArray[Any], size: Size, mirror: float
    ) -> NDArray[Any]:
        """Raw values at another size, mirrored or not."""
        resized = values if values.shape[:2] == size else modality.resize(values, size)
        if mirror >= self.flip:
            return resized
        flipped = resized[:, ::-1]
        if modality.kind == "normal":  # in a mirror, left and right change places
            flipped = flipped * np.array((-1.0, 1.0, 1.0), dtype=np.float32)
        return flipped

    def _numbers(self, modality: Modality, values: NDArray[Any], window: _Window) -> Tensor:
        numbers = modality.to_network(values[window.inside])
        if window.whole:
            return torch.from_numpy(numbers)
        canvas = np.full((modality.channels, *window.size), modality.fill, dtype=np.float32)
        canvas[(slice(None), *window.target)] = numbers
        return torch.from_numpy(canvas)

    def _classes(self, labels: NDArray[Any], window: _Window) -> Tensor:
        canvas = np.full(window.size, self.ignore_index, dtype=np.int64)
        canvas[window.target] = labels[window.inside]
        return torch.from_numpy(canvas)


@dataclass(frozen=True)
class _Window:
    """A crop of ``size``: the part ``inside`` the picture goes to ``target`` of the crop."""

    size: Size
    inside: tuple[slice, slice]
    target: tuple[slice, slice]

    @property
    def whole(self) -> bool:
        """Whether the crop needs no padding."""
        rows, columns = self.target
        return (rows.stop - rows.start, columns.stop - columns.start) == self.size

    @classmethod
    def of(cls, size: Size, crop: Size | None, *chances: float) -> _Window:
        """A crop at random; a smaller picture is padded by equal amounts on both sides first."""
        wanted = size if crop is None else crop
        inside, target = [], []
        for have, want, chance in zip(size, wanted, chances, strict=True):
            pad = max(0, (want - have + 1) // 2)
            first = int(chance * (have + 2 * pad - want + 1)) - pad
            low, high = max(first, 0), min(first + want, have)
            inside.append(slice(low, high))
            target.append(slice(low - first, high - first))
        return cls(wanted, (inside[0], inside[1]), (target[0], target[1]))


def _truth(modality: Modality, values: NDArray[Any], window: _Window) -> Tensor:
    """Ground truth in a crop, NaN where the crop reaches beyond the picture."""
    numbers = modality.to_target(values[window.inside])
    if window.whole:
        return torch.from_numpy(numbers)
    canvas = np.full((len(numbers), *window.size), np.nan, dtype=np.float32)
    canvas[(slice(None), *window.target)] = numbers
    return torch.from_numpy(canvas)


def _resize_labels(labels: NDArray[Any], size: Size) -> NDArray[Any]:
    # OpenCV resizes no 64-bit integers, and no label needs them.
    narrow = labels if labels.dtype == np.uint8 else labels.astype(np.int32)
    return np.asarray(cv2.resize(narrow, size[::-1], interpolation=cv2.INTER_NEAREST))


def train_transform(
    modalities: Mapping[str, Modality],
    *,
    targets: Mapping[str, Modality] | None = None,
    shorter_side: int | None = 350,
    scale: tuple[float, float] | None = (0.5, 2.0),
    flip: bool = True,
    crop: Size | None = (500, 500),
    ignore_index: int = 255,
) -> Transform:
    """The released training transforms; the defaults are the released values for NYUDv2."""
    return Transform(
        modalities,
        targets=targets or {},
        scale=scale,
        shorter_side=shorter_side,
        flip=0.5 if flip else 0.0,
        crop=crop,
        ignore_index=ignore_index,
    )


def eval_transform(
    modalities: Mapping[str, Modality],
    *,
    targets: Mapping[str, Modality] | None = None,
    ignore_index: int = 255,
) -> Transform:
    """Whole pictures at their own size, normalised."""
    return Transform(modalities, targets=targets or {}, ignore_index=ignore_index)
