"""A scene seen by a camera: the light on every surface and the colours painted on it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cen.data.rooms.labels import BACKGROUND
from cen.data.rooms.materials import object_albedo, room_albedo
from cen.data.rooms.raycast import Camera, Floats, cast, lit
from cen.data.rooms.scene import Scene


class Picture:
    """What several domains share, each worked out once and only if asked for.

    Attributes:
        scene, camera: what is seen from where.
        directions: (3, H, W) rays.
        seen: what the rays meet.
        painted: the same with the prints standing out, see ``raycast.cast``.
    """

    def __init__(self, scene: Scene, camera: Camera) -> None:
        self.scene, self.camera = scene, camera
        self.directions = camera.directions()
        self.seen, self.painted = cast(scene, camera, self.directions)

    @cached_property
    def points(self) -> Floats:
        """(3, n) world points of all pixels."""
        return (self.directions * self.seen.depth).reshape(3, -1)

    @cached_property
    def light(self) -> Floats:
        """(n,) light that falls on every pixel's surface: the lamp with shadows, and the room's."""
        direct = _lamp(self.scene, self.points, self.seen.normal.reshape(3, -1))
        facing = np.flatnonzero(direct > 0.0)
        surface = self.seen.surface.ravel()[facing]
        direct[facing[~lit(self.scene, self.points[:, facing], surface)]] = 0.0
        return direct + self.scene.ambient

    @cached_property
    def albedo(self) -> Floats:
        """(3, n) linear reflectance; a print carries the light and shade painted into it."""
        surface = self.painted.surface.ravel()
        albedo = room_albedo(self.scene, self.points, surface)
        for number, solid in enumerate(self.scene.solids, start=len(BACKGROUND)):
            here = np.flatnonzero(surface == number)
            if here.size == 0:
                continue
            if not solid.printed:
                albedo[:, here] = object_albedo(solid, self.points[:, here])
                continue
            where = _take(self.directions, here) * self.painted.depth.ravel()[here]
            shade = _lamp(self.scene, where, _take(self.painted.normal, here)) + self.scene.ambient
            # Brightness relative to the paper it is printed on, which the same lamp lights.
            shade /= np.maximum(self.light[here].mean(), 1e-3)
            albedo[:, here] = object_albedo(solid, where) * shade
        return np.clip(albedo, 0.0, 1.0)

    @cached_property
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
