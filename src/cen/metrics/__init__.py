"""Metrics of dense prediction: pure functions, and thin accumulating classes built on them."""

from cen.metrics.depth import DepthMetric, DepthScores, depth_scores, depth_sums
from cen.metrics.edges import EdgeMetric, EdgeScores, edge_counts, edge_scores
from cen.metrics.normals import NormalMetric, NormalScores, angles, normal_counts, normal_scores
from cen.metrics.segmentation import (
    SegmentationMetric,
    SegmentationScores,
    confusion_matrix,
    segmentation_scores,
)

__all__ = [
    "DepthMetric",
    "DepthScores",
    "EdgeMetric",
    "EdgeScores",
    "NormalMetric",
    "NormalScores",
    "SegmentationMetric",
    "SegmentationScores",
    "angles",
    "confusion_matrix",
    "depth_scores",
    "depth_sums",
    "edge_counts",
    "edge_scores",
    "normal_counts",
    "normal_scores",
    "segmentation_scores",
]
