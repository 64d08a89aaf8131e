"""What is said of a field of a data set: how its files are read, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cen.data.fields.geometry import Interpolation
from cen.data.fields.holes import Filling
from cen.data.formats.pictures import Exif, Part

Beyond = Literal["clip", "missing"]
Kind = Literal["image", "depth", "normal", "label", "edge", "continuous"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FieldDescription:
    """The options of a field. `cen.data.Modality` is one with what is done by them.

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

    @property
    def unit_or_one(self) -> float:
        """What one stored value is worth; 1 for an edge whose white is 1."""
        return 1.0 if self.unit is None else self.unit

    def part(self, picture: bool) -> Part:
        """What of a file is read."""
        return Part(self.bands, self.page, self.variable, self.exif, picture)
