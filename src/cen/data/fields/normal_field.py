"""Surface normals; where they point is said in `cen.data.fields.geometry`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kind import FieldKind, as_picture, white_of
from cen.data.fields.geometry import unit_length
from cen.data.fields.missing import equal_to, missing_in_file
from cen.data.formats.stored import Stored
from cen.errors import ConfigError, DataError

# A stored normal whose length is not near 1 is none: (128, 128, 128) and (0, 0, 0) of 8 bits.
_SHORTEST, _LONGEST = 0.5, 1.5
_AXES = {"x": 0, "y": 1, "z": 2}


class NormalField(FieldKind):
    """(H, W, 3) float32 unit vectors with x right, y down, z forward, NaN where missing."""

    name = "normal"
    described = "unit vectors, x right, y down, z forward; NaN is missing"
    usual_channels = 3
    network_channels = (3,)
    directions = True
    bounded = True
    own_options = ("missing", "axes")

    def stored_channels(self, field: FieldDescription) -> int:
        """Three."""
        return 3

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """Unit vectors in the axes of CEN."""
        stored = file.values
        if stored.ndim != 3 or stored.shape[2] != 3:
            channels = np.atleast_3d(stored).shape[2]
            raise DataError(f"{source}: {channels} channels; normals have three")
        vectors = _vectors(stored, source)
        length = np.linalg.norm(vectors, axis=2)
        with np.errstate(invalid="ignore"):
            nothing = ~((length > _SHORTEST) & (length < _LONGEST))
        for value in missing_in_file(field, file.nodata):
            nothing |= equal_to(stored, value).all(axis=2)
        axes, signs = parse_axes(field.axes)
        normals = unit_length(vectors[..., axes] * np.array(signs))
        normals[nothing] = np.nan
        return normals

    def impossible(self, values: NDArray[Any]) -> str:
        """Vectors of another length than 1."""
        finite = values[np.isfinite(values).all(axis=-1)]
        off = np.abs(np.linalg.norm(finite, axis=-1) - 1) > 0.1
        if not off.size or off.mean() <= 0.01:
            return ""
        return f"{100 * off.mean():.0f} % of the normals have not length 1; how are they encoded?"

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """X is red, y green and what faces us blue, as everywhere in pictures of CEN."""
        return as_picture(127.5 + 127.5 * values * np.array((1, 1, -1), dtype=np.float32))


def _vectors(stored: NDArray[Any], source: str) -> NDArray[np.float64]:
    """Stored normals as vectors, in the axes of the file."""
    if stored.dtype.kind not in "ui":
        return stored.astype(np.float64)
    if (white := white_of(stored)) is None:
        raise DataError(
            f"{source}: holds {stored.dtype}; normals are integers of 8 or 16 bits without a sign, "
            "whose 0 is -1 and whose white is 1, or floats of -1 to 1: save it as one of these, "
            "such as (values / 32767).astype('float32') of int16"
        )
    return np.asarray(stored * (2.0 / white) - 1.0)


def parse_axes(axes: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Channel and sign of x, y and z in ``"+x -y +z"``, which names each stored channel."""
    words = axes.split()
    names = [word.lstrip("+-") for word in words]
    if sorted(names) != ["x", "y", "z"] or any(
        word[1:] != n for word, n in zip(words, names, strict=True) if word != n
    ):
        raise ConfigError(
            f"axes: {axes!r} does not say what the three channels are; in CEN x points right, y "
            "down, z forward: '+x +y +z', or '+x -y -z' where y points up and z to the camera"
        )
    channels = tuple(names.index(axis) for axis in _AXES)
    return channels, tuple(-1.0 if words[c].startswith("-") else 1.0 for c in channels)
