"""What stands in a room: drawn at random, before anything is rendered and for any picture size.

The world frame is centred on the camera and level: x right, y down, z forward, in metres. An
object's own frame has its origin at the centre of its base and its second axis upwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cen.data.rooms.labels import MATERIALS, SHAPES

Vector = tuple[float, float, float]

# A (3, n) array of coordinates is the unit of work everywhere; one focal length for all sizes:
# 0.82 * sqrt(H * W) pixels is a field of view of 70 x 56 degrees at 4:3.
FOCAL = 0.82

# Functions are (shape + material) mod 3, so boxes and cones share theirs. These weights give the
# three groups about equal shares of the pixels; otherwise the material would hint at the function.
SHAPE_WEIGHTS = (0.22, 0.38, 0.23, 0.17)

_TRIES = 12
_GAP = 0.06  # metres between two objects on the floor


@dataclass(frozen=True)
class Solid:
    """An object, or a print of one (``printed``: seen in colour, absent from the geometry).

    Attributes:
        shape, material: indices into SHAPES and MATERIALS.
        base: centre of the base in the world frame (metres).
        yaw: rotation about the vertical axis (radians).
        half: half extents across, or the radius twice (metres).
        height: metres.
        colour: main colour, linear RGB in 0..1.
        frequency: texture periods per metre.
        phase: texture offsets, so that no two objects of a material look the same.
    """

    shape: int
    material: int
    base: Vector
    yaw: float
    half: tuple[float, float]
    height: float
    colour: Vector
    frequency: float
    phase: Vector
    printed: bool = False

    @property
    def footprint(self) -> float:
        """Radius of the circle around the base (metres)."""
        return float(np.hypot(*self.half)) if SHAPES[self.shape] == "box" else self.half[0]


@dataclass(frozen=True)
class Surface:
    """Paint of the floor, the walls or the ceiling: a pattern of two linear RGB colours."""

    pattern: str
    colours: tuple[Vector, Vector]
    frequency: float


@dataclass(frozen=True)
class Scene:
    """A room with its objects, prints, lamp and camera.

    Attributes:
        low, high: corners of the room (metres); ``high[1]`` is the floor, as y points down.
        yaw, pitch: where the camera looks (radians; pitch > 0 looks down).
        surfaces: floor, wall and ceiling.
        solids: objects first, then prints.
        lamp: position of the lamp (metres).
        ambient: light from everywhere, as a share of the lamp's.
        tint: colour of the light.
        exposure: brightness of the picture; below 0.25 the scene is dim.
    """

    low: Vector
    high: Vector
    yaw: float
    pitch: float
    surfaces: tuple[Surface, Surface, Surface]
    solids: tuple[Solid, ...]
    lamp: Vector
    ambient: float
    tint: Vector
    exposure: float

    @property
    def objects(self) -> tuple[Solid, ...]:
        """The solids that are really there."""
        return tuple(solid for solid in self.solids if not solid.printed)

    @property
    def prints(self) -> tuple[Solid, ...]:
        """The solids that are only painted on walls, floor or ceiling."""
        return tuple(solid for solid in self.solids if solid.printed)


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene; it depends on nothing but the generator."""
    eye = rng.uniform(1.25, 1.65)
    low = (-rng.uniform(1.6, 3.2), eye - rng.uniform(2.4, 2.9), -0.6)
    high = (rng.uniform(1.6, 3.2), eye, rng.uniform(3.6, 5.6))
    yaw, pitch = rng.uniform(-0.4, 0.4), rng.uniform(0.06, 0.26)
    objects = _furnish(rng, low, high, yaw, int(rng.integers(4, 8)))
    prints = _furnish(rng, low, high, yaw, int(rng.integers(1, 3)), printed=True)
    dim = rng.random() < 0.25
    warmth = rng.uniform(-0.12, 0.12)
    return Scene(
        low,
        high,
        yaw,
        pitch,
        _paint(rng),
        (*objects, *prints),
        lamp=(
            rng.uniform(0.7 * low[0], 0.7 * high[0]),
            low[1] + rng.uniform(0.1, 0.6),
            rng.uniform(0.3, 0.7 * high[2]),
        ),
        ambient=rng.uniform(0.3, 0.6),
        tint=(1.0 + warmth, 1.0, 1.0 - warmth),
        exposure=float(np.exp(rng.uniform(np.log(0.1), np.log(0.25))))
        if dim
        else rng.uniform(0.6, 1.3),
    )


def _furnish(
    rng: np.random.Generator,
    low: Vector,
    high: Vector,
    yaw: float,
    count: int,
    printed: bool = False,
) -> list[Solid]:
    """Places up to ``count`` solids that do not touch, some of them on top of others."""
    placed: list[Solid] = []
    carriers: list[Solid] = []
    for _ in range(count):
        solid = _sample_solid(rng, printed)
        stack = rng.random() < 0.25
        bearing = yaw + rng.uniform(-0.58, 0.58, _TRIES)
        distance = rng.uniform(1.9, 3.9, _TRIES)
        if stack and carriers:
            solid = _stacked(solid, carriers.pop())
        else:
            spot = _free_spot(
                distance * np.sin(bearing), distance * np.cos(bearing), solid, placed, low, high
            )
            if spot is None:
                continue
            solid = replace(solid, base=(spot[0], high[1], spot[1]))
            if SHAPES[solid.shape] in ("box", "cylinder"):
                carriers.append(solid)
        placed.append(solid)
    return placed


def _sample_solid(rng: np.random.Generator, printed: bool) -> Solid:
    """A solid at the origin."""
    shape = int(rng.choice(len(SHAPES), p=SHAPE_WEIGHTS))
    material = int(rng.integers(len(MATERIALS)))
    radius = rng.uniform(0.36, 0.6)
    stretch = rng.uniform(0.85, 1.05, 2)
    tallness = rng.uniform(0.0, 1.0)
    # Crates are low and drums are high, which helps to tell them apart from a distance.
    if SHAPES[shape] == "box":
        half = (radius * stretch[0], radius * stretch[1])
        height = 2.0 * radius * (0.45 + 0.4 * tallness)
    elif SHAPES[shape] == "sphere":
        half = (radius, radius)
        height = 2.0 * radius
    elif SHAPES[shape] == "cylinder":
        half = (0.8 * radius, 0.8 * radius)
        height = 2.0 * radius * (1.1 + 0.6 * tallness)
    else:
        half = (1.15 * radius, 1.15 * radius)
        height = 2.0 * radius * (1.0 + 0.8 * tallness)
    yaw = rng.uniform(0.0, np.pi)
    phase = rng.uniform(0.0, 1.0, 3)
    colour = _material_colour(rng, material)
    frequency = rng.uniform(0.8, 1.25) * (5.0, 4.0, 5.5)[material]
    x, y, z = (float(p) for p in phase)
    return Solid(
        shape, material, (0.0, 0.0, 0.0), yaw, half, height, colour, frequency, (x, y, z), printed
    )


def _stacked(solid: Solid, carrier: Solid) -> Solid:
    """The solid on top of ``carrier``, made small enough to fit there."""
    x, floor, z = carrier.base
    shrink = min(1.0, min(carrier.half) / solid.footprint)
    return replace(
        solid,
        base=(x, floor - carrier.height, z),
        half=(solid.half[0] * shrink, solid.half[1] * shrink),
        height=solid.height * shrink,
    )


def _free_spot(
    x: np.ndarray, z: np.ndarray, solid: Solid, placed: list[Solid], low: Vector, high: Vector
) -> tuple[float, float] | None:
    """The first of the candidate spots that lies in the room and touches nothing."""
    margin = solid.footprint + 0.02
    free = (x > low[0] + margin) & (x < high[0] - margin) & (z < high[2] - margin)
    for other in placed:
        reach = solid.footprint + other.footprint + _GAP
        free &= (x - other.base[0]) ** 2 + (z - other.base[2]) ** 2 > reach**2
    spots = np.flatnonzero(free)
    return (float(x[spots[0]]), float(z[spots[0]])) if len(spots) else None


def _material_colour(rng: np.random.Generator, material: int) -> Vector:
    """Linear RGB: wood is brown, plaid has any hue, stone is grey with a cast."""
    value = rng.uniform(0.75, 1.3)
    cast = rng.uniform(-1.0, 1.0, 2)
    hue = rng.uniform(0.0, 1.0)
    if MATERIALS[material] == "wood":
        base = (0.36, 0.19 * (1.0 + 0.25 * cast[0]), 0.08 * (1.0 + 0.5 * cast[1]))
    elif MATERIALS[material] == "plaid":
        base = _hue(hue, 0.55, 0.30)
    else:
        base = (0.26 * (1.0 + 0.15 * cast[0]), 0.26, 0.26 * (1.0 + 0.2 * cast[1]))
    return base[0] * value, base[1] * value, base[2] * value


def _hue(hue: float, saturation: float, value: float) -> Vector:
    """A smooth colour circle (cosines; no branches at sector borders)."""
    red, green, blue = (
        value * (1.0 + saturation * float(np.cos(2.0 * np.pi * (hue + shift))))
        for shift in (0.0, 1.0 / 3.0, 2.0 / 3.0)
    )
    return red, green, blue


def _paint(rng: np.random.Generator) -> tuple[Surface, Surface, Surface]:
    """Floor, wall and ceiling."""
    floors = (
        Surface("planks", ((0.30, 0.17, 0.08), (0.22, 0.12, 0.055)), rng.uniform(3.0, 5.0)),
        Surface("tiles", ((0.42, 0.42, 0.40), (0.20, 0.20, 0.21)), rng.uniform(1.0, 1.8)),
        Surface("plain", (_hue(rng.uniform(), 0.4, 0.2), _hue(rng.uniform(), 0.4, 0.16)), 1.0),
    )
    tone = _hue(rng.uniform(), rng.uniform(0.05, 0.35), rng.uniform(0.35, 0.6))
    darker = (0.8 * tone[0], 0.8 * tone[1], 0.8 * tone[2])
    walls = (
        Surface("plain", (tone, tone), 1.0),
        Surface("stripes", (tone, darker), rng.uniform(1.5, 3.0)),
    )
    white = rng.uniform(0.6, 0.8)
    ceiling = Surface("plain", ((white, white, white), (white, white, white)), 1.0)
    return floors[int(rng.integers(3))], walls[int(rng.integers(2))], ceiling
