"""The domains of Rooms: one function each, from a picture and the sensor's noise to an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.rooms.labels import BACKGROUND, function_label, part_label
from cen.data.rooms.picture import Picture
from cen.data.rooms.raycast import Floats

Domain = Callable[[Picture, np.random.Generator], NDArray[Any]]

_GAMMA = 1.0 / 2.2
_READ_NOISE, _SHOT_NOISE = 0.006, 0.03


def _rgb(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    linear = picture.linear
    sigma = _READ_NOISE + _SHOT_NOISE * np.sqrt(np.maximum(linear, 0.0))
    return _encode(linear + rng.standard_normal(linear.shape) * sigma, picture)


def _albedo(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    return _encode(picture.albedo, picture)


def _encode(linear: Floats, picture: Picture) -> NDArray[np.uint8]:
    """(3, n) linear light as an (H, W, 3) picture."""
    encoded = np.clip(linear, 0.0, 1.0) ** _GAMMA * 255.0
    pixels = np.rint(encoded).astype(np.uint8).T
    return np.ascontiguousarray(pixels.reshape(*picture.camera.size, 3))


def _depth(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    """Depth as a sensor would give it; nothing here knows of colours and materials."""
    seen, size = picture.seen, picture.camera.size
    # First, so that it does not depend on how many pixels there are.
    patches = cv2.resize(rng.random((6, 8)), size[::-1], interpolation=cv2.INTER_CUBIC)
    noise = rng.standard_normal(size)
    chance = rng.random(size)
    depth = np.rint(1000.0 * (seen.depth + noise * (0.003 + 0.0015 * seen.depth**2))) / 1000.0
    cosine = np.einsum("ihw,ihw->hw", seen.normal, picture.directions)
    cosine /= -np.sqrt(np.einsum("ihw,ihw->hw", picture.directions, picture.directions))
    hole = (chance < 0.005) | ((_jump(seen.depth) > 0.05) & (chance < 0.4))
    hole |= (cosine < 0.15) & (chance < 0.5)
    hole |= patches > 0.97
    return np.where(hole, np.nan, np.maximum(depth, 0.001)).astype(np.float32)


def _depth_clean(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    return picture.seen.depth.astype(np.float32)


def _normal(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    turned = np.einsum("ij,ihw->hwj", picture.camera.rotation, picture.seen.normal)
    return np.asarray(turned, dtype=np.float32)


def _reshading(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    light = picture.light.reshape(picture.camera.size)
    return np.clip(light / 2.0, 0.0, 1.0).astype(np.float32)


def _edge_texture(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sobel edges of the picture as it is without noise."""
    rgb = _encode(picture.linear, picture)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.clip(np.hypot(across, down) / 2.0, 0.0, 1.0).astype(np.float32)


def _edge_occlusion(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    return np.clip(10.0 * _jump(picture.seen.depth), 0.0, 1.0).astype(np.float32)


def _jump(depth: Floats) -> Floats:
    """How far depth jumps at each pixel, relative to it.

    Inverse depth is linear in the picture on any plane, so its second difference is 0 there,
    however steeply the plane recedes, and only borders between surfaces are left.
    """
    inverse = 1.0 / depth
    jump = np.zeros_like(inverse)
    across = np.abs(inverse[:, 2:] - 2.0 * inverse[:, 1:-1] + inverse[:, :-2])
    down = np.abs(inverse[2:] - 2.0 * inverse[1:-1] + inverse[:-2])
    jump[:, 1:-1] = across
    jump[1:-1] = np.maximum(jump[1:-1], down)
    return jump * depth


def _principal_curvature(picture: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    return np.moveaxis(picture.seen.curvature, 0, -1).astype(np.float32)


def _labels(
    label: Callable[[int, int], int], picture: Picture, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Labels of what is seen: the background classes, then what ``label`` says of each object."""
    objects = [label(solid.shape, solid.material) for solid in picture.scene.objects]
    by_surface = np.array([*range(len(BACKGROUND)), *objects], dtype=np.uint8)
    return np.asarray(by_surface[picture.seen.surface])


DOMAINS: dict[str, Domain] = {
    "rgb": _rgb,
    "depth": _depth,
    "depth_clean": _depth_clean,
    "normal": _normal,
    "reshading": _reshading,
    "albedo": _albedo,
    "edge_texture": _edge_texture,
    "edge_occlusion": _edge_occlusion,
    "principal_curvature": _principal_curvature,
    "parts": partial(_labels, part_label),
    "functions": partial(_labels, function_label),
}
