"""Filling the holes of a depth map."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Filling = Literal["nearest", "inpaint"]

# Radius of inpainting, in pixels: wide enough for a smooth continuation, and quick.
_RADIUS = 3


def fill_holes(depth: NDArray[Any], how: Filling) -> NDArray[np.float32]:
    """Depth without holes, unless nothing at all was measured.

    Args:
        depth: (H, W); what is not finite is a hole.
        how: ``"nearest"``: the value of the nearest measured pixel, which keeps edges sharp.
            ``"inpaint"``: continued from the rim inwards (A. Telea, "An Image Inpainting Technique
            Based on the Fast Marching Method", 2004, as OpenCV has it), smooth but slow for large
            holes.

    Returns:
        (H, W) float32; measured values are untouched.
    """
    values = np.asarray(depth, dtype=np.float32)
    known = np.isfinite(values)
    if known.all() or not known.any():
        return values
    nearest = _nearest(values, known)
    if how == "nearest":
        return nearest
    # Inpainting stops where a hole reaches the border of the picture; nearest values are below.
    filled = cv2.inpaint(nearest, (~known).astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA)
    filled = np.where(known, values, filled)
    return np.where(np.isfinite(filled), filled, nearest).astype(np.float32)


def _nearest(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Every hole gets the value of the measured pixel next to it (distance of OpenCV's 5 × 5)."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value_of = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    value_of[labels[known]] = values[known]
    return np.asarray(value_of[labels])
