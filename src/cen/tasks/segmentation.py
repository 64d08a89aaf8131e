"""Segmentation: one logit per class; labels (B, H, W) as ground truth.

Scores come from one confusion matrix over the whole data set. The released CEN code scores this
way: one matrix is summed over all images and the scores are read from it once, instead of averaging
the scores of single images. Its treatment of absent classes is kept too, and stated at
:func:`segmentation_scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cen.arguments import whole
from cen.errors import DataError, ShapeError, described
from cen.tasks.kind import Kind, Score, extreme, plain_scores
from cen.tasks.masks import resize
from cen.tasks.pairs import (
    check_labels,
    check_together,
    foreign_labels,
    labels_of,
    or_nan,
    values_checked,
)
from cen.tasks.segmentation_losses import LOSSES, Pixels, SegmentationLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class SegmentationScores(NamedTuple):
    """Scores of one confusion matrix, as shares in 0..1, float64 on the CPU.

    Attributes:
        pixel_accuracy: share of the counted pixels that are labelled correctly; shape ().
        mean_accuracy: mean of ``accuracy`` over the classes that occur in the truth; shape ().
        mean_iou: mean of ``iou`` over the classes that occur in truth or prediction, without one
            that is ignored; shape ().
        accuracy: per class, the share of its true pixels that were found; (C,), nan where absent.
        iou: per class, intersection over union; (C,), nan where absent.
        pixels: per class, the number of counted true pixels; (C,) int64.
    """

    pixel_accuracy: Tensor
    mean_accuracy: Tensor
    mean_iou: Tensor
    accuracy: Tensor
    iou: Tensor
    pixels: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers and lists for JSON; ``None`` stands for nan."""
        return plain_scores(self)


class Segmentation(Kind):
    """A class for every pixel."""

    name = "segmentation"
    fields = ("label",)
    labels = True
    classifies = True
    losses = tuple(LOSSES)
    scores: ClassVar[Mapping[str, Score]] = {
        "mean_iou": Score("mIoU", text="mean over classes of intersection over union"),
        "pixel_accuracy": Score("pixel acc", text="share of pixels labelled correctly"),
        "mean_accuracy": Score("mean acc", text="mean over classes of the share of pixels found"),
    }
    main_score = "mean_iou"
    headline_score = "mean_iou"

    def valid(self, target: Tensor) -> Tensor:
        """Where there is a label."""
        return target != self.ignore_index

    def loss(
        self,
        prediction: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        tally: Tensor | None = None,
    ) -> Tensor:
        """The chosen one of `cen.tasks.segmentation_losses`, at the size of the labels."""
        self.check(prediction, target)
        classes = prediction.shape[1]
        if class_weights is not None:
            class_weights = _checked_weights(class_weights, classes)
        labels, outside = labels_of(target, classes, self.ignore_index)
        logits = resize(prediction.float(), labels)
        loss = self._chosen_loss(Pixels(logits, labels, class_weights, self.ignore_index))
        return or_nan(loss, outside, target)

    def counted(self, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Labelled pixels, times their weights, or what else the chosen loss is a mean of."""
        return self._chosen_loss.counted(target, class_weights, self.ignore_index)

    @property
    def _chosen_loss(self) -> SegmentationLoss:
        return LOSSES[self.loss_name or self.losses[0]]

    def missing(self, size: Sequence[int]) -> Tensor:
        """Ignored pixels."""
        import torch

        return torch.full(tuple(size), self.ignore_index, dtype=torch.int64)

    def excess(self, target: Tensor) -> Tensor:
        """A class number that is none counts as beyond all limits."""
        outside = foreign_labels(target, self.channels, self.ignore_index)
        return extreme((target.float().abs() + 2).where(outside, 0))

    def excess_text(self, excess: float) -> str:
        """The label."""
        return f"a label of magnitude {excess - 2:.0f}, with {self.channels} classes"

    def activate(self, values: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return values.softmax(1)

    def decide(self, values: Tensor) -> Tensor:
        """Class numbers, (B, H, W)."""
        return values.argmax(1)

    def planes(self, target: Tensor) -> Tensor:
        """1 in the channel of the label's class, else 0; all 0 where ignored."""
        import torch

        classes = torch.arange(self.channels, device=target.device).view(1, -1, 1, 1)
        return (target[:, None] == classes).float()

    def counts(self) -> dict[str, Tensor]:
        """See `confusion_matrix`."""
        import torch

        return {"matrix": torch.zeros(self.channels, self.channels, dtype=torch.int64)}

    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `confusion_matrix`."""
        return {"matrix": confusion_matrix(decided, target, self.channels, self.ignore_index)}

    def score(self, counts: Mapping[str, Tensor]) -> SegmentationScores:
        """See `segmentation_scores`."""
        return segmentation_scores(counts["matrix"], self.ignore_index)

    def array(self, values: Tensor) -> NDArray[Any]:
        """(H, W) class numbers, uint8 (uint16 with more than 256 classes)."""
        return values.argmax(0).numpy().astype("uint8" if self.channels <= 256 else "uint16")

    def truth(self, target: Tensor) -> NDArray[Any]:
        """(H, W) class numbers, the greatest of their type where ignored, though a class may be."""
        import numpy as np

        narrow = self.channels <= 255 and self.ignore_index <= 255
        stored = target.numpy()
        labels = stored.astype("uint8" if narrow else "uint16")
        if 0 <= self.ignore_index < self.channels:
            labels[stored == self.ignore_index] = np.iinfo(labels.dtype).max
        return labels

    @classmethod
    def expected(cls, array: NDArray[Any]) -> str | None:
        """(H, W) class numbers."""
        if array.ndim != 2:
            return "(H, W)"
        return None if array.dtype.kind in "iu" else "whole numbers"


def _checked_weights(weights: Tensor, classes: int) -> Tensor:
    """Class weights as float32."""
    from torch import Tensor

    if not isinstance(weights, Tensor) or weights.shape != (classes,):
        raise ShapeError(f"class weights are a tensor ({classes},), got {described(weights)}")
    weights = weights.float()
    if values_checked(weights) and not bool((weights.isfinite() & (weights >= 0)).all()):
        raise DataError(f"class weights are finite and not negative, got {weights.tolist()}")
    return weights


def confusion_matrix(
    pred: Tensor, target: Tensor, classes: int, ignore_index: int | None = 255
) -> Tensor:
    """Count how often each true class was given each label.

    Nothing is read back to the host for tensors on an accelerator. A pixel is left out when its
    *target* is ``ignore_index``, is ``>= classes`` or is negative: the released code ignores ground
    truth beyond the last class in the same way. The prediction of such a pixel may be anything.

    Args:
        pred: predicted classes, integers in 0..classes-1, any shape.
        target: true classes, integers, same shape and device as ``pred``.
        classes: number of classes C, at least 1.
        ignore_index: label of pixels that are not scored, or ``None`` if there is none.

    Returns:
        int64 matrix of shape (C, C), row = true class, column = predicted class.

    Raises:
        ShapeError: the two shapes differ.
        ConfigError: ``classes`` is no whole number of at least 1.
        DataError: a tensor does not hold integers, or (checked on the CPU only, because the check
            needs the values; an accelerator stops with an index assertion instead) a counted
            prediction is outside the classes.
    """
    import torch

    _check(pred, target, classes)
    pred, target = pred.flatten().long(), target.flatten().long()
    counted = (target >= 0) & (target < classes)
    if ignore_index is not None:
        counted &= target != ignore_index
    outside = counted & ((pred < 0) | (pred >= classes))
    if pred.device.type == "cpu" and bool(outside.any()):
        wrong = int(pred[outside][0])
        raise DataError(
            f"prediction holds the label {wrong}, but there are {classes} classes "
            f"(0..{classes - 1}); pass the argmax over the {classes} class scores"
        )
    cells = classes * classes
    index = torch.where(counted, target * classes + pred, cells)  # one spare cell for the rest
    index = torch.where(outside, cells + 1, index)  # beyond the spare cell: refused by scatter
    counts = torch.zeros(cells + 1, dtype=torch.int64, device=pred.device)
    # bincount would do, but on CUDA it reads the largest index back to the host.
    counts.scatter_add_(0, index, torch.ones_like(index))
    return counts[:cells].view(classes, classes)


def segmentation_scores(matrix: Tensor, ignore_index: int | None = None) -> SegmentationScores:
    """Pixel accuracy, mean accuracy, mIoU and per-class values of a confusion matrix.

    A class that occurs neither in the truth nor in the prediction is absent: its IoU is nan and
    left out of the mean. A class that is predicted but never true has IoU 0, which counts, and an
    accuracy of nan, which does not. The released code and torchmetrics do the same. A class that is
    ignored (0 for pixels that nobody knows) has an IoU of nan, as in torchmetrics: where it is
    predicted, the true class alone is missed. Scores of an empty matrix are nan.

    Args:
        matrix: counts of shape (C, C), row = true class, column = predicted class.
        ignore_index: label that was not scored, which may be one of the classes; None: none was.

    Returns:
        The scores on the CPU (this reads the matrix back from an accelerator).

    Raises:
        ShapeError: the matrix is not square.
        DataError: it holds other things than counts.
    """
    from torch import Tensor

    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"a confusion matrix is square (C, C), got {described(matrix)}")
    counts = matrix.detach().cpu().double()
    if not bool((counts >= 0).all()):
        raise DataError("a confusion matrix holds counts, but there are negative ones or NaN in it")
    hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    accuracy = hits / true  # 0 / 0 = nan marks the absent classes
    iou = hits / (true + predicted - hits)
    if ignore_index is not None and 0 <= ignore_index < len(iou):
        iou[ignore_index] = float("nan")
    return SegmentationScores(
        pixel_accuracy=hits.sum() / counts.sum(),
        mean_accuracy=accuracy.nanmean(),
        mean_iou=iou.nanmean(),
        accuracy=accuracy,
        iou=iou,
        pixels=true.long(),
    )


def _check(pred: Tensor, target: Tensor, classes: int) -> None:
    """Refuse what would be miscounted silently; looks at shapes and types only."""
    check_together(pred, target)
    if pred.shape != target.shape:
        raise ShapeError(
            f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape; "
            "both are label maps (take the argmax of the logits at the size of the labels)"
        )
    whole("classes", classes)
    check_labels(pred, "prediction")
    check_labels(target, "target")
