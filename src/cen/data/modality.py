"""What a modality is: how its files are read and how its values become numbers for a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.files import read_array, read_labels
from cen.errors import ConfigError, DataError

Kind = Literal["image", "depth", "normal", "label", "edge", "continuous"]
Interpolation = Literal["nearest", "linear", "cubic"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Indoor scenes: Rooms has 3.1 +- 1.1 m, NYUDv2 2.8 +- 1.3 m. Round numbers in between.
DEPTH_MEAN, DEPTH_STD = 3.0, 1.25

_FLAGS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


@dataclass(frozen=True)
class Modality:
    """One modality of a data set.

    In the program an image is (H, W, C) or (H, W) in its file's values (RGB order, 0..255 for 8-bit
    files) and depth is (H, W) float32 in metres, NaN where nothing was measured. The network sees
    ``(value * scale - mean) / std`` and ``fill`` where a value is missing or a crop is padded; the
    fill of 0 is the mean colour or the mean depth.

    Attributes:
        kind: ``"image"`` or ``"depth"``.
        channels: what the network gets; 1 or 3 for 8-bit images.
        unit: metres per stored value (depth): 0.001 for files in millimetres.
        missing: stored value that means "not measured" (depth); NaN and infinity always do.
        scale: factor before normalisation.
        mean, std: one number per channel.
        fill: network value of missing pixels and of padding.
        interpolation: how it is resized. Depth is never blended, which would invent surfaces
            between an object and the wall behind it and spread holes.
    """

    kind: Kind = "image"
    channels: int = 3
    unit: float = 1.0
    missing: float = 0.0
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fill: float = 0.0
    interpolation: Interpolation = "cubic"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"kind: {self.kind!r} is none of {', '.join(get_args(Kind))}")
        if self.interpolation not in get_args(Interpolation):
            known = ", ".join(get_args(Interpolation))
            raise ConfigError(f"interpolation: {self.interpolation!r} is none of {known}")
        if self.channels < 1 or (self.kind == "depth" and self.channels != 1):
            raise ConfigError(
                f"channels: a modality of kind {self.kind} cannot have {self.channels}"
            )
        for name in ("unit", "missing", "scale", "fill"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        for name in ("mean", "std"):
            numbers = tuple(_number(name, number) for number in getattr(self, name))
            if len(numbers) != self.channels:
                raise ConfigError(
                    f"{name}: {len(numbers)} numbers for {self.channels} channels; give one each"
                )
            object.__setattr__(self, name, numbers)
        if min(self.std) <= 0.0 or self.unit <= 0.0 or self.scale == 0.0:
            raise ConfigError("std and unit must be positive and scale must not be 0")

    @classmethod
    def of(
        cls,
        kind: Kind = "image",
        channels: int | None = None,
        *,
        unit: float | None = None,
        scale: float | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        fill: float | None = None,
        missing: float = 0.0,
        interpolation: Interpolation | None = None,
    ) -> Modality:
        """A modality with the defaults of its kind wherever None is given.

        Images: 3 channels, values / 255, ImageNet's mean and deviation (for other than 3 channels
        their averages), cubic. Depth: millimetres, mean 3 m and deviation 1.25 m, nearest.
        The released recipe divides stored depth by 5000 and does nothing else: scale
        1 / (5000 * unit), mean 0, std 1.

        Raises:
            ConfigError: values that do not fit the kind or each other.
        """
        image = kind == "image"
        count = channels if channels is not None else 3 if kind in ("image", "normal") else 1
        average: Sequence[float] = IMAGENET_MEAN
        spread: Sequence[float] = IMAGENET_STD
        if kind == "depth":
            average, spread = (DEPTH_MEAN,) * count, (DEPTH_STD,) * count
        elif not image:
            average, spread = (0.0,) * count, (1.0,) * count
        elif count != 3:
            average, spread = (0.449,) * count, (0.226,) * count
        return cls(
            kind,
            count,
            unit=unit if unit is not None else 0.001 if kind == "depth" else 1.0,
            missing=missing,
            scale=scale if scale is not None else 1.0 / 255.0 if image else 1.0,
            mean=tuple(mean if mean is not None else average),
            std=tuple(std if std is not None else spread),
            fill=fill if fill is not None else 0.0,
            interpolation=interpolation or ("cubic" if image else "nearest"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for configurations and checkpoints; ``from_dict`` reads them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Modality:
        """The modality that ``to_dict`` described; keys left out get the defaults of the kind.

        Raises:
            ConfigError: an unknown key or a value that does not fit.
        """
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in values if key not in known]:
            raise ConfigError(f"{unknown[0]}: no key of a modality; there are {', '.join(known)}")
        return cls.of(**values)

    def read(self, path: str | Path) -> NDArray[Any]:
        """Reads a file of this modality.

        Returns:
            Image: (H, W, 3) uint8 in RGB order, (H, W) for one channel, (H, W, C) otherwise as
            stored. Depth: (H, W) float32 in metres, NaN where nothing was measured.

        Raises:
            DataError: the file is missing, cannot be decoded, or has other channels.
        """
        if self.kind == "depth":
            return self._metres(read_array(path, cv2.IMREAD_UNCHANGED), path)
        if self.kind == "label":
            return read_labels(path)
        if self.channels in (1, 3):
            # With ANYDEPTH 16-bit files stay what they are; OpenCV would cut them to 8 bits.
            colour = cv2.IMREAD_GRAYSCALE if self.channels == 1 else cv2.IMREAD_COLOR
            image = read_array(path, colour | cv2.IMREAD_ANYDEPTH)
            if image.dtype != np.uint8:
                raise DataError(
                    f"{path}: is of type {image.dtype}, but an image has 8 bits; declare it as "
                    f"kind: depth, or convert the file"
                )
            return image
        stored = read_array(path, cv2.IMREAD_UNCHANGED)
        if stored.ndim != 3 or stored.shape[2] != self.channels:
            found = 1 if stored.ndim == 2 else stored.shape[2]
            raise DataError(f"{path}: {found} channels, but this modality has {self.channels}")
        return stored

    def _metres(self, stored: NDArray[Any], path: str | Path) -> NDArray[np.float32]:
        if stored.ndim != 2:
            raise DataError(
                f"{path}: {stored.shape[2]} channels; depth is a file of one (16-bit or float)"
            )
        depth = (stored * np.float64(self.unit)).astype(np.float32)
        depth[(stored == self.missing) | ~np.isfinite(stored)] = np.nan
        return depth

    def to_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as ground truth.

        Returns:
            label: (H, W) int64. depth: (1, H, W) float32 metres, NaN where missing. normal:
            (3, H, W), NaN where missing. edge: (1, H, W) in [0, 1]. image: (C, H, W) in [-1, 1].
            continuous: (C, H, W), normalised like an input, NaN where missing.
        """
        if self.kind == "label":
            return values.astype(np.int64)
        planes = (values[..., None] if values.ndim == 2 else values).astype(np.float32)
        if self.kind == "image":
            planes = planes / np.float32(127.5) - 1
        elif self.kind == "continuous":
            mean, std = np.array((self.mean, self.std), dtype=np.float32)
            planes = (planes * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(planes.transpose(2, 0, 1))

    def to_network(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the network sees: (C, H, W) float32, without NaN."""
        planes = values[..., None] if values.ndim == 2 else values
        if planes.shape[2] != self.channels:
            raise DataError(f"{planes.shape[2]} channels, but this modality has {self.channels}")
        mean, std = np.array((self.mean, self.std), dtype=np.float32)
        numbers = (planes.astype(np.float32) * np.float32(self.scale) - mean) / std
        if not np.issubdtype(values.dtype, np.integer):
            numbers[~np.isfinite(numbers)] = self.fill
        return np.ascontiguousarray(numbers.transpose(2, 0, 1))

    def from_network(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Inverse of ``to_network`` up to rounding and holes, for pictures.

        Args:
            numbers: (C, H, W).

        Returns:
            (H, W, C) uint8 (one channel: (H, W)) for images, (H, W) float32 metres for depth.
        """
        mean, std = np.array((self.mean, self.std), dtype=np.float32)
        values = (numbers.astype(np.float32).transpose(1, 2, 0) * std + mean) / self.scale
        if self.kind == "depth":
            return np.asarray(values[..., 0], dtype=np.float32)
        image = np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
        return image[..., 0] if self.channels == 1 else image

    def resize(self, values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Resizes raw values to (H, W) with this modality's interpolation."""
        return np.asarray(cv2.resize(values, size[::-1], interpolation=_FLAGS[self.interpolation]))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} is no number") from error
