"""Scenes as a network takes them, read by windows: whole or resized, mirrored or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from cen.data import Modality
from cen.predict.flips import mirror
from cen.predict.resampling import mixed, taps


class Scene(Protocol):
    """Inputs of a network of which windows can be had.

    Attributes:
        size: height and width in pixels.
    """

    size: tuple[int, int]

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """The inputs there, (B, C, h, w) by name, on the device of the network."""


class TensorScene:
    """Inputs that are there as a whole, (B, C, H, W) by name."""

    def __init__(self, inputs: Mapping[str, Tensor]) -> None:
        self._inputs = dict(inputs)
        height, width = next(iter(self._inputs.values())).shape[-2:]
        self.size = (int(height), int(width))

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        return {name: values[..., rows, columns] for name, values in self._inputs.items()}


class ArrayScene:
    """Pictures as they were read and prepared, normalised window by window.

    ``pictures`` are by name those of every scene of a batch, (H, W) or (H, W, C) each.
    """

    def __init__(
        self,
        pictures: Mapping[str, list[NDArray[Any]]],
        modalities: Mapping[str, Modality],
        device: torch.device,
    ) -> None:
        self._pictures, self._modalities, self._device = pictures, modalities, device
        height, width = next(iter(pictures.values()))[0].shape[:2]
        self.size = (height, width)

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        return {
            name: torch.stack(
                [
                    torch.from_numpy(self._modalities[name].normalise(picture[rows, columns]))
                    for picture in pictures
                ]
            ).to(self._device)
            for name, pictures in self._pictures.items()
        }


class ScaledScene:
    """A scene resized by a factor (bilinear)."""

    def __init__(self, scene: Scene, scale: float) -> None:
        self.scene = scene
        height, width = (max(1, round(side * scale)) for side in scene.size)
        self.size = (height, width)

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        if (rows.start, columns.start, rows.stop, columns.stop) == (0, 0, *self.size):
            full_window = self.scene.window(*(slice(0, side) for side in self.scene.size))
            return {
                name: interpolate(values, self.size, mode="bilinear", align_corners=False)
                for name, values in full_window.items()
            }
        down = taps(rows.start, rows.stop, self.scene.size[0], self.size[0], "bilinear")
        across = taps(columns.start, columns.stop, self.scene.size[1], self.size[1], "bilinear")
        there = self.scene.window(slice(down.first, down.stop), slice(across.first, across.stop))
        return {name: mixed(mixed(v, down, -2), across, -1) for name, v in there.items()}


class PaddedScene:
    """A scene whose last rows and columns are repeated up to multiples of a size."""

    def __init__(self, scene: Scene, multiple: int) -> None:
        self.scene = scene
        height, width = (-(-side // multiple) * multiple for side in scene.size)
        self.size = (height, width)

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        height, width = self.scene.size
        # A window may begin behind the last row, which is repeated there, too.
        top, left = min(rows.start, height - 1), min(columns.start, width - 1)
        bottom, right = min(rows.stop, height), min(columns.stop, width)
        there = self.scene.window(slice(top, bottom), slice(left, right))
        down = torch.arange(rows.start, rows.stop).clamp(max=height - 1) - top
        across = torch.arange(columns.start, columns.stop).clamp(max=width - 1) - left
        if len(down) == bottom - top and len(across) == right - left:
            return there
        return {
            name: values.index_select(-2, down.to(values.device)).index_select(
                -1, across.to(values.device)
            )
            for name, values in there.items()
        }


class MirroredScene:
    """A scene mirrored left and right; vectors then point the other way."""

    def __init__(self, scene: Scene, modalities: Mapping[str, Modality]) -> None:
        self.scene, self.modalities, self.size = scene, modalities, scene.size

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        width = self.size[1]
        there = self.scene.window(rows, slice(width - columns.stop, width - columns.start))
        return {name: mirror(image, self.modalities.get(name)) for name, image in there.items()}
