"""Colours: class palettes, label maps, overlays and depth, as uint8 RGB arrays."""

from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cen.errors import ShapeError

Image = NDArray[np.uint8]

NEUTRAL = (205, 205, 205)
"""Grey of pixels without a value: ignored labels, holes in depth. No palette colour is grey."""

_ROWS = 256
"""Rows that are painted at a time, so that large pictures need little memory."""

# Hand-picked start, in an order in which neighbours differ in hue and in lightness.
_FIRST = (
    (31, 119, 180),
    (245, 133, 24),
    (56, 158, 74),
    (214, 50, 58),
    (132, 94, 194),
    (242, 203, 61),
    (20, 190, 207),
    (227, 119, 194),
    (140, 86, 55),
    (160, 205, 60),
)


def palette(n: int) -> Image:
    """Distinct, saturated colours for n classes.

    The first ten are fixed; each further colour is the one farthest (in CIELAB) from all before
    it, so ``palette(n)[:k]`` equals ``palette(k)`` and a class keeps its colour when others are
    added.

    Args:
        n: number of colours, 0 or more.

    Returns:
        uint8 array of shape (n, 3), RGB.
    """
    chosen = np.array(_FIRST[:n], dtype=np.uint8).reshape(-1, 3)
    if n <= len(_FIRST):
        return chosen
    levels = np.arange(15, 256, 24, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = _lab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    keep = (chroma > 30) & (chroma < 95) & (lab[:, 0] > 25) & (lab[:, 0] < 88)  # no greys, no neon
    grid, lab = grid[keep], lab[keep]
    distance = np.full(len(grid), np.inf)
    for colour in _lab(chosen):
        distance = np.minimum(distance, np.linalg.norm(lab - colour, axis=1))
    rows = [*chosen]
    while len(rows) < n:
        best = int(distance.argmax())
        if not distance[best]:  # all are taken, and from here on one repeats
            rows += [grid[best]] * (n - len(rows))
            break
        rows.append(grid[best])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[best], axis=1))
    return np.stack(rows)


def colorize(labels: ArrayLike, colours: ArrayLike) -> Image:
    """Paint a label map.

    Args:
        labels: integer class ids, shape (H, W). Ids outside the palette (255 = ignore among them)
            are painted in neutral grey.
        colours: uint8 RGB per class, shape (C, 3), for example of :func:`palette`.

    Returns:
        RGB image of shape (H, W, 3).

    Raises:
        ShapeError: the labels are not two-dimensional integers or the palette is not (C, 3).
    """
    ids, table = np.asarray(labels), np.asarray(colours, dtype=np.uint8)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ShapeError(f"labels must be integers of shape (H, W), got {ids.dtype} {ids.shape}")
    if table.ndim != 2 or table.shape[1] != 3:
        raise ShapeError(f"a palette has shape (C, 3), got {table.shape}")
    table = np.concatenate([table, np.array([NEUTRAL], np.uint8)])
    ids = ids.astype(np.int64)
    outside = (ids < 0) | (ids >= len(table) - 1)
    painted: Image = table[np.where(outside, len(table) - 1, ids)]
    return painted


def overlay(
    image: ArrayLike, labels: ArrayLike, colours: ArrayLike, opacity: float = 0.55
) -> Image:
    """Lay the painted label map over a greyed image; class borders stay visible as thin lines.

    Args:
        image: uint8 RGB of shape (H, W, 3).
        labels: integer class ids of shape (H, W); ids outside the palette leave the image as is.
        colours: palette of shape (C, 3).
        opacity: weight of the colours, 0..1.

    Returns:
        RGB image of shape (H, W, 3).

    Raises:
        ShapeError: image and labels differ in size.
    """
    base, ids = np.asarray(image, dtype=np.uint8), np.asarray(labels)
    if base.shape != (*ids.shape, 3):
        raise ShapeError(f"image {base.shape} and labels {ids.shape} differ in size")
    painted = np.empty_like(base)
    for first in range(0, len(ids), _ROWS):
        above = max(first - 1, 0)
        block = slice(above, first + _ROWS)
        mixed = _overlaid(base[block], ids[block], colours, opacity)
        painted[first : first + _ROWS] = mixed[first - above :]
    return painted


def _overlaid(base: Image, ids: NDArray[Any], colours: ArrayLike, opacity: float) -> Image:
    """Some rows of an overlay, of which the first knows nothing of borders above it."""
    colour = colorize(ids, colours).astype(np.float32)
    grey = cv2.cvtColor(base, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    mixed = (1 - opacity) * grey + opacity * colour
    border = np.zeros(ids.shape, dtype=bool)
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    border[1:] |= ids[1:] != ids[:-1]
    mixed[border] = 0.35 * grey[border] + 0.65 * colour[border]
    unlabelled = (ids < 0) | (ids >= len(np.asarray(colours)))
    mixed[unlabelled] = base[unlabelled]
    rounded: Image = mixed.round().clip(0, 255).astype(np.uint8)
    return rounded


def colorize_depth(depth: ArrayLike, limits: tuple[float, float] | None = None) -> Image:
    """Paint depth from near (bright) to far (dark); missing values are neutral grey.

    Args:
        depth: metres (or any unit) of shape (H, W); nan, infinity and values <= 0 are missing.
        limits: nearest and farthest value of the scale; the 2nd and 98th percentile by default.

    Returns:
        RGB image of shape (H, W, 3).
    """
    values = np.asarray(depth, dtype=np.float64)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values.reshape([n for n in values.shape if n != 1] or [1, 1])
    if values.ndim != 2:
        raise ShapeError(f"depth has shape (H, W), got {values.shape}")
    valid = np.isfinite(values) & (values > 0)
    painted = np.full((*values.shape, 3), NEUTRAL, dtype=np.uint8)
    if valid.any():
        near, far = limits or tuple(np.percentile(values[valid], (2, 98)).tolist())
        share = (values[valid] - near) / max(far - near, 1e-9)
        ramp = matplotlib.colormaps["viridis_r"](share.clip(0, 1))
        painted[valid] = (ramp[:, :3] * 255).round().astype(np.uint8)
    return painted


def to_picture(array: ArrayLike) -> Image:
    """Turn an input as stored in a panel into an RGB picture.

    Args:
        array: uint8 (H, W, 3) or (H, W); or float (H, W) (painted as depth) or (H, W, 3) in 0..1;
            or (H, W, C) with any other number of bands, float ones in −1..1, of which the first is
            shown in grey.

    Returns:
        RGB image of shape (H, W, 3).

    Raises:
        ShapeError: the array is none of these.
    """
    values = np.asarray(array)
    if values.dtype == np.uint8 and values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=-1)
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[-1] == 3:
        return values
    if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] == 1):
        return colorize_depth(values)
    if values.ndim == 3 and values.shape[-1] == 3:
        scaled = np.nan_to_num(values.astype(np.float64)) * 255
        return scaled.round().clip(0, 255).astype(np.uint8)
    if values.ndim == 3:
        # Two bands, or more than three, are no colours: the first stands for all. Such images are
        # in −1..1, as the network gives them, and get the grey that images of one band have.
        band = values[..., 0]
        if band.dtype != np.uint8:
            valid = np.isfinite(band)
            grey = 127.5 * (np.where(valid, band, 0.0).astype(np.float64) + 1.0)
            band = np.where(valid, grey.round().clip(0, 255), NEUTRAL[0]).astype(np.uint8)
        return np.repeat(band[..., None], 3, axis=-1)
    raise ShapeError(f"cannot show an array of shape {values.shape} and type {values.dtype}")


def as_palette(rows: Sequence[Sequence[int]] | None, classes: int) -> Image:
    """The given colours if there is one for each class, else :func:`palette`."""
    if rows is not None and len(rows) >= classes and all(len(row) == 3 for row in rows):
        return np.array(rows[:classes], dtype=np.uint8).reshape(-1, 3)
    return palette(classes)


def _lab(colours: Image) -> NDArray[np.float32]:
    scaled = (colours.astype(np.float32) / 255).reshape(1, -1, 3)
    lab: NDArray[np.float32] = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB))[0]
    return lab
