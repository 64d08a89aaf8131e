"""Every domain of Rooms for one scene, from one set of rays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.rooms.domains import DOMAINS
from cen.data.rooms.picture import Picture
from cen.data.rooms.raycast import camera_of
from cen.data.rooms.scene import sample_scene

MIN_SIZE = 16

# Number of the first scene of each split; far enough apart that the splits never meet.
SPLITS = {"train": 0, "validation": 2**30, "test": 2**31}

# What a random generator is for: keeps the random numbers of one scene apart.
_SCENE, _SENSOR = 0, 1


def render_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (96, 128),
    domains: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Renders scene ``index`` of the endless sequence that ``seed`` starts.

    The result depends on the arguments alone: not on the process, nor on which domains or scenes
    were rendered before. The scene does not depend on ``size``; only the sensor noise does.

    Args:
        seed: which sequence of scenes, >= 0.
        index: which scene of it, >= 0.
        size: height and width in pixels, each at least 16.
        domains: which of ``DOMAINS`` to return; all of them by default.

    Returns:
        (H, W) arrays, with channels last where there are several:

        - ``rgb`` (3) uint8, sRGB-like, with sensor noise;
        - ``depth`` float32 metres along the optical axis, with noise, in mm steps, NaN in holes;
        - ``depth_clean`` float32, the same without noise and holes;
        - ``normal`` (3) float32 unit vectors towards the camera (x right, y down, z forward);
        - ``reshading`` float32 0..1: how bright a white scene would be under its lamp;
        - ``albedo`` (3) uint8: colour without light, prints included;
        - ``edge_texture`` float32 0..1: edges of the noise-free picture;
        - ``edge_occlusion`` float32 0..1: jumps in depth, 1 from a tenth of the distance upwards;
        - ``principal_curvature`` (2) float32 in 1/m, larger first, exact;
        - ``parts``, ``functions`` uint8 labels.

    Raises:
        ValueError: a negative seed or index, a size below 16, an unknown domain.
    """
    requested_domains = set(DOMAINS if domains is None else domains)
    if unknown := requested_domains - set(DOMAINS):
        raise ValueError(f"no domain {sorted(unknown)[0]!r}; Rooms has {', '.join(DOMAINS)}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got {seed} and {index}")
    if min(size) < MIN_SIZE:
        raise ValueError(f"pictures are at least {MIN_SIZE} x {MIN_SIZE} pixels, got {size}")
    scene = sample_scene(np.random.default_rng([seed, index, _SCENE]))
    picture = Picture(scene, camera_of(scene, size))
    colour, distance = np.random.default_rng([seed, index, _SENSOR]).spawn(2)
    return {
        name: domain(picture, distance if name == "depth" else colour)
        for name, domain in DOMAINS.items()
        if name in requested_domains
    }


def scene_index(split: str, number: int) -> int:
    """Index, for `render_scene`, of the ``number``-th scene of a split.

    Raises:
        ValueError: no such split, or a number that would reach the next split.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if not 0 <= number < 2**30:
        raise ValueError(f"scene {number} is outside 0..{2**30 - 1}")
    return SPLITS[split] + number
