"""Losses of segmentation by name; each is a mean over what it counts of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class SegmentationLoss(ABC):
    """A loss of logits at the size of the labels.

    It is a mean over pixels or images of which `counted` says how many a batch has, so that the
    mean over the processes of a step can be weighed to that of the whole step.
    """

    @abstractmethod
    def __call__(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        """The loss of a batch, a scalar; 0 (with zero gradients) where no pixel is labelled.

        Args:
            logits: (B, C, H, W) float32.
            labels: (B, H, W) int64 classes, or ``ignore_index`` where they do not count.
            weight: (C,) class weights, or None.
            ignore_index: label of pixels that do not count.
        """

    def counted(self, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
        """What the loss of a batch is a mean of, a scalar: labelled pixels times their weights."""
        return pixel_weights(labels, weight, ignore_index).sum().float()


class CrossEntropy(SegmentationLoss):
    """Cross-entropy; with class weights, which multiply a pixel's loss, their weighted mean."""

    def __call__(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        """See `SegmentationLoss`."""
        from torch.nn.functional import cross_entropy

        total = cross_entropy(logits, labels, weight, ignore_index=ignore_index, reduction="sum")
        return total / at_least_tiny(pixel_weights(labels, weight, ignore_index).sum())


def pixel_weights(labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """The weight of each pixel's class, (B, H, W); 0 where it is not labelled, else 1 without."""
    valid = labels != ignore_index
    return valid if weight is None else weight[labels.where(valid, 0)] * valid


def at_least_tiny(total: Tensor) -> Tensor:
    """A number of pixels, or of weights, to divide by: 0 becomes something harmless."""
    import torch

    if not total.is_floating_point():
        return total.clamp(min=1)
    return total.clamp(min=torch.finfo(total.dtype).tiny)


LOSSES = {"cross_entropy": CrossEntropy()}
"""Every loss of segmentation by its name in configurations; the first is the default."""
