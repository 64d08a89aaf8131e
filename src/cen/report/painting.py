"""Pictures of what a network predicts, by the kind of its output, as uint8 RGB arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cen.report.colours import NEUTRAL, Image, colorize, colorize_depth, to_picture

Array = NDArray[Any]
Limits = tuple[float, float]


def paint(kind: str, values: ArrayLike, colours: Image, limits: Limits | None = None) -> Image:
    """One prediction, or its truth, as an RGB picture (H, W, 3). Missing values are neutral grey.

    ``values`` are laid out as by `cen.predict.arrays.read_prediction`, ``colours`` is the (C, 3)
    palette of a segmentation; ``limits``, see `scale_limits`, are by default of this picture alone.
    """
    return _painter(kind).paint(np.asarray(values), colours, limits)


def scale_limits(kind: str, maps: Iterable[ArrayLike]) -> Limits | None:
    """The ends of the colour scale that maps share; None for kinds that need no scale."""
    return depth_limits(maps) if _painter(kind).scaled else None


def how_to_read(kind: str) -> str:
    """How the pictures of a kind are read, a sentence; "" where they speak for themselves."""
    return _painter(kind).key


def error_text(kind: str, values: ArrayLike, truth: ArrayLike, classes: int = 0) -> str:
    """How right a prediction of its truth's shape is, for a caption; "" where nothing tells."""
    guess, true = np.asarray(values), np.asarray(truth)
    error = _painter(kind).error
    return "" if guess.shape != true.shape or error is None else error(guess, true, classes)


def paint_errors(kind: str, values: ArrayLike, truth: ArrayLike, classes: int) -> Image | None:
    """Where a prediction is wrong, red on nearly white; None for kinds without right or wrong."""
    guess, true = np.asarray(values), np.asarray(truth)
    wrong = _painter(kind).wrong
    if wrong is None or guess.shape != true.shape:
        return None
    counted, errors = wrong(guess, true, classes)
    painted: Image = np.full((*errors.shape, 3), (240, 240, 240), np.uint8)
    painted[errors] = (200, 40, 40)
    painted[~counted] = NEUTRAL
    return painted


def paint_normals(normals: ArrayLike) -> Image:
    """Unit vectors (H, W, 3) as colours: x, y and −z from −1..1 to 0..255, facing us is light."""
    vectors = np.asarray(normals, dtype=np.float32)
    valid: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(-1))
    turned = np.where(valid[..., None], vectors, 0) * np.array((1, 1, -1), dtype=np.float32)
    painted: Image = (127.5 + 127.5 * turned).round().clip(0, 255).astype(np.uint8)
    painted[~valid] = NEUTRAL
    return painted


def paint_edges(strengths: ArrayLike) -> Image:
    """Strengths (H, W) in 0..1 as grey, black where the edge is strong."""
    values = np.asarray(strengths, dtype=np.float32)
    valid = np.isfinite(values)
    grey = (255 * (1 - np.where(valid, values, 0).clip(0, 1))).round().astype(np.uint8)
    painted: Image = np.repeat(grey[..., None], 3, axis=-1)
    painted[~valid] = NEUTRAL
    return painted


def depth_limits(maps: Iterable[ArrayLike]) -> Limits | None:
    """Nearest and farthest depth (2nd and 98th percentile) of maps that share a colour scale."""
    flat = [np.asarray(m, dtype=np.float64).ravel() for m in maps]
    values = np.concatenate(flat) if flat else np.empty(0)
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


def _wrong(guess: Array, true: Array, classes: int) -> tuple[Array, Array]:
    counted = (true >= 0) & (true < classes)
    return counted, counted & (guess != true)


def _right(guess: Array, true: Array, classes: int) -> str:
    counted = (true >= 0) & (true < classes)
    return f"{100 * float((guess == true)[counted].mean()):.0f} % right" if counted.any() else ""


def _angle(guess: Array, true: Array, classes: int) -> str:
    guess, true = guess.astype(np.float64), true.astype(np.float64)
    valid = np.isfinite(true).all(-1)
    dots = (guess * true).sum(-1)[valid].clip(-1, 1)
    return f"{np.degrees(np.arccos(dots)).mean():.1f}° off" if valid.any() else ""


def _distance(guess: Array, true: Array, classes: int) -> str:
    guess, true = guess.astype(np.float64), true.astype(np.float64)
    valid = np.isfinite(true) & (true > 0)
    return f"RMSE {np.sqrt(((guess - true)[valid] ** 2).mean()):.2f} m" if valid.any() else ""


@dataclass(frozen=True)
class _Painter:
    """How one kind of output is shown, how far off it is said to be, and how pictures are read.

    ``scaled`` says whether the pictures of a row share a scale of depth, ``wrong`` which pixels
    count and which of these are wrong.
    """

    paint: Callable[[Array, Image, Limits | None], Image] = lambda array, *_: to_picture(array)
    error: Callable[[Array, Array, int], str] | None = None
    key: str = ""
    scaled: bool = False
    wrong: Callable[[Array, Array, int], tuple[Array, Array]] | None = None


_PAINTERS: Mapping[str, _Painter] = {
    "segmentation": _Painter(
        lambda array, colours, _: colorize(array, colours),
        _right,
        "Errors: red where the ensemble names another class than the truth.",
        wrong=_wrong,
    ),
    "depth": _Painter(
        lambda array, _, limits: colorize_depth(array, limits),
        _distance,
        "Depth: bright is near, dark is far; one scale for all pictures of a row.",
        scaled=True,
    ),
    "normal": _Painter(
        lambda array, *_: paint_normals(array),
        _angle,
        "Normals: red is x (right), green is y (down), blue is towards us.",
    ),
    "edge": _Painter(lambda array, *_: paint_edges(array), key="Edges: black is certain."),
}
"""By the kind of the output; others are shown as pictures."""


def _painter(kind: str) -> _Painter:
    return _PAINTERS.get(kind, _Painter())
