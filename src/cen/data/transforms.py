"""The released training transforms, one geometry for all modalities and targets of a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cen.data.augmentation import (
    changed_picture,
    changed_values,
    check_augmentation,
    fail_in_patches,
)
from cen.data.fields import geometry
from cen.data.fields.modality import Modality
from cen.errors import ConfigError, DataError
from cen.options.augmentation_options import AugmentConfig

Sample = dict[str, Any]
Size = tuple[int, int]

INTRINSICS = "intrinsics"
"""Entry of a sample with the camera of its pictures, (3, 3); it follows their geometry."""

_LABEL = Modality.of("label")


@dataclass(frozen=True)
class Transform:
    """Raw sample in, tensors out: random scale, mirror, turn, pad and crop, then normalise.

    The recipe and its order are those of the released code (turning is this project's extension);
    its cubic interpolation for images and nearest neighbour for depth and labels are the defaults
    of ``Modality``. Whatever is left at None is not done. A crop that reaches beyond the picture is
    filled with each modality's ``fill`` (the mean colour, 0 after normalisation), the labels with
    ``ignore_index`` and other ground truth with NaN, which losses and metrics leave out.

    Geometry is right for each kind: labels are never blended, depth is not blended with holes,
    vectors turn with the picture, ``intrinsics`` follow every step. Clipping, filling of holes and
    the encodings that look at more than one pixel (``Modality.before_geometry``: HHA, normals from
    depth, jet and min-max over the picture) come before the geometry, the others after it.

    Attributes:
        modalities: entries of the sample that become (C, H, W) float32 for the network.
        labels: entries that become (H, W) int64.
        targets: entries that become ground truth, see ``Modality.to_target``; an entry of
            ``modalities`` is none.
        resize: (H, W) to which every picture is brought first; the zoom starts from there.
        scale: range of the random zoom.
        shorter_side: least length of the shorter side after the zoom, which is raised to reach it.
        flip: probability of mirroring left and right.
        rotate: most degrees by which a picture is turned about its centre, either way.
        crop: (H, W) of the random crop.
        divide_depth: depth is divided by the zoom, as if the camera had come closer.
        ignore_index: label of padding.
        augment: further changes of single modalities, by name; see `cen.data.augmentation`.
    """

    modalities: Mapping[str, Modality]
    labels: tuple[str, ...] = ("segmentation",)
    targets: Mapping[str, Modality] = field(default_factory=dict)
    resize: Size | None = None
    scale: tuple[float, float] | None = None
    shorter_side: int | None = None
    flip: float = 0.0
    rotate: float | None = None
    crop: Size | None = None
    divide_depth: bool = False
    ignore_index: int = 255
    augment: Mapping[str, AugmentConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, how in self.augment.items():
            if name not in self.modalities:
                raise ConfigError(
                    f"data.modalities.{name}.augment: is for inputs, which {name} is not (in cycle "
                    "fusion inputs are made of the ground truth, which must stay); leave it out"
                )
            check_augmentation(name, how, self.modalities[name])
        if not self.modalities and not self.targets:
            raise ConfigError("modalities: there must be at least one")
        if self.scale is not None and not 0.0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(
                f"scale: {self.scale} is no range of positive factors, low before high"
            )
        for key, size in (("crop", self.crop), ("resize", self.resize)):
            if size is not None and min(size) < 1:
                raise ConfigError(f"{key}: {size} is no (height, width) of at least 1 pixel")
        if self.shorter_side is not None and self.shorter_side < 1:
            raise ConfigError(f"shorter_side: {self.shorter_side} is less than 1 pixel")
        if not 0.0 <= self.flip <= 1.0:
            raise ConfigError(f"flip: {self.flip} is no probability")
        if self.rotate is not None and not 0.0 <= self.rotate <= 180.0:
            raise ConfigError(f"rotate: {self.rotate} is not between 0 and 180 degrees")

    @property
    def random(self) -> bool:
        """Whether the result depends on a random generator."""
        moved = self.scale is not None or self.flip > 0.0 or self.crop is not None
        return moved or bool(self.rotate) or bool(self.augment)

    def __call__(self, sample: Mapping[str, Any], rng: np.random.Generator | None = None) -> Sample:
        """Transforms a sample.

        Args:
            sample: raw arrays of one height and width under the names of the modalities, labels
                and targets (the last two may be absent), ``intrinsics`` where they are known, and
                anything else that is no picture of that size, which is passed on.
            rng: where the random numbers come from; always the same number of them is drawn.

        Returns:
            A new dict: modalities (C, H, W) float32, labels (H, W) int64 and other targets
            (C, H, W) float32 tensors; intrinsics (3, 3) float64 of the picture that came out.

        Raises:
            DataError: a modality is absent, sizes differ, a picture is neither modality nor
                target, which would stay where it is, or intrinsics are needed and absent.
            ValueError: the transform is random and ``rng`` is missing.
        """
        if self.random and rng is None:
            raise ValueError(
                "this transform draws random numbers: pass rng=numpy.random.default_rng(...)"
            )
        size = self._size_of(sample)
        view = self._view(size, rng)
        camera = sample.get(INTRINSICS)
        # Children: neither the geometry nor another field draws other numbers because of one.
        children = [] if rng is None else rng.spawn(len(self.augment))
        rngs = dict(zip(self.augment, children, strict=True))
        result: Sample = {}
        for name, value in sample.items():
            if name in self.modalities:
                result[name] = self._input(name, value, view, camera, rngs.get(name))
            elif name in self.targets or name in self.labels:
                result[name] = self._truth(self.targets.get(name, _LABEL), value, view)
            elif name == INTRINSICS:
                result[name] = view.camera(geometry.as_intrinsics(value))
            elif _is_picture(value, size):
                raise DataError(
                    f"{name}: is a picture that the transform does not know, so that it would not "
                    "be moved with the others; give the data set's targets, too: "
                    "train_transform(data.modalities, targets=data.targets)"
                )
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

    def _view(self, size: Size, rng: np.random.Generator | None) -> _View:
        """The geometry of one sample."""
        zoom, mirror, top, left = (0.5, 1.0, 0.5, 0.5) if rng is None else rng.random(4)
        turn = 0.0
        if self.rotate and rng is not None:
            turn = self.rotate * (2.0 * float(rng.random()) - 1.0)
        scaled = self._scaled(size, zoom)
        window = _Window.of(scaled, self.crop, top, left)
        return _View(size, scaled, bool(mirror < self.flip), turn, window)

    def _scaled(self, size: Size, zoom: float) -> Size:
        """Size after the random zoom, whose shorter side is at least ``shorter_side``."""
        size = size if self.resize is None else self.resize
        if self.scale is None and self.shorter_side is None:
            return size
        low, high = self.scale or (1.0, 1.0)
        factor = low + zoom * (high - low)
        if self.shorter_side is not None:
            factor = max(factor, self.shorter_side / min(size))
        return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))

    def largest(self, size: Size) -> Size:
        """The size of a picture after the greatest zoom, before it is cropped or padded."""
        return self._scaled(size, 1.0)

    def _placed(self, modality: Modality, values: NDArray[Any], view: _View) -> NDArray[Any]:
        """Prepared values after zoom, mirror, turn and crop, without padding."""
        if view.scaled != view.size and modality.interpolation == "nearest" and not view.turn:
            return self._nearest(modality, values, view)
        if view.scaled != view.size:
            values = modality.resize(values, view.scaled)
            if self.divide_depth and modality.in_metres:
                values = values / np.float32(view.zoom(self.resize))
        if view.mirror:
            values = modality.mirror(values)
        if view.turn:
            values = modality.rotate(values, view.turn, self.ignore_index)
        return values[view.window.inside]

    def _nearest(self, modality: Modality, values: NDArray[Any], view: _View) -> NDArray[Any]:
        """The same by nearest neighbour, which needs none of the pixels outside the crop."""
        rows, columns = view.window.inside
        if view.mirror:
            width = view.scaled[1]
            columns = slice(width - columns.stop, width - columns.start)
        values = geometry.resize_part(values, view.scaled, (rows, columns))
        if self.divide_depth and modality.in_metres:
            values = values / np.float32(view.zoom(self.resize))
        return modality.mirror(values) if view.mirror else values

    def _input(
        self,
        name: str,
        values: NDArray[Any],
        view: _View,
        camera: Any,
        rng: np.random.Generator | None,
    ) -> Tensor:
        modality, how = self.modalities[name], self.augment.get(name)
        if how is not None and rng is not None:
            values = changed_values(values, how, modality, rng)
        placed = self._placed(modality, modality.prepare(values, camera), view)
        if how is not None and rng is not None:
            placed = changed_picture(placed, how, modality, rng)
        numbers = modality.normalise(placed)
        if how is not None and rng is not None:
            fail_in_patches(numbers, how, modality.fill, rng)
        if view.turn:
            numbers[:, ~view.reached] = modality.fill
        return view.window.padded(numbers, modality.fill)

    def _truth(self, modality: Modality, values: NDArray[Any], view: _View) -> Tensor:
        prepared = modality.prepare_target(values)
        truth = modality.target(self._placed(modality, prepared, view))
        empty = self.ignore_index if modality.field_kind.classes else np.nan
        if view.turn:
            truth[..., ~view.reached] = empty
        return view.window.padded(truth, empty)


def _is_picture(value: Any, size: Size) -> bool:
    """Whether it has the height and width of the sample, in front, or behind its channels."""
    shape = tuple(getattr(value, "shape", ()))
    return size in (shape[:2], shape[-2:])


@dataclass(frozen=True)
class _View:
    """What happens to all pictures of a sample: from ``size`` to ``scaled``, mirrored, turned."""

    size: Size
    scaled: Size
    mirror: bool
    turn: float
    window: _Window

    def zoom(self, resized: Size | None) -> float:
        """How much longer lengths have become (the sides round to pixels, each for itself).

        Args:
            resized: size that every picture is brought to first; None: its own.
        """
        (height, width), (old_height, old_width) = self.scaled, resized or self.size
        return float(np.sqrt(height * width / (old_height * old_width)))

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Which pixels of the crop show something after turning, (H, W) without padding."""
        ones = np.ones(self.scaled, dtype=np.uint8)
        turned = geometry.rotate(ones, self.turn, "nearest", 0)
        return np.asarray(turned[self.window.inside] > 0)

    def camera(self, intrinsics: geometry.Matrix) -> geometry.Matrix:
        """Intrinsics after the same steps."""
        matrix = geometry.zoom_intrinsics(intrinsics, self.size, self.scaled)
        if self.mirror:
            matrix = geometry.flip_intrinsics(matrix, self.scaled[1])
        if self.turn:
            matrix = geometry.rotate_intrinsics(matrix, self.turn, self.scaled)
        return geometry.crop_intrinsics(matrix, *self.window.origin)


@dataclass(frozen=True)
class _Window:
    """A crop of ``size``: the part ``inside`` the picture goes to ``target`` of the crop."""

    size: Size
    inside: tuple[slice, slice]
    target: tuple[slice, slice]

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the picture at which the crop begins, negative where it is padded."""
        (top, left), (down, across) = self.inside, self.target
        return top.start - down.start, left.start - across.start

    @classmethod
    def of(cls, size: Size, crop: Size | None, *chances: float) -> _Window:
        """A crop at random; a smaller picture is padded by equal amounts on both sides first."""
        crop_size = size if crop is None else crop
        inside, target = [], []
        for have, want, chance in zip(size, crop_size, chances, strict=True):
            pad = max(0, (want - have + 1) // 2)
            first = int(chance * (have + 2 * pad - want + 1)) - pad
            low, high = max(first, 0), min(first + want, have)
            inside.append(slice(low, high))
            target.append(slice(low - first, high - first))
        return cls(crop_size, (inside[0], inside[1]), (target[0], target[1]))

    def padded(self, numbers: NDArray[Any], empty: float) -> Tensor:
        """(..., H, W) values of the inside as a tensor of the crop, ``empty`` around them."""
        rows, columns = self.target
        if (rows.stop - rows.start, columns.stop - columns.start) == self.size:
            return torch.from_numpy(np.ascontiguousarray(numbers))
        canvas = np.empty((*numbers.shape[:-2], *self.size), dtype=numbers.dtype)
        # The margin alone: large arrays are slow to fill, and the inside is written anyway.
        canvas[..., : rows.start, :] = canvas[..., rows.stop :, :] = empty
        canvas[..., rows, : columns.start] = canvas[..., rows, columns.stop :] = empty
        canvas[(..., *self.target)] = numbers
        return torch.from_numpy(canvas)


def train_transform(
    modalities: Mapping[str, Modality],
    *,
    targets: Mapping[str, Modality] | None = None,
    resize: Size | None = None,
    shorter_side: int | None = 350,
    scale: tuple[float, float] | None = (0.5, 2.0),
    flip: bool = True,
    rotate: float | None = None,
    crop: Size | None = (500, 500),
    divide_depth: bool = False,
    ignore_index: int = 255,
    augment: Mapping[str, AugmentConfig] | None = None,
) -> Transform:
    """The released training transforms; the defaults are the released values for NYUDv2."""
    return Transform(
        modalities,
        targets=targets or {},
        resize=resize,
        scale=scale,
        shorter_side=shorter_side,
        flip=0.5 if flip else 0.0,
        rotate=rotate,
        crop=crop,
        divide_depth=divide_depth,
        ignore_index=ignore_index,
        augment={name: how for name, how in (augment or {}).items() if not how.off},
    )


def eval_transform(
    modalities: Mapping[str, Modality],
    *,
    targets: Mapping[str, Modality] | None = None,
    resize: Size | None = None,
    ignore_index: int = 255,
) -> Transform:
    """Whole pictures at their own size, or at one size for all, normalised."""
    return Transform(modalities, targets=targets or {}, resize=resize, ignore_index=ignore_index)
