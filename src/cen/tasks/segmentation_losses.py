"""Losses of segmentation by name; each is a mean over what it counts of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Pixels(NamedTuple):
    """Labelled pixels, and what is predicted of them.

    Attributes:
        logits: (B, C, H, W) float32, at the size of the labels.
        labels: (B, H, W) int64 classes, or ``ignore_index`` where they do not count.
        weight: (C,) class weights, or None.
        ignore_index: label of pixels that do not count.
    """

    logits: Tensor
    labels: Tensor
    weight: Tensor | None
    ignore_index: int

    @property
    def losses(self) -> Tensor:
        """The cross-entropy of each, (B, H, W); 0 where it is not labelled."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(
            self.logits, self.labels, ignore_index=self.ignore_index, reduction="none"
        )

    @property
    def weights(self) -> Tensor:
        """The weight of each one's class, (B, H, W); 0 where it is not labelled, else 1 without."""
        return pixel_weights(self.labels, self.weight, self.ignore_index)


class SegmentationLoss(ABC):
    """A loss of labelled pixels.

    It is a mean over pixels or images of which `counted` says how many a batch has, so that the
    mean over the processes of a step can be weighed to that of the whole step.
    """

    @abstractmethod
    def __call__(self, pixels: Pixels) -> Tensor:
        """The loss of a batch, a scalar; 0 (with zero gradients) where no pixel is labelled."""

    def counted(self, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
        """What the loss of a batch is a mean of, a scalar: labelled pixels times their weights."""
        return pixel_weights(labels, weight, ignore_index).sum().float()


class CrossEntropy(SegmentationLoss):
    """Cross-entropy: the mean over pixels, weighted with the weights of their classes.

    With smoothing ε a pixel's target is 1 − ε for its class and ε / C for every class (C. Szegedy
    et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016); each class's
    part is weighted with that class's weight, as PyTorch does.

    Args:
        smoothing: ε.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    def __call__(self, pixels: Pixels) -> Tensor:
        """See `SegmentationLoss`."""
        from torch.nn.functional import cross_entropy

        total = cross_entropy(
            pixels.logits,
            pixels.labels,
            pixels.weight,
            ignore_index=pixels.ignore_index,
            reduction="sum",
            label_smoothing=self.smoothing,
        )
        return total / at_least_tiny(pixels.weights.sum())


class Focal(SegmentationLoss):
    """Cross-entropy of a pixel times (1 − p)^γ, p the probability of its class: easy ones fade.

    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, for many classes: their α
    is the class weight, and the mean is weighted with it.

    Args:
        gamma: γ; the paper's 2.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        self.gamma = gamma

    def __call__(self, pixels: Pixels) -> Tensor:
        """See `SegmentationLoss`."""
        losses, weights = pixels.losses, pixels.weights
        total = (weights * (1 - (-losses).exp()) ** self.gamma * losses).sum()
        return total / at_least_tiny(weights.sum())


class OnlineHardExamples(SegmentationLoss):
    """Cross-entropy over the hardest fifth of the labelled pixels of every image (OHEM).

    A. Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example Mining",
    CVPR 2016; pixels by Z. Wu et al., "Bridging Category-level and Instance-level Semantic Image
    Segmentation", 2016. Class weights multiply a pixel's loss before the hardest are chosen; the
    mean is over the number of chosen pixels.

    Args:
        fraction: one of how many pixels is chosen, rounded up.
    """

    def __init__(self, fraction: int = 5) -> None:
        self.fraction = fraction

    def __call__(self, pixels: Pixels) -> Tensor:
        """See `SegmentationLoss`."""
        import torch

        losses = (pixels.losses * pixels.weights).flatten(1)
        labelled = (pixels.labels != pixels.ignore_index).flatten(1)
        count = self._chosen(labelled)[:, None]
        hardness = losses.detach().where(labelled, -1)
        order = hardness.argsort(dim=1, descending=True, stable=True)
        first = torch.arange(losses.shape[1], device=losses.device) < count
        chosen = torch.zeros_like(first).scatter(1, order, first)
        return (losses * chosen).sum() / count.sum().clamp(min=1)

    def counted(self, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
        """Pixels that are chosen."""
        return self._chosen((labels != ignore_index).flatten(1)).sum().float()

    def _chosen(self, labelled: Tensor) -> Tensor:
        return (labelled.sum(1) + self.fraction - 1) // self.fraction


class MeanOverImages(SegmentationLoss):
    """A loss of every class that an image shows: their mean over classes, then over images.

    Class weights weigh the mean over classes. Images without any label do not count. Taken image by
    image, and not over the batch, the loss of a batch does not depend on how it is dealt out.
    """

    def __call__(self, pixels: Pixels) -> Tensor:
        """See `SegmentationLoss`."""
        import torch

        logits, labels, weight, ignore_index = pixels
        valid = (labels != ignore_index).flatten(1)[:, None]
        classes = torch.arange(logits.shape[1], device=labels.device)[:, None]
        truth = (labels.flatten(1)[:, None] == classes) & valid
        losses = self.of_classes(logits.flatten(2).softmax(1), truth, valid)
        weights = truth.any(2) * (1.0 if weight is None else weight)
        per_image = (losses * weights).sum(1) / at_least_tiny(weights.sum(1))
        return per_image.sum() / valid.any(2).sum().clamp(min=1)

    def counted(self, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
        """Images with a label."""
        return (labels != ignore_index).flatten(1).any(1).sum().float()

    @abstractmethod
    def of_classes(self, probabilities: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """The loss of every class in every image, (B, C).

        Args:
            probabilities: (B, C, N) of the N pixels of an image.
            truth: (B, C, N) bool, whether a pixel is of the class.
            valid: (B, 1, N) bool, whether it is labelled.
        """


class Dice(MeanOverImages):
    """1 − Dice: twice the probability on a class's pixels by what is said and what is there.

    F. Milletari et al., "V-Net", 3DV 2016, without squares in the denominator (C. Sudre et al.,
    "Generalised Dice overlap", DLMIA 2017, equation 1).
    """

    def of_classes(self, probabilities: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """See `MeanOverImages`."""
        overlap = (probabilities * truth).sum(2)
        total = (probabilities * valid).sum(2) + truth.sum(2)
        return 1 - 2 * overlap / at_least_tiny(total)


class Lovasz(MeanOverImages):
    """Lovász-Softmax: the extension of 1 − IoU of a class to probabilities.

    M. Berman et al., "The Lovász-Softmax Loss", CVPR 2018: with the errors of a class's pixels in
    falling order, each is weighted with what its pixel adds to 1 − IoU if it and all before it are
    wrong (their equations 8 and 9; classes that are present, image by image).
    """

    def of_classes(self, probabilities: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """See `MeanOverImages`."""
        errors = (truth.float() - probabilities).abs()
        # Pixels that do not count come last, where they change no other's weight.
        order = errors.detach().where(valid, -1).argsort(dim=2, descending=True, stable=True)
        present = truth.gather(2, order).long()
        true = present.sum(2, keepdim=True)
        # Whole numbers, whose running sum is exact and the same on every device.
        missed, added = present.cumsum(2), (1 - present).cumsum(2)
        loss = 1 - (true - missed) / (true + added)
        steps = loss.diff(dim=2, prepend=loss.new_zeros(*loss.shape[:2], 1))
        weights = steps.new_zeros(steps.shape).scatter(2, order, steps)
        return (errors * weights).where(valid, 0).sum(2)


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


LOSSES: Mapping[str, SegmentationLoss] = {
    "cross_entropy": CrossEntropy(),
    "label_smoothing": CrossEntropy(smoothing=0.1),
    "focal": Focal(),
    "ohem": OnlineHardExamples(),
    "dice": Dice(),
    "lovasz": Lovasz(),
}
"""Every loss of segmentation by its name in configurations; the first is the default."""
