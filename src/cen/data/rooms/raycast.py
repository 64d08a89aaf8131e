"""Rays against a room: exact distances, normals and curvatures of its walls and solids.

Everything is float64, so that two machines which round differently see the same surface at all
but a handful of pixels. Arrays hold one value per ray; a direction with camera z = 1 makes the
ray parameter the depth along the optical axis in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cen.data.rooms.labels import BACKGROUND, SHAPES
from cen.data.rooms.scene import FOCAL, Scene, Solid, Vector

Floats = NDArray[np.float64]
Box = tuple[slice, slice]

_NEAR = 0.05  # metres; nothing closer is seen


@dataclass
class Hits:
    """What each ray meets first.

    Attributes:
        depth: (H, W) depth along the optical axis, metres.
        surface: (H, W) number of what was hit: 0 floor, 1 wall, 2 ceiling, 3 + k the k-th solid.
        normal: (3, H, W) unit normals towards the camera, world frame.
        curvature: (2, H, W) principal curvatures, 1/m, larger first.
    """

    depth: Floats
    surface: NDArray[np.int16]
    normal: Floats
    curvature: Floats


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world's origin.

    Attributes:
        size: (H, W).
        focal: pixels.
        rotation: (3, 3), camera to world; columns are right, down and forward.
    """

    size: tuple[int, int]
    focal: float
    rotation: Floats

    def directions(self) -> Floats:
        """(3, H, W) ray directions in the world frame, with camera z = 1."""
        height, width = self.size
        u = (np.arange(width) + 0.5 - 0.5 * width) / self.focal
        v = (np.arange(height) + 0.5 - 0.5 * height) / self.focal
        right, down, forward = self.rotation.T
        across = right[:, None] * u + forward[:, None]
        return np.asarray(across[:, None, :] + (down[:, None] * v)[:, :, None])

    def window(self, solid: Solid) -> Box | None:
        """Rows and columns that hold the solid's bounding box; None if it is out of sight."""
        corners = _corners(solid) @ self.rotation
        if corners[:, 2].min() < _NEAR:
            return None if corners[:, 2].max() < _NEAR else (slice(None), slice(None))
        height, width = self.size
        u = self.focal * corners[:, 0] / corners[:, 2] + 0.5 * width
        v = self.focal * corners[:, 1] / corners[:, 2] + 0.5 * height
        left, right = max(int(u.min()) - 1, 0), min(int(u.max()) + 2, width)
        top, bottom = max(int(v.min()) - 1, 0), min(int(v.max()) + 2, height)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def camera_of(scene: Scene, size: tuple[int, int]) -> Camera:
    """The scene's camera for pictures of ``size`` (H, W)."""
    cos_yaw, sin_yaw = np.cos(scene.yaw), np.sin(scene.yaw)
    cos_pitch, sin_pitch = np.cos(scene.pitch), np.sin(scene.pitch)
    right = (cos_yaw, 0.0, -sin_yaw)
    down = (-sin_pitch * sin_yaw, cos_pitch, -sin_pitch * cos_yaw)
    forward = (cos_pitch * sin_yaw, sin_pitch, cos_pitch * cos_yaw)
    return Camera(
        size, FOCAL * float(np.sqrt(size[0] * size[1])), np.array((right, down, forward)).T
    )


def cast(scene: Scene, camera: Camera, directions: Floats) -> tuple[Hits, Hits]:
    """Casts one ray per pixel.

    Returns:
        The scene, and the scene as painted: the same with the prints standing out as if they were
        objects, wherever the background that they are printed on is seen (their surface numbers
        follow those of the objects).
    """
    seen = _cast_room(scene, directions)
    for number, solid in enumerate(scene.objects):
        _cast_solid(seen, solid, len(BACKGROUND) + number, camera, directions)
    painted = Hits(
        np.where(seen.surface < len(BACKGROUND), seen.depth, -np.inf),
        seen.surface.copy(),
        seen.normal.copy(),
        seen.curvature,
    )
    for number, solid in enumerate(scene.prints, start=len(scene.objects)):
        _cast_solid(painted, solid, len(BACKGROUND) + number, camera, directions, flat=True)
    return seen, painted


def _cast_room(scene: Scene, directions: Floats) -> Hits:
    """The walls, floor and ceiling as seen from inside."""
    shape = directions.shape[1:]
    depth = np.full(shape, np.inf)
    face = np.zeros(shape, dtype=np.int8)
    for axis in range(3):
        along = directions[axis]
        bound = np.where(along > 0.0, scene.high[axis], scene.low[axis])
        with np.errstate(divide="ignore"):
            distance = bound / along
        # A ray parallel to the wall gives an infinite distance of either sign.
        distance = np.abs(distance)
        closer = distance < depth
        depth[closer] = distance[closer]
        face[closer] = axis
    normal = np.zeros_like(directions)
    for axis in range(3):
        normal[axis] = np.where(face == axis, -np.sign(directions[axis]), 0.0)
    surface = np.where(face != 1, 1, np.where(directions[1] > 0.0, 0, 2)).astype(np.int16)
    return Hits(depth, surface, normal, np.zeros((2, *shape)))


def _cast_solid(
    hits: Hits, solid: Solid, number: int, camera: Camera, directions: Floats, flat: bool = False
) -> None:
    """Writes the solid into ``hits`` where it is nearest; ``flat``: leaves the curvature alone."""
    box = camera.window(solid)
    if box is None:
        return
    window = (slice(None), *box)
    origin = to_local(solid, (0.0, 0.0, 0.0))
    ray = turn(solid, directions[window])
    distance, normal, curvature = intersect(solid, origin, ray)
    closer = distance < hits.depth[box]
    hits.depth[box][closer] = distance[closer]
    hits.surface[box][closer] = number
    hits.normal[window][:, closer] = turn_back(solid, normal[:, closer])
    if not flat:
        hits.curvature[window][:, closer] = curvature[:, closer]


def lit(scene: Scene, points: Floats, surface: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which of the (3, n) points on surfaces (n,) see the lamp past the scene's objects.

    An object never shades itself here: all are convex, so the sign of the cosine says that.
    """
    visible = np.ones(points.shape[1], dtype=bool)
    lamp = np.array(scene.lamp)
    to_lamp = lamp[:, None] - points
    length = np.einsum("in,in->n", to_lamp, to_lamp)
    here = np.einsum("in,in->n", points, to_lamp)
    norm = np.einsum("in,in->n", points, points)
    for number, solid in enumerate(scene.objects, start=len(BACKGROUND)):
        x, y, z = solid.base
        centre = np.array((x, y - 0.5 * solid.height, z))
        radius = float(np.hypot(solid.footprint, 0.5 * solid.height))
        nearest = np.clip((centre @ to_lamp - here) / length, 0.0, 1.0)
        gap = centre @ centre - 2.0 * (centre @ points) + norm
        gap += nearest * (nearest * length - 2.0 * (centre @ to_lamp - here))
        near = np.flatnonzero((gap < radius * radius) & (surface != number))
        if near.size == 0:
            continue
        distance, _, _ = intersect(
            solid, to_local(solid, points[:, near]), turn(solid, to_lamp[:, near])
        )
        visible[near[distance < 1.0]] = False
    return visible


def to_local(solid: Solid, points: Floats | Vector) -> Floats:
    """World points (3, ...) in the solid's frame."""
    base = np.array(solid.base)
    where = np.asarray(points)
    return turn(solid, where - base.reshape(3, *([1] * (where.ndim - 1))))


def turn(solid: Solid, vectors: Floats) -> Floats:
    """World directions (3, ...) in the solid's frame (second axis upwards)."""
    cos, sin = np.cos(solid.yaw), np.sin(solid.yaw)
    x, y, z = vectors
    return np.stack((cos * x + sin * z, -y, cos * z - sin * x))


def turn_back(solid: Solid, vectors: Floats) -> Floats:
    """Directions (3, ...) of the solid's frame in the world."""
    cos, sin = np.cos(solid.yaw), np.sin(solid.yaw)
    x, y, z = vectors
    return np.stack((cos * x - sin * z, -y, cos * z + sin * x))


def _corners(solid: Solid) -> Floats:
    """(8, 3) corners of the bounding box in the world."""
    signs = np.array(
        [(x, y, z) for x in (-1, 1) for y in (0, 1) for z in (-1, 1)], dtype=np.float64
    )
    local = signs * np.array((solid.half[0], solid.height, solid.half[1]))
    return np.asarray(turn_back(solid, local.T).T + np.array(solid.base))


def intersect(solid: Solid, origin: Floats, ray: Floats) -> tuple[Floats, Floats, Floats]:
    """First hits of rays in the solid's frame.

    Args:
        solid: what may be hit.
        origin: (3,) or (3, ...) starting points.
        ray: (3, ...) directions, of any length.

    Returns:
        Distances in units of ``ray`` (inf: missed), outward normals (3, ...) and principal
        curvatures (2, ...) in 1/m; both hold anything where the ray missed.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        name = SHAPES[solid.shape]
        if name == "box":
            return _box(solid, origin, ray)
        if name == "sphere":
            return _sphere(solid, origin, ray)
        if name == "cylinder":
            return _cylinder(solid, origin, ray)
        return _cone(solid, origin, ray)


def _entry(near: Floats, far: Floats) -> Floats:
    """Distance at which a ray enters the convex body that it is in from ``near`` to ``far``."""
    return np.where((near < far) & (near > 0.0), near, np.inf)


def _slab(origin: Floats, ray: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Where rays are between two parallel planes."""
    one, two = (low - origin) / ray, (high - origin) / ray
    return np.minimum(one, two), np.maximum(one, two)


def _box(solid: Solid, origin: Floats, ray: Floats) -> tuple[Floats, Floats, Floats]:
    lows = (-solid.half[0], 0.0, -solid.half[1])
    highs = (solid.half[0], solid.height, solid.half[1])
    slabs = [_slab(origin[axis], ray[axis], lows[axis], highs[axis]) for axis in range(3)]
    near = np.maximum(np.maximum(slabs[0][0], slabs[1][0]), slabs[2][0])
    far = np.minimum(np.minimum(slabs[0][1], slabs[1][1]), slabs[2][1])
    normal = np.stack(
        [np.where(slabs[axis][0] == near, -np.sign(ray[axis]), 0.0) for axis in range(3)]
    )
    return _entry(near, far), normal, np.zeros((2, *near.shape))


def _sphere(solid: Solid, origin: Floats, ray: Floats) -> tuple[Floats, Floats, Floats]:
    radius = solid.half[0]
    height = origin[1] - radius
    a = ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2
    b = origin[0] * ray[0] + height * ray[1] + origin[2] * ray[2]
    c = origin[0] ** 2 + height**2 + origin[2] ** 2 - radius**2
    root = np.sqrt(b * b - a * c)  # NaN where the ray misses; comparisons are then false
    distance = _entry((-b - root) / a, (-b + root) / a)
    normal = _along(origin, ray, distance)
    normal[1] -= radius
    normal /= radius
    return distance, normal, np.full((2, *distance.shape), 1.0 / radius)


def _cylinder(solid: Solid, origin: Floats, ray: Floats) -> tuple[Floats, Floats, Floats]:
    radius = solid.half[0]
    a = ray[0] ** 2 + ray[2] ** 2
    b = origin[0] * ray[0] + origin[2] * ray[2]
    c = origin[0] ** 2 + origin[2] ** 2 - radius**2
    root = np.sqrt(b * b - a * c)
    side_near, side_far = (-b - root) / a, (-b + root) / a
    cap_near, cap_far = _slab(origin[1], ray[1], 0.0, solid.height)
    distance = _entry(np.maximum(side_near, cap_near), np.minimum(side_far, cap_far))
    cap = cap_near > side_near
    point = _along(origin, ray, distance) / radius
    normal = np.where(cap, 0.0, point)
    normal[1] = np.where(cap, -np.sign(ray[1]), 0.0)
    curvature = np.zeros((2, *distance.shape))
    curvature[0] = np.where(cap, 0.0, 1.0 / radius)
    return distance, normal, curvature


def _cone(solid: Solid, origin: Floats, ray: Floats) -> tuple[Floats, Floats, Floats]:
    slope = solid.half[0] / solid.height
    below = solid.height - origin[1]  # distance of the start below the apex
    a = ray[0] ** 2 + ray[2] ** 2 - (slope * ray[1]) ** 2
    b = origin[0] * ray[0] + origin[2] * ray[2] + slope**2 * below * ray[1]
    c = origin[0] ** 2 + origin[2] ** 2 - (slope * below) ** 2
    root = np.sqrt(b * b - a * c)
    distance = np.full(np.broadcast_shapes(root.shape, ray.shape[1:]), np.inf)
    for side in ((-b - root) / a, (-b + root) / a):
        height = origin[1] + side * ray[1]
        hit = (side > 0.0) & (height >= 0.0) & (height <= solid.height)
        distance = np.where(hit & (side < distance), side, distance)
    base = -origin[1] / ray[1]
    spread = (origin[0] + base * ray[0]) ** 2 + (origin[2] + base * ray[2]) ** 2
    under = (base > 0.0) & (spread <= solid.half[0] ** 2) & (base < distance)
    distance = np.where(under, base, distance)
    x, height, z = _along(origin, ray, distance)
    radius = slope * np.maximum(solid.height - height, 1e-6)
    tilt = 1.0 / np.sqrt(1.0 + slope**2)
    normal = np.stack((tilt * x / radius, np.full_like(x, tilt * slope), tilt * z / radius))
    normal = np.where(under, np.array((0.0, -1.0, 0.0)).reshape(3, *([1] * x.ndim)), normal)
    curvature = np.zeros((2, *distance.shape))
    curvature[0] = np.where(under, 0.0, tilt / radius)
    return distance, normal, curvature


def _along(origin: Floats, ray: Floats, distance: Floats) -> Floats:
    """Points on the rays, (3, ...); the start where a ray missed."""
    travelled = np.where(np.isfinite(distance), distance, 0.0)
    return np.stack([origin[axis] + travelled * ray[axis] for axis in range(3)])
