"""What a kind of field is: the base class of the six kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.encodings import ENCODINGS, Encoding, before_geometry
from cen.data.fields.field_description import FieldDescription
from cen.data.fields.geometry import Interpolation
from cen.data.fields.normalisation import destandardised, rounded, standardised
from cen.data.formats.file_bytes import File
from cen.data.formats.pictures import read_stored
from cen.data.formats.stored import Stored
from cen.errors import ConfigError, DataError

Normalisation = tuple[float, Sequence[float], Sequence[float]]


class FieldKind:
    """One kind of field: its stored form, units, holes, channels, normalisation and ground truth.

    What is here is right for measured numbers, with NaN where nothing was measured; a kind
    overrides what differs. Kinds have no state: the options of a field are its description.

    Attributes:
        name: as ``kind`` of a description.
        described: what raw values are, in words.
        unit: what one stored value is worth unless something else is said.
        missing: the stored value that is missing unless something else is said.
        interpolation: how it is resized unless something else is said.
        usual_channels: what a network gets unless something else is said.
        network_channels: how many a network may get; None: any number.
        single: raw values have one channel, whatever the network gets.
        by_bands: a network gets as many channels as bands are chosen.
        picture: values are colours or brightness, as opposed to numbers.
        colours: three channels are red, green and blue.
        uneven: no sensor gives the same value everywhere.
        bounded: the kind says what values there are; of others sentinels are looked for.
        measured: values come of a sensor, so that a compression that changes them spoils them.
        metres: values are distances.
        directions: values are vectors, which turn with the picture.
        classes: values are class numbers.
        open_range: nothing but the data say the range, so that ground truth is encoded and
            normalised as inputs are.
        changes: options of ``augment`` for fields of this kind, beside those for all.
        own_options: options that mean something for this kind, but not for every one.
        file_options: those of them that say how files are stored.
        instead: what to do instead of giving an option that is not for this kind.
    """

    name: ClassVar[str]
    described: ClassVar[str]
    unit: ClassVar[float | None] = 1.0
    missing: ClassVar[float | None] = None
    interpolation: ClassVar[Interpolation] = "linear"
    usual_channels: ClassVar[int] = 1
    network_channels: ClassVar[tuple[int, ...] | None] = None
    single: ClassVar[bool] = False
    by_bands: ClassVar[bool] = False
    picture: ClassVar[bool] = False
    colours: ClassVar[bool] = False
    uneven: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    measured: ClassVar[bool] = True
    metres: ClassVar[bool] = False
    directions: ClassVar[bool] = False
    classes: ClassVar[bool] = False
    open_range: ClassVar[bool] = False
    changes: ClassVar[tuple[str, ...]] = ()
    own_options: ClassVar[tuple[str, ...]] = ()
    file_options: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[Mapping[str, str]] = {}

    # -- options ----------------------------------------------------------------------------------

    def defaults(
        self, encoding: Encoding, channels: int | None, said: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Options of a field of this kind where nothing is said, beside those that are."""
        count, bands = channels, said.get("bands")
        if count is None and encoding.colours:
            count = 3
        elif count is None and self.by_bands and isinstance(bands, Sequence):
            count = len(bands)
        elif count is None:
            count = self.usual_channels
        scale, mean, std = self.normalisation(count, said.get("bits"))
        if encoding is not ENCODINGS["raw"]:
            repeats = count // len(encoding.mean)
            scale, mean, std = encoding.scale, encoding.mean * repeats, encoding.std * repeats
        return {
            "channels": count,
            "unit": self.unit if encoding.unit is None else encoding.unit,
            "missing": self.missing,
            "scale": scale,
            "mean": mean,
            "std": std,
            "interpolation": self.interpolation,
        }

    def normalisation(self, count: int, bits: int | None) -> Normalisation:
        """Scale, mean and deviation of raw values with ``count`` channels."""
        return 1.0, (0.0,) * count, (1.0,) * count

    def stored_channels(self, field: FieldDescription) -> int:
        """Channels of raw values."""
        return 1 if self.single or ENCODINGS[field.encoding].colours else field.channels

    def check(self, field: FieldDescription) -> None:
        """Refuses options that no field of this kind can have."""
        if field.unit is None:
            raise ConfigError(
                f"unit: must be given for kind {self.name} with encoding {field.encoding}"
            )

    # -- files ------------------------------------------------------------------------------------

    def read_file(self, path: File, field: FieldDescription) -> Stored:
        """The stored values of a file."""
        return read_stored(path, field.part(self.picture))

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """What the values of a file mean.

        Args:
            file: what it holds.
            field: says what that is.
            source: how messages name the file.

        Raises:
            DataError: other channels or types than declared.
        """
        raise NotImplementedError

    def check_array(self, name: str, array: NDArray[Any], field: FieldDescription) -> None:
        """Refuses an array of somebody's own that is not what reading a file gives."""
        if requirement := self.wanted_numbers(array, field):
            raise DataError(f"{self.name} array {name!r} must be {requirement}, got {array.dtype}")
        channels = self.stored_channels(field)
        shapes = "(H, W)" if channels == 1 else f"(H, W, {channels})"
        if array.ndim not in (2, 3) or channels != (1 if array.ndim == 2 else array.shape[-1]):
            raise DataError(f"{self.name} array {name!r} must be {shapes}, got {array.shape}")

    def wanted_numbers(self, array: NDArray[Any], field: FieldDescription) -> str:
        """Which numbers raw values are, where an array holds others."""
        return "" if np.issubdtype(array.dtype, np.floating) else "of float"

    def impossible(self, values: NDArray[Any]) -> str:
        """What is wrong with raw values of a reader's own; empty where nothing is."""
        return ""

    # -- numbers of a network ---------------------------------------------------------------------

    def normalise(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """(C, H, W) float32 as the network sees them, NaN where missing."""
        values = prepared
        if field.encoding != "raw" and not before_geometry(field):
            values = np.asarray(prepared, np.float32)
            values = ENCODINGS[field.encoding].encode(values, field, None)
        return standardised(field, self.planes(field, values))

    def denormalise(self, field: FieldDescription, numbers: NDArray[Any]) -> NDArray[Any]:
        """Raw values of what `normalise` gives, or what an encoding without inverse shows."""
        values, encoding = destandardised(field, numbers), ENCODINGS[field.encoding]
        if encoding.picture:
            return rounded(values, np.uint8)
        # One channel shown as three holds three times the same.
        if self.stored_channels(field) == 1 and not has_directions(field, self):
            values = values[..., 0]
        return encoding.decode(values, field) if encoding.decode else values

    def planes(self, field: FieldDescription, values: NDArray[Any]) -> NDArray[Any]:
        """(H, W, C) with the channels that the network gets."""
        planes = np.atleast_3d(values)
        if planes.shape[2] == 1 and self.stored_channels(field) == 1:
            planes = np.broadcast_to(planes, (*planes.shape[:2], field.channels))
        if planes.shape[2] != field.channels:
            declared = f"but this modality is declared with {field.channels}"
            raise DataError(f"{planes.shape[2]} channels, {declared}")
        return planes

    # -- ground truth -----------------------------------------------------------------------------

    def truth(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[Any]:
        """Ground truth of raw values: (C, H, W) float32, NaN where missing."""
        planes = np.atleast_3d(prepared).astype(np.float32)
        return np.ascontiguousarray(planes.transpose(2, 0, 1))

    def from_truth(self, field: FieldDescription, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values of what `truth` gives."""
        planes = values.astype(np.float32).transpose(1, 2, 0)
        return planes[..., 0] if planes.shape[2] == 1 else planes

    # -- to look at -------------------------------------------------------------------------------

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as a picture: (H, W, 3) uint8; depth stays metres, a label class numbers.

        Of several bands the first is shown, from its darkest to its brightest value.
        """
        band = values if values.ndim == 2 or values.shape[2] == 3 else values[..., 0]
        finite = band[np.isfinite(band)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return as_picture((band.astype(np.float64) - low) * (255.0 / max(high - low, 1e-9)))


def has_directions(field: FieldDescription, kind: FieldKind) -> bool:
    """Whether values are vectors once they are prepared."""
    return kind.directions or field.encoding == "normals"


def as_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) values of 0..255 as (H, W, 3) uint8, black where missing."""
    colours = np.clip(np.rint(np.nan_to_num(values)), 0, 255).astype(np.uint8)
    return np.repeat(colours[..., None], 3, axis=2) if colours.ndim == 2 else colours


def white_of(stored: NDArray[Any]) -> int | None:
    """What white is in a picture of integers; None of those that pictures do not hold.

    Integers with a sign or of more than 16 bits come of arrays, which may hold 0..255 or 0 and 1
    as well as their type's whole range.
    """
    narrow = stored.dtype.kind == "u" and stored.dtype.itemsize <= 2
    return int(np.iinfo(stored.dtype).max) if narrow else None
