"""The geometry of pictures and cameras: resizing, turning, intrinsics, normals.

Camera axes are x right, y down, z forward, in metres. Pixel (0, 0) is the centre of the pixel at
the top left; intrinsics are a (3, 3) matrix K with K · (X, Y, Z) = Z · (u, v, 1).

Normals are unit vectors in these axes that point out of the surface, to the side it is seen from:
along the ray of a pixel their component is negative. A wall straight ahead has (0, 0, -1), a floor
(0, -1, 0), and a wall at the left (1, 0, 0). That is the convention of all of CEN; what files hold
is brought to it when they are read (``Modality.axes``). Taskonomy stores the same axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError

Interpolation = Literal["nearest", "linear", "cubic"]
Size = tuple[int, int]
Matrix = NDArray[np.float64]

FLAGS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}

# Types that OpenCV resizes and turns; others are brought to one of them first.
_TYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)
_BANDS = 4


def resize(values: NDArray[Any], size: Size, interpolation: Interpolation) -> NDArray[Any]:
    """Resizes (H, W) or (H, W, C) values to (H', W'); values are never blended with missing ones.

    Where a float picture has missing values (not finite), linear and cubic interpolation become
    the mean of the measured neighbours with their linear weights; a pixel whose measured weight is
    below a half is missing.
    """
    return _blended(
        values,
        lambda picture, flag: cv2.resize(picture, size[::-1], interpolation=flag),
        interpolation,
    )


def resize_part(values: NDArray[Any], size: Size, part: tuple[slice, slice]) -> NDArray[Any]:
    """``resize(values, size, "nearest")[part]``, without making the rest of the picture."""
    rows, columns = (
        # As OpenCV finds the nearest pixel: in double precision, from the corner.
        np.minimum(np.floor(np.arange(p.start, p.stop) * (1.0 / (new / old))), old - 1)
        for p, new, old in zip(part, size, values.shape[:2], strict=True)
    )
    resized = values.take(rows.astype(np.intp), axis=0).take(columns.astype(np.intp), axis=1)
    return np.asarray(resized)


def rotate(
    values: NDArray[Any], degrees: float, interpolation: Interpolation, outside: float
) -> NDArray[Any]:
    """Turns a picture counter-clockwise about its centre, at its own size."""
    height, width = values.shape[:2]
    matrix = _turning(degrees, (height, width))[:2]

    def turned(picture: NDArray[Any], flag: int) -> NDArray[Any]:
        return np.asarray(
            cv2.warpAffine(
                picture,
                matrix,
                (width, height),
                flags=flag,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(outside,) * _BANDS,
            )
        )

    return _blended(values, turned, interpolation)


def turn_vectors(vectors: NDArray[Any], degrees: float) -> NDArray[Any]:
    """(H, W, 3) vectors in the axes of a camera whose picture was turned counter-clockwise."""
    return np.asarray(vectors @ _roll(degrees).T.astype(vectors.dtype))


def unit_length(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) vectors of length 1; NaN where there is no direction left."""
    # NumPy's own norm is several times as slow where the last axis has three entries.
    squares = sum(vectors[..., axis] * vectors[..., axis] for axis in range(3))
    length = np.sqrt(squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where(length > 1e-6, 1.0 / length, np.nan)
    return np.asarray(vectors * factor[..., None], dtype=np.float32)


def as_intrinsics(values: Any, size: Size | None = None) -> Matrix:
    """A (3, 3) intrinsics matrix from that or from (fx, fy, cx, cy), in pixels.

    Args:
        values: either form, or the nine numbers of a matrix row by row.
        size: (H, W) of the whole picture that they belong to, to be checked.

    Raises:
        DataError: they are no intrinsics, or the principal point lies outside the picture, as it
            does where they are those of a larger one.
    """
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    try:
        matrix = np.array(listed, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape == (4,):
        fx, fy, cx, cy = matrix.tolist()
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    matrix = matrix.reshape(3, 3) if matrix.size == 9 else matrix
    sound = matrix.shape == (3, 3) and np.isfinite(matrix).all() and (matrix[2] == (0, 0, 1)).all()
    if not sound or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise DataError(f"intrinsics {listed}: give fx, fy, cx, cy in pixels, or 3 × 3")
    if size is not None and not (0 <= matrix[0, 2] < size[1] and 0 <= matrix[1, 2] < size[0]):
        raise DataError(
            f"intrinsics: the principal point ({matrix[0, 2]:g}, {matrix[1, 2]:g}) lies outside "
            f"the picture of {size[0]} × {size[1]} (height × width); "
            "are they of another resolution?"
        )
    return matrix


def pinhole(focal: float, size: Size) -> Matrix:
    """Intrinsics of a camera that looks through the middle of a picture of (H, W) pixels."""
    return as_intrinsics((focal, focal, 0.5 * size[1] - 0.5, 0.5 * size[0] - 0.5))


def zoom_intrinsics(intrinsics: Matrix, size: Size, to: Size) -> Matrix:
    """Intrinsics after resizing from ``size`` to ``to``, both (H, W)."""
    y, x = to[0] / size[0], to[1] / size[1]
    return _moved([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5], [0, 0, 1]]) @ intrinsics


def flip_intrinsics(intrinsics: Matrix, width: int) -> Matrix:
    """Intrinsics after mirroring left and right; the x axis of the camera is mirrored too."""
    mirror = _moved([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    return np.asarray(mirror @ intrinsics @ np.diag((-1.0, 1.0, 1.0)))


def rotate_intrinsics(intrinsics: Matrix, degrees: float, size: Size) -> Matrix:
    """Intrinsics after `rotate`; the camera's axes turn with the picture."""
    return np.asarray(_turning(degrees, size) @ intrinsics @ _roll(degrees).T)


def crop_intrinsics(intrinsics: Matrix, top: int, left: int) -> Matrix:
    """Intrinsics of a crop whose first pixel is (top, left), negative where it is padded."""
    return np.asarray(_moved([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ intrinsics)


def rays(intrinsics: Matrix, size: Size) -> NDArray[np.float64]:
    """(H, W, 3) points of z = 1 that the pixels see; times the depth they are the points seen."""
    x, y = _sight(intrinsics, size)
    return np.stack((x, y, np.ones(size)), axis=-1)


def normals_from_depth(
    depth: NDArray[Any], intrinsics: Matrix, radius: int = 2
) -> NDArray[np.float32]:
    """Surface normals: a plane fitted to the points of every window, by least squares in 1 / z.

    On a plane 1 / z is linear in the ray's x and y, so that the fit is exact there and takes a few
    box filters. (S. Gupta, P. Arbelaez, J. Malik, "Perceptual Organization and Recognition of
    Indoor Scenes from RGB-D Images", CVPR 2013, fit planes so.) Missing pixels have no part in it.
    At the edge of an object the window mixes two surfaces.

    Args:
        depth: (H, W) along the optical axis; NaN, infinity and values <= 0 are missing.
        intrinsics: (3, 3), in pixels.
        radius: of the window, 2 · radius + 1 pixels wide.

    Returns:
        (H, W, 3) unit vectors towards the camera; NaN where depth is missing or too little of it
        is known in the window.
    """
    measured = np.isfinite(depth) & (np.nan_to_num(depth) > 0)
    size = (depth.shape[0], depth.shape[1])
    x, y = _sight(intrinsics, size)
    inverse = np.divide(1.0, depth, out=np.zeros(size), where=measured)
    weight = measured.astype(np.float64)
    window = (2 * radius + 1, 2 * radius + 1)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(
            cv2.boxFilter(
                values, cv2.CV_64F, window, normalize=False, borderType=cv2.BORDER_CONSTANT
            )
        )

    count = np.rint(total(weight))

    share = 1.0 / np.maximum(count, 1.0)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return total(values * weight) * share

    mx, my, mq = mean(x), mean(y), mean(inverse)
    xx, xy, yy = mean(x * x) - mx * mx, mean(x * y) - mx * my, mean(y * y) - my * my
    xq, yq = mean(x * inverse) - mx * mq, mean(y * inverse) - my * mq
    determinant = xx * yy - xy * xy
    # Points in one line, or fewer than three, are of no plane. The scale is that of the window.
    fits = measured & (count >= 3) & (determinant > 1e-6 * (xx + yy) ** 2)
    divisor = np.where(fits, determinant, 1.0)
    a, b = (yy * xq - xy * yq) / divisor, (xx * yq - xy * xq) / divisor
    c = mq - a * mx - b * my
    normals = unit_length(-np.stack((a, b, c), axis=-1))
    normals[~fits] = np.nan
    return normals


def _blended(
    values: NDArray[Any],
    mapping: Callable[[NDArray[Any], int], NDArray[Any]],
    interpolation: Interpolation,
) -> NDArray[Any]:
    """Applies an OpenCV mapping to values of any type and number of channels, around holes."""
    flag = FLAGS[interpolation]
    floats = np.issubdtype(values.dtype, np.floating)
    if not floats or interpolation == "nearest":
        return _banded(values, mapping, flag)
    measured = np.isfinite(values)
    if measured.all():
        return _banded(values, mapping, flag)
    weight = _banded(measured.astype(np.float32), mapping, cv2.INTER_LINEAR)
    total = _banded(np.where(measured, values, 0).astype(values.dtype), mapping, cv2.INTER_LINEAR)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= 0.5, total / weight, np.nan).astype(values.dtype)


def _banded(
    values: NDArray[Any], mapping: Callable[[NDArray[Any], int], NDArray[Any]], flag: int
) -> NDArray[Any]:
    """An OpenCV mapping of up to four bands at a time, which is what some of them take."""
    if values.dtype.type not in _TYPES:
        integer = flag == cv2.INTER_NEAREST and values.dtype.kind in "iub"
        narrow = values.astype(np.float64 if integer else np.float32)
        return _banded(narrow, mapping, flag).astype(values.dtype if integer else np.float32)
    if values.ndim == 2 or values.shape[2] <= _BANDS:
        mapped = np.asarray(mapping(np.ascontiguousarray(values), flag))
        return mapped[..., None] if mapped.ndim < values.ndim else mapped
    parts: Sequence[NDArray[Any]] = [
        _banded(values[..., band : band + _BANDS], mapping, flag)
        for band in range(0, values.shape[2], _BANDS)
    ]
    return np.concatenate(parts, axis=2)


def _sight(intrinsics: Matrix, size: Size) -> tuple[Matrix, Matrix]:
    """The x and y at z = 1 of what every pixel sees, (H, W) each."""
    inverse = np.linalg.inv(intrinsics)
    columns, rows = np.arange(float(size[1])), np.arange(float(size[0]))[:, None]
    x, y = (a * columns + (b * rows + c) for a, b, c in inverse[:2])
    return x, y


def _roll(degrees: float) -> Matrix:
    """Turns a camera vector as the picture turns, counter-clockwise where y points down."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _turning(degrees: float, size: Size) -> Matrix:
    """The homography of pixels that turns a picture about its centre."""
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    back = _moved([[1, 0, x], [0, 1, y], [0, 0, 1]])
    return np.asarray(back @ _roll(degrees) @ _moved([[1, 0, -x], [0, 1, -y], [0, 0, 1]]))


def _moved(rows: Sequence[Sequence[float]]) -> Matrix:
    return np.array(rows, dtype=np.float64)
