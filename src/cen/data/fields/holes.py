"""Filling the holes of a depth map."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Filling = Literal["nearest", "inpaint"]

# Radius of inpainting in pixels. With 1 a slope is continued exactly; more blurs it.
_RADIUS = 1


def fill_holes(depth: NDArray[Any], how: Filling) -> NDArray[np.float32]:
    """Depth without holes, unless nothing at all was measured.

    Args:
        depth: (H, W); what is not finite is a hole.
        how: ``"nearest"``: the value of the nearest measured pixel, which keeps edges sharp.
            ``"inpaint"``: continued from the rim inwards (M. Bertalmio, A. Bertozzi, G. Sapiro,
            "Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting", CVPR 2001, as OpenCV
            has it), smooth, and not beyond the nearest and farthest that was measured.

    Returns:
        (H, W) float32; measured values are untouched.
    """
    values = np.asarray(depth, dtype=np.float32)
    measured = np.isfinite(values)
    if measured.all() or not measured.any():
        return values
    nearest = _nearest(values, measured)
    if how == "nearest":
        return nearest
    # OpenCV's other method (Telea) makes noise of 32-bit floats.
    filled = cv2.inpaint(nearest, (~measured).astype(np.uint8), _RADIUS, cv2.INPAINT_NS)
    filled = np.clip(filled, values[measured].min(), values[measured].max())
    filled = np.where(np.isfinite(filled), filled, nearest)
    return np.where(measured, values, filled).astype(np.float32)


def _nearest(values: NDArray[np.float32], measured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Every hole gets the value of the measured pixel next to it (distance of OpenCV's 5 × 5)."""
    _, labels = cv2.distanceTransformWithLabels(
        (~measured).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value_of = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    value_of[labels[measured]] = values[measured]
    return np.asarray(value_of[labels])
