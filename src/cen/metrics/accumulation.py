"""Metrics of outputs: what their kind counts, summed over batches and processes."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

from torch import Tensor
from torchmetrics import Metric

from cen.arguments import whole
from cen.tasks.depth import Depth, DepthScores
from cen.tasks.edge import Edge, EdgeScores
from cen.tasks.image import Image, ImageScores, Range, image_sums
from cen.tasks.kind import Kind, Scores
from cen.tasks.normal import Normal, NormalScores
from cen.tasks.segmentation import Segmentation, SegmentationScores

ScoresT = TypeVar("ScoresT", bound=Scores)


class OutputMetric(Metric, Generic[ScoresT]):
    """Accumulates the counts of one output; its scores are read off at the end.

    Args:
        rules: the kind of the output; its `counts` are the state.
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, rules: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rules = rules
        for name, empty in rules.counts().items():
            self.add_state(name, default=empty, dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Counts one batch, of what the kind decides; see `cen.tasks.Kind.count`."""
        self._add(self.rules.count(pred, target))

    def compute(self) -> ScoresT:
        """The scores of everything counted so far, over all processes."""
        counts = {name: getattr(self, name) for name in self._defaults}
        return cast(ScoresT, self.rules.score(counts))

    def _add(self, counts: dict[str, Tensor]) -> None:
        for name, counted in counts.items():
            setattr(self, name, getattr(self, name) + counted)


class SegmentationMetric(OutputMetric[SegmentationScores]):
    """Accumulates one confusion matrix of label maps of one shape.

    Args:
        classes: number of classes C.
        ignore_index: true label that is not scored, see :func:`confusion_matrix`; None: none is.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = SegmentationMetric(classes=3)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 255]))
        >>> scores = metric.compute()
        >>> round(scores.pixel_accuracy.item(), 3), scores.iou.tolist()
        (0.667, [0.5, 0.5, nan])
    """

    higher_is_better = True

    def __init__(self, classes: int, ignore_index: int | None = 255, **kwargs: Any) -> None:
        classes = whole("classes", classes)
        # A negative label is not counted anyway.
        super().__init__(
            Segmentation(classes, -1 if ignore_index is None else ignore_index), **kwargs
        )


class DepthMetric(OutputMetric[DepthScores]):
    """Accumulates depth scores, on valid pixels only; see :func:`depth_sums`.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Depth(1), **kwargs)


class NormalMetric(OutputMetric[NormalScores]):
    """Accumulates the scores of normals, on valid pixels only; see :func:`normal_counts`.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Normal(3), **kwargs)


class EdgeMetric(OutputMetric[EdgeScores]):
    """Accumulates edge scores of probabilities, on valid pixels only; see :func:`edge_counts`.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Edge(1), **kwargs)


class ImageMetric(OutputMetric[ImageScores]):
    """Accumulates the scores of generated images.

    Args:
        limits: as for :func:`image_sums`.
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, limits: Range | None = (-1.0, 1.0), **kwargs: Any) -> None:
        super().__init__(Image(3), **kwargs)
        self.limits = limits

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Counts one batch; see :func:`image_sums`."""
        self._add({"sums": image_sums(pred, target, self.limits)})
