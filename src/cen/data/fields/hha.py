"""HHA: horizontal disparity, height above ground, angle with gravity.

S. Gupta, R. Girshick, P. Arbelaez, J. Malik, "Learning Rich Features from RGB-D Images for Object
Detection and Segmentation", ECCV 2014. The direction of gravity is estimated as in S. Gupta,
P. Arbelaez, J. Malik, CVPR 2013: the direction to which most surfaces are parallel or at right
angles, starting from the camera's own. Scales and constants are those of the tool published with
these papers; what is this project's own choice says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import Matrix, normals_from_depth, rays, unit_length
from cen.data.fields.holes import fill_holes

# Radius of the windows of the normals, for pictures of 480 rows: small ones for the angle, large
# and so less noisy ones for gravity. Other sizes have them in proportion (this project's choice).
_FINE, _COARSE, _ROWS = 3, 10, 480
# Rounds of (degrees, iterations): how close to an axis a surface must be to count.
_ROUNDS = ((45.0, 5), (15.0, 5))
# Disparity is 310 / z for z in metres, of at least 1 m; the angle is stored plus 38.
_DISPARITY, _NEAREST, _SLACK = 310.0, 1.0, 128.0 - 90.0
# Where nothing is seen 0.9 m below the camera there is no floor: the camera is 1.3 m above one.
_NO_FLOOR, _CAMERA = 0.9, 1.3
_VOTES = 10_000
# The lowest point counts as the floor in the tool; a percentile spares it single wrong pixels
# (this project's choice).
_FLOOR_PERCENTILE = 0.5


def hha(depth: NDArray[Any], intrinsics: Matrix) -> NDArray[np.float32]:
    """The HHA picture of a depth map.

    Holes are filled with the nearest measured depth first, so nothing that comes out is NaN; of a
    picture without any depth all is 0.

    Args:
        depth: (H, W) float, metres; NaN, infinity and values <= 0 are missing.
        intrinsics: (3, 3), in pixels.

    Returns:
        (H, W, 3) float32 in 0..255, not rounded: disparity 310 / max(z, 1), height above the floor
        in centimetres (up to 2.55 m), and the angle in degrees between the surface and the
        direction of gravity + 38 (38: floor, 128: wall, 218: ceiling).
    """
    measured = np.where(np.nan_to_num(depth) > 0, depth, np.nan)
    filled = fill_holes(measured, "nearest").astype(np.float64)
    if not np.isfinite(filled).all():
        return np.zeros((*depth.shape, 3), dtype=np.float32)
    fine, coarse = (max(1, round(r * min(depth.shape) / _ROWS)) for r in (_FINE, _COARSE))
    down = gravity(normals_from_depth(filled, intrinsics, coarse))
    # The tool turns normals away from the camera: on a floor they point down, along gravity.
    outward = -normals_from_depth(filled, intrinsics, fine).astype(np.float64)
    # No plane fits where hardly anything was seen; there, the surface faces the camera.
    sight = rays(intrinsics, (depth.shape[0], depth.shape[1]))
    unknown = np.isnan(outward[..., 0])
    outward[unknown] = unit_length(sight[unknown][None])[0]
    angle = np.degrees(np.arccos(np.clip(outward @ down, -1.0, 1.0)))
    height = -(sight * filled[..., None]) @ down
    floor = float(np.percentile(height, _FLOOR_PERCENTILE))
    height = height - (floor if floor <= -_NO_FLOOR else -_CAMERA)
    planes = (_DISPARITY / np.maximum(filled, _NEAREST), 100.0 * height, angle + _SLACK)
    return np.clip(np.stack(planes, axis=-1), 0.0, 255.0).astype(np.float32)


def gravity(normals: NDArray[Any]) -> NDArray[np.float64]:
    """Estimates the direction of gravity in the camera's axes.

    Returns:
        (3,) unit vector that points down; (0, 1, 0), the camera's own down, where no surface
        says anything.
    """
    # Every k-th row and column: ten thousand surfaces vote as well as all of them.
    step = max(1, int(np.sqrt(normals.shape[0] * normals.shape[1] / _VOTES)))
    voting = normals[::step, ::step]
    measured = np.asarray(voting[np.isfinite(voting).all(axis=2)], dtype=np.float64)
    down = np.array((0.0, 1.0, 0.0))
    for degrees, iterations in _ROUNDS:
        threshold = np.radians(degrees)
        for _ in range(iterations):
            along = np.abs(measured @ down)
            level = measured[along > np.cos(threshold)]
            upright = measured[along < np.sin(threshold)]
            if not len(level) and not len(upright):
                return down
            # Small where the direction lies in the upright surfaces and along the level ones.
            cost = upright.T @ upright - level.T @ level
            direction = np.linalg.eigh(cost)[1][:, 0]
            down = direction if direction @ down >= 0 else -direction
    return np.asarray(down)


# The pages of 0.1.0 called it cen.data.hha.hha: the function has the place of its former module.
vars(hha)["hha"] = hha
