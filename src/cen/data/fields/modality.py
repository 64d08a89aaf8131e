"""What a modality is: how its files are read and how its values become numbers for a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from cen.data.fields import geometry, kinds
from cen.data.fields.described import from_file
from cen.data.fields.encodings import ENCODINGS, IMAGENET_MEAN, IMAGENET_STD, Encoding, needs_camera
from cen.data.fields.geometry import Interpolation
from cen.data.fields.holes import Filling, fill_holes
from cen.data.fields.kinds import INTERPOLATION, UNIT, Beyond, Kind, one_of
from cen.data.fields.numbers import denormalised, from_truth, normalised, truth
from cen.data.fields.stored import missing_values, raw_values, shown
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import Exif, File, Part, read_stored
from cen.errors import ConfigError


@dataclass(frozen=True)
class Modality:
    """One field of a data set: how its files are read, and what becomes of them.

    In the program (raw values) an image is (H, W, C) or (H, W) in its file's values (RGB order,
    0..255 for 8-bit files); depth is (H, W) float32 in metres; a normal is (H, W, 3) float32, unit
    vectors with x right, y down, z forward; a label is (H, W) integer; an edge is (H, W) float32
    in 0..1; continuous values are (H, W) or (H, W, C) float32. NaN is "missing" in all floats.

    As an input the network sees ``(encoded * scale - mean) / std``, and ``fill`` where a value is
    missing or a crop is padded; the fill of 0 is the mean colour or the mean depth. As ground truth
    see `to_target`.

    Attributes:
        kind: what the values are.
        channels: what the network gets; 1 or 3 for 8-bit images, 1 or 3 for depth, the number of
            classes for a label that is an input.
        unit: what one stored value is worth: metres for depth (0.001 for millimetres); None for an
            edge whose white is 1.
        missing: stored values that mean "not measured", compared in the type of the file; they,
            what the file itself calls no data (GDAL_NODATA of a TIFF), NaN and infinity are
            missing. Empty: no value is, whatever the file says; None: as the file says.
        scale: factor before normalisation.
        mean, std: one number per channel.
        fill: network value of missing pixels and of padding.
        interpolation: how it is resized. Depth is not blended by default, which would invent
            surfaces between an object and the wall behind it.
        encoding: a key of ``cen.data.fields.encodings.ENCODINGS``.
        clip: smallest and largest value; others are set to these. The range of ``jet``. Of an edge
            (0, 1) says that stored values far above white are meant, and count as 1.
        fill_holes: how missing values of an input are filled in: "nearest" or "inpaint".
        intrinsics: (fx, fy, cx, cy) in pixels, where the data set does not give them.
        bits: what a stored value must have; a file with others is refused.
        bit_rotation: by how many places the 16 bits of depth are rotated left in its file.
        farthest, beyond: metres; depth beyond is set to it ("clip"), or "missing".
        axes: where the stored channels of a normal point to.
        bands: which bands of a file are read, from 0; None: all, and a file that has other than
            the channels declared is refused.
        page: which picture of a TIFF is read, from 0; None: the only one, or all as bands.
        variable: which array of an NPZ, MATLAB or HDF5 file is read; None: the only one.
        exif: what is done with a picture that its header says is turned: "turn", "ignore"; None:
            it is refused.
        first: stored number of a label's class 0.
        ignore: stored numbers of a label that are no class.
        values: pairs of a label's stored number and class; others, but ``ignore``, are refused.
        ignore_index: what a label becomes that is no class.

    Raises:
        ConfigError: values that do not fit the kind or each other.
    """

    kind: Kind = "image"
    channels: int = 3
    unit: float | None = 1.0
    missing: tuple[float, ...] | None = None
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fill: float = 0.0
    interpolation: Interpolation = "cubic"
    encoding: str = "raw"
    clip: tuple[float, ...] | None = None
    fill_holes: Filling | None = None
    intrinsics: tuple[float, ...] | None = None
    bits: int | None = None
    axes: str = "+x +y +z"
    bit_rotation: int = 0
    farthest: float | None = None
    beyond: Beyond = "clip"
    bands: tuple[int, ...] | None = None
    page: int | None = None
    variable: str | None = None
    exif: Exif | None = None
    first: int = 0
    ignore: tuple[int, ...] = ()
    ignore_index: int = 255
    values: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        kinds.check(self)

    @property
    def encoded_by(self) -> Encoding:
        """The encoding that ``encoding`` names."""
        return ENCODINGS[self.encoding]

    @property
    def step(self) -> float:
        """What one stored value is worth (``unit``, where it is given)."""
        return 1.0 if self.unit is None else self.unit

    @property
    def stored_channels(self) -> int:
        """Channels of raw values."""
        if self.kind in ("depth", "edge", "label") or self.encoded_by.colours:
            return 1
        return self.channels

    @property
    def vectors(self) -> bool:
        """Whether values are directions once they are prepared, and turn with the picture."""
        return self.kind == "normal" or self.encoding == "normals"

    @property
    def early(self) -> bool:
        """Whether the encoding looks at the whole picture, and so runs in `prepare`."""
        return self.encoded_by.whole and not (self.encoding == "jet" and self.clip is not None)

    @classmethod
    def of(
        cls,
        kind: Kind = "image",
        channels: int | None = None,
        *,
        unit: float | None = None,
        scale: float | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        fill: float | None = None,
        missing: float | Sequence[float] | None = None,
        interpolation: Interpolation | None = None,
        encoding: str | None = None,
        clip: Sequence[float] | None = None,
        fill_holes: Filling | None = None,
        intrinsics: Sequence[float] | None = None,
        bits: int | None = None,
        axes: str | None = None,
        bit_rotation: int | None = None,
        farthest: float | None = None,
        beyond: Beyond | None = None,
        bands: int | Sequence[int] | None = None,
        page: int | None = None,
        variable: str | None = None,
        exif: Exif | None = None,
        first: int | None = None,
        ignore: Sequence[int] | None = None,
        ignore_index: int | None = None,
        values: Sequence[Sequence[int]] | None = None,
    ) -> Modality:
        """A modality with the defaults of its kind and encoding wherever None is given.

        ``missing`` may be one value; ``.nan`` alone, like an empty list, says that none is.
        ``bands`` may be their number, of which the first are read.
        Images: 3 channels, values / 255 (16 bits: / 65535), ImageNet's mean and deviation (for
        other than 3 channels their averages), cubic. Depth: millimetres, 0 is missing, mean 3 m
        and deviation 1.25 m, nearest. Others: mean 0, deviation 1, linear; labels nearest. An
        encoding has its own mean and deviation, see docs/modalities.md.

        Raises:
            ConfigError: values that do not fit the kind or each other.
        """
        name = encoding or "raw"
        one_of("kind", kind, get_args(Kind))
        one_of("encoding", name, ENCODINGS)
        count = channels if channels is not None else kinds.usual_channels(kind, name, bands)
        read = 1 if ENCODINGS[name].colours or kind in ("depth", "edge") else count
        usual_scale, average, spread = kinds.normalisation(kind, name, count, bits)
        return cls(
            kind,
            count,
            unit=unit if unit is not None else UNIT.get(name, UNIT.get(kind, 1.0)),
            missing=missing_values(0.0 if missing is None and kind == "depth" else missing),
            scale=scale if scale is not None else usual_scale,
            mean=tuple(mean if mean is not None else average),
            std=tuple(std if std is not None else spread),
            fill=fill if fill is not None else 0.0,
            interpolation=interpolation or INTERPOLATION.get(kind, "linear"),
            encoding=name,
            clip=None if clip is None else tuple(clip),
            fill_holes=fill_holes,
            intrinsics=None if intrinsics is None else tuple(intrinsics),
            bits=bits,
            axes=axes or "+x +y +z",
            bit_rotation=bit_rotation or 0,
            farthest=farthest,
            beyond=beyond or "clip",
            bands=kinds.band_numbers(bands, read),
            page=page,
            variable=variable,
            exif=exif,
            first=0 if first is None else first,
            ignore=() if ignore is None else tuple(ignore),
            ignore_index=255 if ignore_index is None else ignore_index,
            values=kinds.pairs(values or ()),
        )

    def read_as(self, described: Mapping[str, Any]) -> Modality:
        """This modality, with what its files are as a data set says it where nothing else is said.

        How values are stored is a matter of the files. A modality that somebody made by hand gets
        it here, so that the one that is kept with a network reads files as the data set does.

        Args:
            described: arguments of `of` that describe the field.
        """
        if described.get("kind", "image") != self.kind:
            return self
        keys = {
            "label": ("first", "ignore", "ignore_index", "values"),
            "depth": ("bit_rotation", "farthest", "beyond"),
            "edge": ("clip",),
        }
        wanted = (*keys.get(self.kind, ()), "bands", "page", "variable", "exif")
        of_files = Modality.of(**described)
        given: dict[str, Any] = {
            key: getattr(of_files, key)
            for key in wanted
            if key in described and getattr(self, key) == getattr(type(self), key)
        }
        return replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for configurations and checkpoints; ``from_dict`` reads them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Modality:
        """The modality that ``to_dict`` described; keys left out get the defaults of the kind.

        Raises:
            ConfigError: an unknown key or a value that does not fit.
        """
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in values if key not in known]:
            raise ConfigError(f"{unknown[0]}: no key of a modality; there are {', '.join(known)}")
        return cls.of(**kinds.meaningful(from_file(values, get_type_hints(cls.of))))

    def read(self, path: File) -> NDArray[Any]:
        """Reads a file of this modality; see docs/modalities.md for the formats.

        Returns:
            Raw values. Image: (H, W, 3) uint8 in RGB order, (H, W) for one channel, (H, W, C)
            otherwise as stored. Others: see the class.

        Raises:
            DataError: the file is missing, cannot be decoded, is too large, or has other channels
                or bits.
        """
        if self.kind == "label":
            return self.from_stored(read_labels(path, self.part), str(path))
        stored = read_stored(path, self.part)
        return self.from_stored(stored.values, str(path), nodata=stored.nodata)

    @property
    def part(self) -> Part:
        """What of a file is read."""
        picture = self.kind in ("image", "edge")
        return Part(self.bands, self.page, self.variable, self.exif, picture)

    def from_stored(
        self, stored: NDArray[Any], told: str = "array", *, nodata: float | None = None
    ) -> NDArray[Any]:
        """Raw values from those that a file holds, for containers that are not read by `read`.

        Args:
            stored: (H, W) or (H, W, C), colours in RGB order; the bands that are meant alone.
            told: how messages name the file.
            nodata: what the file itself calls no data.

        Raises:
            DataError: other channels, bits or types than declared.
        """
        return raw_values(stored, self, told, nodata)

    def prepare(self, values: NDArray[Any], intrinsics: Any = None) -> NDArray[Any]:
        """What is done to the whole picture before it is resized, mirrored, turned or cropped.

        Clipping, filling of holes, and encodings that look at more than one pixel.

        Args:
            values: raw.
            intrinsics: (3, 3) or (fx, fy, cx, cy) of this picture, if the sample has them.

        Returns:
            Raw or encoded values, NaN where missing.

        Raises:
            DataError: the encoding needs intrinsics and there are none.
        """
        if self.clip is not None:
            known = np.isfinite(values)
            values = np.where(known, np.clip(values, self.clip[0], self.clip[1]), np.nan)
        if self.fill_holes is not None:
            values = fill_holes(values, self.fill_holes)
        if self.early:
            size = (values.shape[0], values.shape[1])
            camera = needs_camera(self, intrinsics, size) if self.encoded_by.camera else None
            values = self.encoded_by.encode(np.asarray(values, np.float32), self, camera)
        return values

    def normalise(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """What the network sees of prepared values: (C, H, W) float32, without NaN."""
        numbers = normalised(self, prepared)
        if not np.issubdtype(prepared.dtype, np.integer):
            numbers[~np.isfinite(numbers)] = self.fill
        return numbers

    def to_network(self, values: NDArray[Any], intrinsics: Any = None) -> NDArray[np.float32]:
        """What the network sees of raw values: (C, H, W) float32, without NaN.

        Raises:
            DataError: other channels, or the encoding needs intrinsics and there are none.
        """
        return self.normalise(self.prepare(values, intrinsics))

    def target(self, prepared: NDArray[Any]) -> NDArray[Any]:
        """Ground truth from raw values (continuous ones: prepared); see `to_target`."""
        return truth(self, prepared)

    def to_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as ground truth.

        Encodings and normalisation are of inputs; only continuous values, whose range nothing else
        says, have them as targets too.

        Returns:
            label: (H, W) int64. depth: (1, H, W) float32 metres, NaN where missing. normal:
            (3, H, W), NaN where missing. edge: (1, H, W) in [0, 1]. image: (C, H, W) in [-1, 1].
            continuous: (C, H, W), encoded and normalised like an input, NaN where missing.
        """
        return self.target(self.prepare(values) if self.kind == "continuous" else values)

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
        return denormalised(self, numbers)

    def from_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Inverse of ``to_target``, also of what a network predicts: raw values; images 8 bits."""
        return from_truth(self, values)

    def resize(self, values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Resizes raw or prepared values to (H, W) with this modality's interpolation.

        Missing values are not blended with others; vectors keep length 1.
        """
        resized = geometry.resize(values, size, self.interpolation)
        blends = self.vectors and self.interpolation != "nearest"
        return geometry.unit_length(resized) if blends else resized

    def mirror(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw or prepared values mirrored left and right; the x of vectors changes its sign."""
        mirrored = values[:, ::-1]
        return mirrored * np.array((-1, 1, 1), dtype=values.dtype) if self.vectors else mirrored

    def rotate(self, values: NDArray[Any], degrees: float, outside: float) -> NDArray[Any]:
        """Raw or prepared values turned counter-clockwise about the centre; vectors turn with it.

        Args:
            values: (H, W) or (H, W, C).
            degrees: how far.
            outside: what integers get where the picture does not reach; floats get NaN.
        """
        outside = float("nan") if np.issubdtype(values.dtype, np.floating) else outside
        turned = geometry.rotate(values, degrees, self.interpolation, outside)
        if not self.vectors:
            return turned
        return geometry.unit_length(geometry.turn_vectors(turned, degrees))

    def picture(self, values: NDArray[Any]) -> NDArray[Any]:
        """Raw values as something to look at.

        Returns:
            (H, W, 3) uint8; depth stays (H, W) metres and a label (H, W) classes. Of several bands
            the first is shown, from its darkest to its brightest value.
        """
        return values if self.kind in ("depth", "label") else shown(values, self.kind)
