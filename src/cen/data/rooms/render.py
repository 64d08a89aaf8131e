"""Pictures of a scene: every domain of Rooms from one set of rays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.rooms.labels import BACKGROUND, background_and, function_label, part_label
from cen.data.rooms.materials import object_albedo, room_albedo
from cen.data.rooms.raycast import Camera, Floats, Hits, camera_of, cast, lit
from cen.data.rooms.scene import Scene, sample_scene

DOMAINS = (
    "rgb",
    "depth",
    "depth_clean",
    "normal",
    "reshading",
    "albedo",
    "edge_texture",
    "edge_occlusion",
    "principal_curvature",
    "parts",
    "functions",
)
MIN_SIZE = 16

_GAMMA = 1.0 / 2.2
_READ_NOISE, _SHOT_NOISE = 0.006, 0.03
_SCENE, _SENSOR = 0, 1  # what a random generator is for


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
        - ``depth`` float32 metres along the optical axis, with noise, in whole millimetres, NaN in
          holes; ``depth_clean`` float32, the same without noise and holes;
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
    wanted = set(DOMAINS if domains is None else domains)
    if unknown := wanted - set(DOMAINS):
        raise ValueError(f"no domain {sorted(unknown)[0]!r}; Rooms has {', '.join(DOMAINS)}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got {seed} and {index}")
    if min(size) < MIN_SIZE:
        raise ValueError(f"pictures are at least {MIN_SIZE} x {MIN_SIZE} pixels, got {size}")
    scene = sample_scene(np.random.default_rng([seed, index, _SCENE]))
    picture = _Picture(scene, camera_of(scene, size))
    rng = np.random.default_rng([seed, index, _SENSOR])
    rgb_rng, depth_rng = rng.spawn(2)
    found: dict[str, NDArray[Any]] = {}
    for name in DOMAINS:
        if name in wanted:
            found[name] = _domain(picture, name, depth_rng if name == "depth" else rgb_rng)
    return found


class _Picture:
    """A scene seen by a camera, with what several domains share worked out once."""

    def __init__(self, scene: Scene, camera: Camera) -> None:
        self.scene, self.camera = scene, camera
        self.directions = camera.directions()
        self.seen, self.painted = cast(scene, camera, self.directions)
        self._light: Floats | None = None
        self._albedo: Floats | None = None

    def points(self, depth: Floats) -> Floats:
        """(3, n) world points of all pixels."""
        return (self.directions * depth).reshape(3, -1)

    @property
    def light(self) -> Floats:
        """(n,) light that falls on every pixel's surface: the lamp with shadows, and the room's."""
        if self._light is None:
            points, surface = self.points(self.seen.depth), self.seen.surface.ravel()
            direct = _lamp(self.scene, points, self.seen.normal.reshape(3, -1))
            facing = np.flatnonzero(direct > 0.0)
            shaded = facing[~lit(self.scene, points[:, facing], surface[facing])]
            direct[shaded] = 0.0
            self._light = direct + self.scene.ambient
        return self._light

    @property
    def albedo(self) -> Floats:
        """(3, n) linear reflectance; a print carries the light and shade painted into it."""
        if self._albedo is None:
            self._albedo = self._reflectance()
        return self._albedo

    def _reflectance(self) -> Floats:
        surface = self.painted.surface.ravel()
        points = self.points(self.seen.depth)
        albedo = room_albedo(self.scene, points, surface)
        for number, solid in enumerate(self.scene.solids, start=len(BACKGROUND)):
            here = np.flatnonzero(surface == number)
            if here.size == 0:
                continue
            if not solid.printed:
                albedo[:, here] = object_albedo(solid, points[:, here])
                continue
            where = _take(self.directions, here) * self.painted.depth.ravel()[here]
            shade = _lamp(self.scene, where, _take(self.painted.normal, here)) + self.scene.ambient
            # Brightness relative to the paper it is printed on, which the same lamp lights.
            shade /= np.maximum(self.light[here].mean(), 1e-3)
            albedo[:, here] = object_albedo(solid, where) * shade
        return np.clip(albedo, 0.0, 1.0)

    def linear(self) -> Floats:
        """(3, n) light that reaches the camera."""
        tint = np.array(self.scene.tint)[:, None] * self.scene.exposure
        return np.asarray(self.albedo * self.light * tint)


def _take(image: Floats, pixels: NDArray[np.intp]) -> Floats:
    return image.reshape(3, -1)[:, pixels]


def _lamp(scene: Scene, points: Floats, normal: Floats) -> Floats:
    """(n,) light from the lamp, without shadows: Lambert's cosine and a soft fall-off."""
    towards = np.array(scene.lamp)[:, None] - points
    squared = np.einsum("in,in->n", towards, towards)
    cosine = np.einsum("in,in->n", towards, normal) / np.sqrt(squared)
    return np.asarray(np.maximum(cosine, 0.0) * (1.6 / (0.6 + squared / 6.0)))


def _domain(picture: _Picture, name: str, rng: np.random.Generator) -> NDArray[Any]:
    size = picture.camera.size
    seen = picture.seen
    if name == "rgb":
        linear = picture.linear()
        noise = rng.standard_normal(linear.shape) * (
            _READ_NOISE + _SHOT_NOISE * np.sqrt(np.maximum(linear, 0.0))
        )
        return _encode(linear + noise, size)
    if name == "depth":
        return _sensed_depth(picture, rng)
    if name == "depth_clean":
        return seen.depth.astype(np.float32)
    if name == "normal":
        turned = np.einsum("ij,ihw->hwj", picture.camera.rotation, seen.normal)
        return np.asarray(turned, dtype=np.float32)
    if name == "reshading":
        return np.clip(picture.light.reshape(size) / 2.0, 0.0, 1.0).astype(np.float32)
    if name == "albedo":
        return _encode(picture.albedo, size)
    if name == "edge_texture":
        return _texture_edges(_encode(picture.linear(), size))
    if name == "edge_occlusion":
        return np.clip(10.0 * _jump(seen.depth), 0.0, 1.0).astype(np.float32)
    if name == "principal_curvature":
        return np.moveaxis(seen.curvature, 0, -1).astype(np.float32)
    label = part_label if name == "parts" else function_label
    table = background_and([label(solid.shape, solid.material) for solid in picture.scene.objects])
    return np.asarray(table[seen.surface])


def _encode(linear: Floats, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(3, n) linear light as an (H, W, 3) picture."""
    encoded = np.clip(linear, 0.0, 1.0) ** _GAMMA * 255.0
    return np.ascontiguousarray(np.rint(encoded).astype(np.uint8).T.reshape(*size, 3))


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


def _texture_edges(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.clip(np.hypot(across, down) / 2.0, 0.0, 1.0).astype(np.float32)


def _sensed_depth(picture: _Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    """Depth as a sensor would give it; nothing here knows of colours and materials."""
    seen: Hits = picture.seen
    size = picture.camera.size
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
