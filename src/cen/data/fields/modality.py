"""What a modality is: a field of a data set, as it is described, read and prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields import geometry, option_checks
from cen.data.fields.encodings import ENCODINGS, Encoding, before_geometry, needs_camera
from cen.data.fields.field_description import FieldDescription, Kind
from cen.data.fields.field_kind import FieldKind, has_directions
from cen.data.fields.field_kinds import KINDS
from cen.data.fields.holes import fill_holes
from cen.data.formats.file_bytes import File
from cen.data.formats.stored import Scalings, Stored
from cen.errors import DataError

# Options that say how files are stored, whatever the kind.
_OF_FILES = ("bands", "page", "variable", "exif")


@dataclass(frozen=True)
class Modality(FieldDescription):
    """One field of a data set: how its files are read, and what becomes of them.

    In the program (raw values) an image is (H, W, C) or (H, W) in its file's values (RGB order,
    0..255 for 8-bit files); depth is (H, W) float32 in metres; a normal is (H, W, 3) float32, unit
    vectors with x right, y down, z forward; a label is (H, W) integer; an edge is (H, W) float32
    in 0..1; continuous values are (H, W) or (H, W, C) float32. NaN is "missing" in all floats.

    As an input the network sees ``(encoded * scale - mean) / std``, and ``fill`` where a value is
    missing or a crop is padded; the fill of 0 is the mean colour or the mean depth. As ground truth
    see `to_target`.

    The options, with their units and defaults, are those of `FieldDescription`; what the kind
    decides is in its class (`cen.data.fields.field_kind.FieldKind`).

    Raises:
        ConfigError: values that do not fit the kind or each other.
    """

    def __post_init__(self) -> None:
        option_checks.check(self)

    @property
    def field_kind(self) -> FieldKind:
        """What is done with fields of this kind."""
        return KINDS[self.kind]

    @property
    def encoded_by(self) -> Encoding:
        """The encoding that ``encoding`` names."""
        return ENCODINGS[self.encoding]

    @property
    def stored_channels(self) -> int:
        """Channels of raw values."""
        return self.field_kind.stored_channels(self)

    @property
    def coloured(self) -> bool:
        """Whether raw values are red, green and blue."""
        return self.field_kind.colours and self.channels == 3

    @property
    def vectors(self) -> bool:
        """Whether values are directions once they are prepared, and turn with the picture."""
        return has_directions(self, self.field_kind)

    @property
    def before_geometry(self) -> bool:
        """Whether the encoding looks at the whole picture, and so runs in `prepare`."""
        return before_geometry(self)

    @property
    def in_metres(self) -> bool:
        """Whether prepared values are distances."""
        return self.field_kind.metres and not self.before_geometry

    @classmethod
    def of(cls, kind: Kind = "image", channels: int | None = None, **options: Any) -> Modality:
        """A modality with the defaults of its kind and encoding wherever None is given.

        ``missing`` may be one value; ``.nan`` alone, like an empty list, says that none is.
        ``bands`` may be their number, of which the first are read.
        Images: 3 channels, values / 255 (16 bits: / 65535), ImageNet's mean and deviation (for
        other than 3 channels their averages), cubic. Depth: millimetres, 0 is missing, mean 3 m
        and deviation 1.25 m, nearest. Others: mean 0, deviation 1, linear; labels nearest. An
        encoding has its own mean and deviation, see docs/modalities.md.

        Args:
            kind: what the values are.
            channels: what the network gets.
            **options: the others of `FieldDescription`.

        Raises:
            ConfigError: values that do not fit the kind or each other.
            TypeError: there is no such option.
        """
        names = {field.name for field in fields(cls)} - {"kind", "channels"}
        if unknown := [name for name in options if name not in names]:
            raise TypeError(f"Modality.of() has no option {unknown[0]!r}")
        overrides = {name: value for name, value in options.items() if value is not None}
        encoding, bands = overrides.get("encoding", "raw"), overrides.get("bands")
        option_checks.one_of("kind", kind, KINDS)
        option_checks.one_of("encoding", encoding, ENCODINGS)
        usual = KINDS[kind].defaults(ENCODINGS[encoding], channels, overrides)
        if isinstance(bands, int):
            single = KINDS[kind].single or ENCODINGS[encoding].colours
            overrides["bands"] = range(1 if single else usual["channels"])
        return cls(kind, **{**usual, **overrides})

    def read_as(self, described: Mapping[str, Any]) -> Modality:
        """This modality, with what its files are as a data set says it where nothing else is said.

        How values are stored is a matter of the files. A modality that somebody made by hand gets
        it here, so that the one that is kept with a network reads files as the data set does.

        Args:
            described: arguments of `of` that describe the field.
        """
        if described.get("kind", "image") != self.kind:
            return self
        of_files = Modality.of(**described)
        file_options = {
            name: getattr(of_files, name)
            for name in (*self.field_kind.file_options, *_OF_FILES)
            if name in described and getattr(self, name) == getattr(type(self), name)
        }
        return replace(self, **file_options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for configurations and checkpoints; ``from_dict`` reads them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Modality:
        """The modality that ``to_dict`` described; keys left out get the defaults of the kind.

        Raises:
            ConfigError: an unknown key or a value that does not fit.
        """
        return cls.of(**option_checks.from_file(values))

    def read(self, path: File) -> NDArray[Any]:
        """Reads a file of this modality; see docs/modalities.md for the formats.

        Returns:
            Raw values. Image: (H, W, 3) uint8 in RGB order, (H, W) for one channel, (H, W, C)
            otherwise as stored. Others: see the class.

        Raises:
            DataError: the file is missing, cannot be decoded, is too large, or has other channels
                or bits.
        """
        stored = self.field_kind.read_file(path, self)
        self.check_scalings(stored.scalings, str(path))
        return self.from_stored(stored.values, str(path), nodata=stored.nodata)

    def from_stored(
        self, stored: NDArray[Any], source: str = "array", *, nodata: float | None = None
    ) -> NDArray[Any]:
        """Raw values from those that a file holds, for containers that are not read by `read`.

        Args:
            stored: (H, W) or (H, W, C), colours in RGB order; the bands that are meant alone.
            source: how messages name the file.
            nodata: what the file itself calls no data.

        Raises:
            DataError: other channels, bits or types than declared.
        """
        if stored.dtype.kind not in "uif":
            raise DataError(
                f"{source}: holds values of type {stored.dtype}, not numbers; convert them, such "
                "as with .astype('uint8')"
            )
        bits = 8 * stored.dtype.itemsize
        if self.bits is not None and bits != self.bits:
            raise DataError(
                f"{source}: holds values of {bits} bits, not of {self.bits} as declared; a picture "
                "saved anew by a viewer or as JPEG has lost its values: use the original file, or "
                "declare its bits"
            )
        return self.field_kind.raw_values(Stored(stored, nodata), self, source)

    def check_scalings(self, scalings: Scalings, source: str) -> None:
        """Refuses a file that itself says that its numbers are worth something else.

        Raises:
            DataError: of its scales and offsets, by band, one is other than ``unit``.
        """
        if "unit" not in self.field_kind.own_options:
            return
        for scale, offset in scalings:
            if (scale, offset) not in ((1.0, 0.0), (self.unit_or_one, 0.0)):
                raise DataError(
                    f"{source}: says that a stored number is to be multiplied by {scale:.9g}, and "
                    f"{offset:.9g} added, but it is read as stored times unit: "
                    f"{self.unit_or_one:.9g}. Apply it (GDAL does: gdal_translate -unscale -ot "
                    "Float32 IN OUT), then with the unit of what comes out"
                )

    def check_array(self, name: str, array: NDArray[Any]) -> None:
        """Refuses an array of somebody's own that is not what `read` gives of a file.

        Raises:
            DataError: other numbers or another shape, named.
        """
        self.field_kind.check_array(name, array, self)

    def prepare(self, values: NDArray[Any], intrinsics: Any = None) -> NDArray[Any]:
        """What is done to the whole picture before it is resized, mirrored, turned or cropped.

        What is infinite is missing; clipping, filling of holes, and encodings that look at more
        than one pixel.

        Args:
            values: raw.
            intrinsics: (3, 3) or (fx, fy, cx, cy) of this picture, if the sample has them.

        Returns:
            Raw or encoded values, NaN where missing.

        Raises:
            DataError: the encoding needs intrinsics and there are none.
        """
        # An infinite value is no measurement: encodings would make a number or a colour of it.
        if values.dtype.kind == "f" and not (measured := np.isfinite(values)).all():
            values = np.where(measured, values, np.nan)
        if self.clip is not None:
            values = np.clip(values, self.clip[0], self.clip[1])
        if self.fill_holes is not None:
            values = fill_holes(values, self.fill_holes)
        if self.before_geometry:
            size = (values.shape[0], values.shape[1])
            camera = needs_camera(self, intrinsics, size) if self.encoded_by.camera else None
            values = self.encoded_by.encode(np.asarray(values, np.float32), self, camera)
        return values

    def normalise(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """What the network sees of prepared values: (C, H, W) float32, without NaN."""
        numbers = self.field_kind.normalise(self, prepared)
        if not np.issubdtype(prepared.dtype, np.integer):
            numbers[~np.isfinite(numbers)] = self.fill
        return numbers

    def to_network(self, values: NDArray[Any], intrinsics: Any = None) -> NDArray[np.float32]:
        """What the network sees of raw values: (C, H, W) float32, without NaN.

        Raises:
            DataError: other channels, or the encoding needs intrinsics and there are none.
        """
        return self.normalise(self.prepare(values, intrinsics))

    def prepare_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """What is done to the whole picture of ground truth before its geometry."""
        return self.prepare(values) if self.field_kind.open_range else values

    def target(self, prepared: NDArray[Any]) -> NDArray[Any]:
        """Ground truth from values of `prepare_target`; see `to_target`."""
        return self.field_kind.truth(self, prepared)

    def to_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as ground truth.

        Encodings and normalisation are of inputs; only continuous values, whose range nothing else
        says, have them as targets too.

        Returns:
            label: (H, W) int64. depth: (1, H, W) float32 metres, NaN where missing. normal:
            (3, H, W), NaN where missing. edge: (1, H, W) in [0, 1]. image: (C, H, W) in [-1, 1].
            continuous: (C, H, W), encoded and normalised like an input, NaN where missing.
        """
        return self.target(self.prepare_target(values))

    def from_network(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Inverse of ``to_network`` up to rounding and holes, for pictures.

        Args:
            numbers: (C, H, W).

        Returns:
            Images: (H, W, C) (one channel: (H, W)) uint8, or uint16 where ``bits`` is 16. Depth
            and edges: (H, W) float32 in raw values. Of an encoding without inverse what it shows:
            0..1 for ``minmax``, (H, W, 3) uint8 colours for ``jet`` and ``hha``, vectors for
            ``normals``. Labels: (H, W), the strongest class.
        """
        return self.field_kind.denormalise(self, numbers)

    def from_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Inverse of ``to_target``, also of what a network predicts: raw values; images 8 bits."""
        return self.field_kind.from_truth(self, values)

    def resize(self, values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Resizes raw or prepared values to (H, W) with this modality's interpolation.

        Missing values are not blended with others; vectors keep length 1.
        """
        resized = geometry.resize(values, size, self.interpolation)
        blends = self._turns(resized) and self.interpolation != "nearest"
        return geometry.unit_length(resized) if blends else resized

    def mirror(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw or prepared values mirrored left and right; the x of vectors changes its sign."""
        mirrored = values[:, ::-1]
        if not self._turns(values):
            return mirrored
        return np.asarray(mirrored * np.array((-1, 1, 1), dtype=values.dtype))

    def rotate(self, values: NDArray[Any], degrees: float, outside: float) -> NDArray[Any]:
        """Raw or prepared values turned counter-clockwise about the centre; vectors turn with it.

        Args:
            values: (H, W) or (H, W, C).
            degrees: how far.
            outside: what integers get where the picture does not reach; floats get NaN.
        """
        outside = float("nan") if np.issubdtype(values.dtype, np.floating) else outside
        turned = geometry.rotate(values, degrees, self.interpolation, outside)
        if not self._turns(values):
            return turned
        return geometry.unit_length(geometry.turn_vectors(turned, degrees))

    def _turns(self, values: NDArray[Any]) -> bool:
        """Whether values are vectors; those of depth are only once it was encoded as normals."""
        return self.vectors and values.ndim == 3

    def picture(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as something to look at.

        Returns:
            (H, W, 3) uint8; depth stays (H, W) metres and a label (H, W) classes. Of several bands
            the first is shown, from its darkest to its brightest value.
        """
        return self.field_kind.shown(values)
