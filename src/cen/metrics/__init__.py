"""Metrics of dense prediction: classes that accumulate what `cen.tasks` counts, and distances."""

from cen.metrics.accumulation import (
    DepthMetric,
    EdgeMetric,
    ImageMetric,
    NormalMetric,
    OutputMetric,
    SegmentationMetric,
)
from cen.metrics.features import Features, load_features
from cen.metrics.frechet import (
    DistanceScores,
    ImageDistance,
    frechet_distance,
    kernel_distance,
    score_names,
    to_bytes,
)
from cen.tasks.depth import DepthScores, depth_scores, depth_sums
from cen.tasks.edge import EdgeScores, edge_counts, edge_scores
from cen.tasks.image import ImageScores, image_scores, image_sums
from cen.tasks.normal import NormalScores, angles, normal_counts, normal_scores
from cen.tasks.segmentation import SegmentationScores, confusion_matrix, segmentation_scores

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
    "OutputMetric",
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
