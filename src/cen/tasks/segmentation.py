"""Segmentation scores from one confusion matrix over the whole data set.

The released CEN code scores this way: one matrix is summed over all images and the scores are read
from it once, instead of averaging the scores of single images. Its treatment of absent classes is
kept too, and stated at :func:`segmentation_scores`.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from cen.arguments import whole
from cen.errors import DataError, ShapeError, described
from cen.metrics.common import plain_scores
from cen.pairs import check_labels, check_together


class SegmentationScores(NamedTuple):
    """Scores of one confusion matrix, as shares in 0..1, float64 on the CPU.

    Attributes:
        pixel_accuracy: share of the counted pixels that are labelled correctly; shape ().
        mean_accuracy: mean of ``accuracy`` over the classes that occur in the truth; shape ().
        mean_iou: mean of ``iou`` over the classes that occur in truth or prediction; shape ().
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


def segmentation_scores(matrix: Tensor) -> SegmentationScores:
    """Pixel accuracy, mean accuracy, mIoU and per-class values of a confusion matrix.

    A class that occurs neither in the truth nor in the prediction is absent: its IoU is nan and
    left out of the mean. A class that is predicted but never true has IoU 0, which counts, and an
    accuracy of nan, which does not. The released code and torchmetrics do the same. Scores of an
    empty matrix are nan.

    Args:
        matrix: counts of shape (C, C), row = true class, column = predicted class.

    Returns:
        The scores on the CPU (this reads the matrix back from an accelerator).

    Raises:
        ShapeError: the matrix is not square.
        DataError: it holds other things than counts.
    """
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"a confusion matrix is square (C, C), got {described(matrix)}")
    counts = matrix.detach().cpu().to(torch.float64)
    if not bool((counts >= 0).all()):
        raise DataError("a confusion matrix holds counts, but there are negative ones or NaN in it")
    hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    accuracy = hits / true  # 0 / 0 = nan marks the absent classes
    iou = hits / (true + predicted - hits)
    return SegmentationScores(
        pixel_accuracy=hits.sum() / counts.sum(),
        mean_accuracy=accuracy.nanmean(),
        mean_iou=iou.nanmean(),
        accuracy=accuracy,
        iou=iou,
        pixels=true.to(torch.int64),
    )


class SegmentationMetric(Metric):
    """Accumulates one confusion matrix over batches and processes; the scores are read at the end.

    Args:
        classes: number of classes C.
        ignore_index: true label that is not scored, see :func:`confusion_matrix`.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = SegmentationMetric(classes=3)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 255]))
        >>> scores = metric.compute()
        >>> round(scores.pixel_accuracy.item(), 3), scores.iou.tolist()
        (0.667, [0.5, 0.5, nan])
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    matrix: Tensor

    def __init__(self, classes: int, ignore_index: int | None = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = whole("classes", classes)
        self.ignore_index = ignore_index
        empty = torch.zeros(classes, classes, dtype=torch.int64)
        self.add_state("matrix", default=empty, dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count one batch of label maps of one shape; see :func:`confusion_matrix`."""
        self.matrix += confusion_matrix(pred, target, self.classes, self.ignore_index)

    def compute(self) -> SegmentationScores:
        """The scores of everything counted so far, over all processes."""
        return segmentation_scores(self.matrix)


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
