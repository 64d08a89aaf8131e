"""Rooms in the layout of Taskonomy's sample building, which ``Taskonomy`` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.formats.pictures import write_png
from cen.data.readers import taskonomy_files as stored
from cen.data.readers.taskonomy_files import SUFFIXES
from cen.data.rooms.plan import Plan, Rendered, SceneKey, in_steps

ROOMS_CURVATURE = 8.0
"""Principal curvature in 1/m that the files hold at most: balls and pipes of 12 cm."""

_SAME = ("rgb", "normal", "reshading", "principal_curvature", "edge_occlusion", "edge_texture")
_RENDERED = (*_SAME, "depth")


def write(plan: Plan) -> dict[str, Any]:
    """Writes a folder per domain, train.txt, test.txt, and a dataset.yaml that names them.

    The files are as Taskonomy's: 16-bit depth in 1/512 m with 65535 for holes, 16-bit edges, 8-bit
    normals with z away from the camera, labels with 0 for "uncertain". Depth is that of the sensor,
    with its noise and holes. Curvature is in units of ``ROOMS_CURVATURE``.
    """
    camera = plan.intrinsics(plan.scenes[0])
    plan.each(partial(_scene, plan.labels, plan.train, camera), (*_RENDERED, plan.labels))
    lists = {split: f"{split}.txt" for split in plan.counts}
    plan.write_lists(
        lists, lambda scene: f"{{domain}}/{_stem(scene, plan.train)}_domain_{{domain}}.png"
    )
    return plan.described_apart(lists=lists, axes={"normal": stored.NORMAL_AXES})


def _stem(scene: SceneKey, train: int) -> str:
    """The points of the test scenes follow those of the training scenes."""
    point = scene.number + (train if scene.split == "test" else 0)
    return f"point_{point}_view_0"


def _scene(
    labels: str,
    train: int,
    camera: NDArray[np.float64],
    root: Path,
    scene: SceneKey,
    arrays: Rendered,
) -> None:
    depth = arrays["depth"].astype(np.float64)
    grey = in_steps(255.0 * arrays["reshading"], 1.0, np.uint8)
    curvature = 1.0 + np.clip(arrays["principal_curvature"] / ROOMS_CURVATURE, -1.0, 1.0)
    files = {
        "rgb": arrays["rgb"],
        "normal": in_steps(127.5 * (arrays["normal"] + 1.0), 1.0, np.uint8),
        "reshading": cv2.merge((grey, grey, grey)),
        "depth_euclidean": _depth(depth * _stretch(depth.shape, camera)),
        "depth_zbuffer": _depth(depth),
        "principal_curvature": cv2.merge(
            (
                *cv2.split(in_steps(stored.CURVATURE * curvature, 1.0, np.uint8)),
                np.zeros_like(grey),
            )
        ),
        "segment_semantic": arrays[labels] + np.uint8(stored.FIRST),
    }
    for name, white in stored.EDGES.items():
        files[name] = in_steps(white * arrays[name], 1.0, np.uint16)
    for domain, values in files.items():
        name = f"{_stem(scene, train)}_domain_{SUFFIXES.get(domain, domain)}.png"
        write_png(root / domain / name, values)


def _depth(metres: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Metres as Taskonomy stores them; NaN is a hole."""
    steps = np.minimum(np.rint(metres * stored.STEPS), stored.MISSING_DEPTH - 1)
    return np.where(np.isnan(metres), stored.MISSING_DEPTH, steps).astype(np.uint16)


def _stretch(size: tuple[int, ...], camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance along the ray over depth along the optical axis, per pixel."""
    across = (np.arange(size[1]) - camera[0, 2]) / camera[0, 0]
    down = (np.arange(size[0]) - camera[1, 2]) / camera[1, 1]
    return np.asarray(np.sqrt(1.0 + across[None, :] ** 2 + down[:, None] ** 2))
