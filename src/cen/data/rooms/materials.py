"""What surfaces are painted with: solid textures, evaluated at points, no images."""

from __future__ import annotations

import numpy as np

from cen.data.rooms.labels import MATERIALS
from cen.data.rooms.raycast import Floats, to_local
from cen.data.rooms.scene import Scene, Solid, Surface

_TURN = 2.0 * np.pi
# Directions and frequencies without a common measure: their sum of waves looks like speckles.
_SPECKLES = ((1.0, 0.41, -0.77), (-0.63, 1.07, 0.52), (0.38, -0.71, 1.19))


def object_albedo(solid: Solid, points: Floats) -> Floats:
    """(3, n) linear RGB reflectance of a solid at world points (3, n)."""
    x, y, z = to_local(solid, points) * (_TURN * solid.frequency)
    a, b, c = (_TURN * phase for phase in solid.phase)
    material = MATERIALS[solid.material]
    if material == "wood":
        grain = np.sin(x + 0.35 * y + a + 1.2 * np.sin(0.31 * y + 0.43 * z + b))
        value = 0.95 + 0.3 * grain
    elif material == "plaid":
        bands = np.stack([np.sin(axis) for axis in (x + a, y + b, z + c)])
        value = 0.75 + 0.28 * np.tanh(4.0 * bands).sum(axis=0)
        value = np.clip(value, 0.3, 1.5)
    else:
        start = np.stack((x + a, y + b, z + c))
        waves = [np.sin(np.array(wave) @ start) for wave in _SPECKLES]
        value = 0.95 + 0.35 * np.tanh(2.0 * (waves[0] + waves[1] + waves[2] - 0.4))
    return np.asarray(np.array(solid.colour)[:, None] * value)


def room_albedo(scene: Scene, points: Floats, surface: np.ndarray) -> Floats:
    """(3, n) linear RGB reflectance of floor, walls and ceiling at world points (3, n)."""
    albedo = np.empty_like(points)
    for number, paint in enumerate(scene.surfaces):
        here = np.flatnonzero(surface == number)
        if here.size:
            albedo[:, here] = _pattern(paint, points[:, here], number)
    return albedo


def _pattern(paint: Surface, points: Floats, number: int) -> Floats:
    first, second = (np.array(colour)[:, None] for colour in paint.colours)
    x, _, z = points * (_TURN * paint.frequency)
    if paint.pattern == "planks":
        share = 0.5 + 0.5 * np.sin(0.5 * x + 1.7 * np.floor(x / _TURN) + 0.2 * np.sin(0.2 * z))
    elif paint.pattern == "tiles":
        share = 0.5 + 0.5 * np.tanh(6.0 * np.sin(0.5 * x) * np.sin(0.5 * z))
    elif paint.pattern == "stripes":
        # The sum of x and z runs along every wall, whichever way it faces.
        share = 0.5 + 0.5 * np.tanh(4.0 * np.sin(x + z))
    else:
        share = 0.5 + 0.25 * np.sin(2.3 * x + 0.7 * z) + 0.25 * np.sin(2.9 * z - 0.6 * x)
    return np.asarray(first + (second - first) * share)
