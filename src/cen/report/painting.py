"""Pictures of what a network predicts, by the kind of its output, as uint8 RGB arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cen.report.colours import NEUTRAL, Image, colorize, colorize_depth, to_picture

Limits = tuple[float, float]


def paint(kind: str, values: ArrayLike, colours: Image, limits: Limits | None = None) -> Image:
    """One prediction, or its truth, as a picture. Missing values are neutral grey.

    Args:
        kind: "segmentation": (H, W) class ids; "depth": (H, W) metres; "normal": (H, W, 3) unit
            vectors; "edge": (H, W) strengths in 0..1; "image": as for `to_picture`.
        values: the prediction.
        colours: (C, 3) palette of a segmentation.
        limits: nearest and farthest depth of the scale; by default of this picture alone.

    Returns:
        (H, W, 3).
    """
    array = np.asarray(values)
    if kind == "segmentation":
        return colorize(array, colours)
    if kind == "depth":
        return colorize_depth(array, limits)
    if kind == "normal":
        return paint_normals(array)
    if kind == "edge":
        return paint_edges(array)
    return to_picture(array)


def paint_normals(normals: ArrayLike) -> Image:
    """Unit vectors (H, W, 3) as colours: x, y and −z from −1..1 to 0..255, facing us is light."""
    vectors = np.asarray(normals, dtype=np.float32)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(-1))
    turned = np.where(known[..., None], vectors, 0) * np.array((1, 1, -1), dtype=np.float32)
    painted: Image = (127.5 + 127.5 * turned).round().clip(0, 255).astype(np.uint8)
    painted[~known] = NEUTRAL
    return painted


def paint_edges(strengths: ArrayLike) -> Image:
    """Strengths (H, W) in 0..1 as grey, black where the edge is strong."""
    values = np.asarray(strengths, dtype=np.float32)
    known = np.isfinite(values)
    grey = (255 * (1 - np.where(known, values, 0).clip(0, 1))).round().astype(np.uint8)
    painted: Image = np.repeat(grey[..., None], 3, axis=-1)
    painted[~known] = NEUTRAL
    return painted


def depth_limits(maps: Iterable[ArrayLike]) -> Limits | None:
    """Nearest and farthest depth (2nd and 98th percentile) of maps that share a colour scale."""
    known = [np.asarray(m, dtype=np.float64).ravel() for m in maps]
    values = np.concatenate(known) if known else np.empty(0)
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return None
    near, far = np.percentile(values, (2, 98)).tolist()
    return near, far


def depth_bar(limits: Limits, size: tuple[int, int] = (12, 240)) -> Image:
    """The colours of a depth scale from near (left) to far, (height, width, 3)."""
    near, far = limits
    ramp: NDArray[np.float64] = np.linspace(max(near, 1e-6), far, size[1])
    return colorize_depth(np.tile(ramp, (size[0], 1)), limits)


def error_text(kind: str, values: ArrayLike, truth: ArrayLike, classes: int = 0) -> str:
    """How right a prediction is, in a word or two for a caption; "" where nothing is known.

    Args:
        kind: the kind of the output.
        values: the prediction.
        truth: its truth, of the same shape.
        classes: number of classes of a segmentation.
    """
    guess, true = np.asarray(values), np.asarray(truth)
    if guess.shape != true.shape:
        return ""
    if kind == "segmentation":
        counted = (true >= 0) & (true < classes)
        return (
            f"{100 * float((guess == true)[counted].mean()):.0f} % right" if counted.any() else ""
        )
    guess, true = guess.astype(np.float64), true.astype(np.float64)
    if kind == "normal":
        known = np.isfinite(true).all(-1)
        dots = (guess * true).sum(-1)[known].clip(-1, 1)
        return f"{np.degrees(np.arccos(dots)).mean():.1f}° off" if known.any() else ""
    known = np.isfinite(true) & ((true > 0) if kind == "depth" else True)
    if kind == "depth" and known.any():
        return f"RMSE {np.sqrt(((guess - true)[known] ** 2).mean()):.2f} m"
    return ""
