"""Metrics of dense prediction: pure functions, and thin accumulating classes built on them."""

from cen.metrics.segmentation import (
    SegmentationMetric,
    SegmentationScores,
    confusion_matrix,
    segmentation_scores,
)

__all__ = [
    "SegmentationMetric",
    "SegmentationScores",
    "confusion_matrix",
    "segmentation_scores",
]
