"""Whether a network can take what it is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cen.errors import DataError, ShapeError, StreamError, did_you_mean
from cen.exchange.streams import check_tensors
from cen.tasks.pairs import check_finite, check_together

SMALLEST = 32
"""Smallest height and width of an input of an encoder that does not say otherwise."""


def check_inputs(
    inputs: Mapping[str, Tensor], channels: Mapping[str, int], smallest: int
) -> tuple[str, ...]:
    """The names of the inputs that are present, in the order of the streams."""
    check_tensors(inputs, "input")
    for name in inputs:
        if name not in channels:
            raise StreamError(
                f"unknown input {name!r}{did_you_mean(name, channels)}; "
                f"the inputs are {', '.join(channels)}"
            )
    present = tuple(name for name in channels if name in inputs)
    if not present:
        raise StreamError(f"no input given; give at least one of {', '.join(channels)}")
    first = inputs[present[0]]
    for name in present:
        image = inputs[name]
        check_together(image, first, f"input {name!r}")
        if not image.is_floating_point():
            raise DataError(
                f"input {name!r} is of {image.dtype}; give normalised floating point values "
                "(Modality.normalise), not stored integers"
            )
        if image.ndim != 4 or image.shape[1] != channels[name] or not image.shape[0]:
            raise ShapeError(
                f"input {name!r} has shape {tuple(image.shape)}; this network takes "
                f"(B, {channels[name]}, H, W), B at least 1"
            )
        if image.shape[-2] < smallest or image.shape[-1] < smallest:
            raise ShapeError(
                f"input {name!r} has shape {tuple(image.shape)}; height and width must be at "
                f"least {smallest}, so pad or enlarge the images"
            )
        if image.shape[0] != first.shape[0] or image.shape[2:] != first.shape[2:]:
            raise ShapeError(
                f"input {name!r} has shape {tuple(image.shape)} but {present[0]!r} has "
                f"{tuple(first.shape)}; all inputs show the same batch at the same size"
            )
    return present


def in_precision_of(
    weight: Tensor, inputs: Mapping[str, Tensor], finite: bool
) -> dict[str, Tensor]:
    """The inputs in the precision of the weights; autocast lowers it again."""
    for name, image in inputs.items():
        if image.device != weight.device:
            raise DataError(
                f"input {name!r} is on {image.device}, the network on {weight.device}; move "
                "one of them with .to()"
            )
        if finite:
            check_finite(image, image.new_ones((), dtype=torch.bool), f"input {name!r}")
    return {
        name: image if image.dtype == weight.dtype else image.to(weight.dtype)
        for name, image in inputs.items()
    }


def same_size(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes are known to be the same.

    Sizes that are no numbers are those of a graph, which is to hold for all: nothing is left out
    of it that some of them need.
    """
    is_static = all(isinstance(side, int) for side in (*one, *other))
    return is_static and tuple(one) == tuple(other)


class Padding(NamedTuple):
    """The size of images, and the one that they are padded to below and to the right.

    Attributes:
        size: height and width of the images.
        whole: height and width that the network takes.
        needed: whether the images may have to be padded.
    """

    size: tuple[int, int]
    whole: tuple[int, int]
    needed: bool

    @classmethod
    def of(cls, images: Mapping[str, Tensor], multiple: int) -> Padding:
        """The padding of images (B, C, H, W) for a network that takes multiples of a size."""
        height, width = next(iter(images.values())).shape[-2:]
        if multiple == 1:
            return cls((height, width), (height, width), False)
        # Quotients of positive numbers, which exported programs round alike.
        padded_size = tuple(
            (side + multiple - 1) // multiple * multiple for side in (height, width)
        )
        fits = same_size((height, width), padded_size)
        return cls((height, width), (padded_size[0], padded_size[1]), not fits)

    def padded(self, images: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The images with their last rows and columns repeated."""
        if not self.needed:
            return images
        below, right = self.whole[0] - self.size[0], self.whole[1] - self.size[1]
        return {
            name: F.pad(image, (0, right, 0, below), mode="replicate")
            for name, image in images.items()
        }

    def cut(self, predictions: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predictions of the images alone, at the size of these where they were padded."""
        if not self.needed:
            return predictions
        crops = {}
        for name, value in predictions.items():
            if not same_size(value.shape[-2:], self.whole):
                value = F.interpolate(value, self.whole, mode="bicubic", align_corners=False)
            if all(isinstance(side, int) for side in self.size):
                crop = value[..., : self.size[0], : self.size[1]]
            else:  # a view would tie the free sizes of a graph to those it is made with
                rows, columns = (torch.arange(n, device=value.device) for n in self.size)
                crop = value.index_select(-2, rows).index_select(-1, columns)
            crops[name] = crop
        return crops
