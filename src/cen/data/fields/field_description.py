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

    Those that a configuration has are explained there, see
    `cen.options.data_options.ModalityConfig`; here stand the others, and what differs.

    Attributes:
        channels: what the network gets; 1 or 3 for 8-bit images, 1 or 3 for depth, the number of
            classes for a label that is an input.
        unit: None for an edge whose white is 1.
        missing: they, what the file itself calls no data (GDAL_NODATA of a TIFF), NaN and infinity
            are missing. Empty: no value is, whatever the file says; None: as the file says.
        clip: of an edge (0, 1) says that stored values far above white are meant, and count as 1.
        bit_rotation: by how many places the 16 bits of depth are rotated left in its file.
        farthest, beyond: metres; depth beyond is set to it ("clip"), or "missing".
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
