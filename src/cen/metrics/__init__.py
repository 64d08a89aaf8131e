"""Metrics of dense prediction: pure functions, and thin accumulating classes built on them."""

from cen.metrics.depth import DepthMetric, DepthScores, depth_scores, depth_sums
from cen.metrics.edges import EdgeMetric, EdgeScores, edge_counts, edge_scores
from cen.metrics.features import Features, load_features
from cen.metrics.frechet import (
    DistanceScores,
    ImageDistance,
    frechet_distance,
    kernel_distance,
    score_names,
    to_bytes,
)
from cen.metrics.image import ImageMetric, ImageScores, image_scores, image_sums
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
    "DistanceScores",
    "EdgeMetric",
    "EdgeScores",
    "Features",
    "ImageDistance",
    "ImageMetric",
    "ImageScores",
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
    "frechet_distance",
    "image_scores",
    "image_sums",
    "kernel_distance",
    "load_features",
    "normal_counts",
    "normal_scores",
    "score_names",
    "segmentation_scores",
    "to_bytes",
]
