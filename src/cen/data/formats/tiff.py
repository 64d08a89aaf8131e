"""Reading TIFF files: any number of bands, first, last or one a page, and what means "no data"."""

from __future__ import annotations

import io
import re
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cen.data.formats.headers import VALUE_LIMIT, check_size
from cen.data.formats.stored import Stored
from cen.errors import DataError

_NONE, _DEFLATE, _JPEG = 1, (8, 32946), 7
_COMPRESSIONS = {
    _NONE: "none",
    5: "LZW",
    _JPEG: "JPEG",
    **dict.fromkeys(_DEFLATE, "deflate"),
    32773: "PackBits",
    34925: "LZMA",
    50000: "ZSTD",
}
_NODATA, _METADATA = 42113, 42112
_SCALING = re.compile(r'<Item\b([^>]*\brole="(scale|offset)"[^>]*)>([^<]*)</Item>')
_SAMPLE = re.compile(r'\bsample="(\d+)"')
_MINISWHITE, _PALETTE, _CMYK, _YCBCR = 0, 3, 5, 6
_OTHER_COLOURS = {
    _YCBCR: "luminance and chroma (YCbCr)",
    **dict.fromkeys((8, 9, 10), "CIE L*a*b*"),
    32803: "the filters of a sensor (CFA)",
    34892: "a sensor without its curve (linear raw)",
    **dict.fromkeys((32844, 32845), "logarithmic luminance"),
}
_MOST_PAGES = 4096
_ADVICE = "write it with deflate, such as gdal_translate -co COMPRESS=DEFLATE IN OUT"


def read_tiff(
    content: NDArray[np.uint8], path: object, page: int | None = None, picture: bool = True
) -> Stored:
    """Decodes a TIFF or BigTIFF.

    Args:
        content: the whole file.
        path: what messages call it.
        page: which of its pictures, from 0; None: the only one, or all of one band each as bands.
            Smaller copies (overviews) and masks are no pictures.
        picture: whether its values are colours: those of a palette are looked up, and brightness
            that is stored upside down (0 is white) is turned. Else the stored numbers.

    Returns:
        (H, W) or (H, W, C); the number that its tag GDAL_NODATA (42113) calls no data; and by band
        the scale and the offset that its tag GDAL_METADATA (42112) says, 1 and 0 where nothing.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(content.data)) as file:
            chosen = _chosen(file, path, page)
            nodata = _nodata(chosen[0])
            scalings = [scaling for one in chosen for scaling in _scalings(one)]
            arrays = [_page(content, one, path, nodata, picture) for one in chosen]
    except DataError:
        raise
    except Exception as error:  # damaged files end in exceptions of many types there
        raise DataError(f"{path}: not a TIFF that can be decoded ({error})") from error
    array = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=2)
    return Stored(np.ascontiguousarray(array), nodata, scalings)


def _chosen(file: tifffile.TiffFile, path: object, page: int | None) -> list[Any]:
    """The page that is meant, or several that are bands of one picture."""
    if len(file.pages) > _MOST_PAGES:
        raise DataError(f"{path}: has {len(file.pages)} pages, the limit is {_MOST_PAGES}")
    pages = [one for one in map(file.pages.__getitem__, range(len(file.pages))) if _shown(one)]
    if page is not None:
        if page >= len(pages):
            raise DataError(
                f"{path}: page {page} is asked for, but the last of its {len(pages)}, counted from "
                f"0, is {len(pages) - 1}"
            )
        return [pages[page]]
    first: Any = pages[0]
    if len(pages) == 1:
        return pages
    alike = {(one.shape, one.dtype) for one in pages}
    if len(alike) > 1 or len(first.shape) > 2:
        shapes = ", ".join(" × ".join(map(str, one.shape)) for one in pages[:4])
        raise DataError(
            f"{path}: a TIFF of {len(pages)} pages ({shapes}{', ...' if len(pages) > 4 else ''}), "
            "which are not the bands of one picture; choose one with page: 0, or cut the file up"
        )
    check_size(first.imagelength, first.imagewidth, len(pages), path)
    return pages


def _shown(page: Any) -> bool:
    """Whether a page is a picture of its own, no smaller copy or mask of another."""
    return not (page.is_reduced or page.is_mask)


def _nodata(page: Any) -> float | None:
    """What the file says means no data, None where it says nothing that is a number."""
    tag = page.tags.get(_NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 ").replace(",", "."))
    except ValueError:
        return None


def _scalings(page: Any) -> list[tuple[float, float]]:
    """By band the scale and the offset that turn stored numbers into what they are worth."""
    count = page.samplesperpixel
    said = {"scale": [1.0] * count, "offset": [0.0] * count}
    tag = page.tags.get(_METADATA)
    for attributes, role, number in _SCALING.findall("" if tag is None else str(tag.value)):
        sample = _SAMPLE.search(attributes)
        for at in range(count):
            if sample is None or int(sample[1]) == at:
                said[role][at] = float(number)
    return list(zip(*said.values(), strict=True))


def nodata_tag(path: Path) -> float | None:
    """What the first picture of a TIFF calls no data; None of other files and of damaged ones."""
    try:
        with path.open("rb") as start:
            if start.read(2) not in (b"II", b"MM"):
                return None
        with tifffile.TiffFile(path) as file:
            return _nodata(file.pages.first)
    except Exception:  # damaged files end in exceptions of many types there
        return None


def _page(
    content: NDArray[np.uint8], page: Any, path: object, nodata: float | None, picture: bool
) -> NDArray[Any]:
    """One picture, with its bands last."""
    _check(content, page, path)
    colours = _OTHER_COLOURS.get(page.photometric)
    decoded = page.photometric == _YCBCR and page.compression == _JPEG  # to RGB, as in any JPEG
    if picture and colours and not decoded:
        raise DataError(f"{path}: a TIFF whose colours are {colours}; convert it to RGB")
    # What tiles that are left out hold; tifffile itself refuses numbers that are rounded.
    vars(page)["nodata"] = _as_type(nodata, page.dtype)
    array: NDArray[Any] = page.asarray(maxworkers=1)
    axes = page.axes
    if axes == "SYX":
        array, axes = np.moveaxis(array, 0, -1), "YXS"
    page_size = (page.imagelength, page.imagewidth)
    if axes not in ("YX", "YXS") or array.shape[:2] != page_size:
        raise DataError(f"{path}: a TIFF of shape {array.shape} ({axes}); is it cut short?")
    bits = page.bitspersample
    if page.photometric == _PALETTE and picture and page.colormap is not None:
        # 16 bits a colour, of which those of 8-bit pictures are repeated.
        return np.asarray(page.colormap.T[array] >> 8, dtype=np.uint8)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if page.photometric == _MINISWHITE and picture and array.dtype.kind == "u":
        array = array.dtype.type(np.iinfo(array.dtype).max >> (8 * array.itemsize - bits)) - array
    if picture and isinstance(bits, int) and bits < 8:
        array = np.asarray(array.astype(np.uint16) * 255 // (2**bits - 1), dtype=np.uint8)
    return array


def _as_type(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """The number in the type of the file; 0, as in a file that says nothing, where it has none."""
    if nodata is None:
        return 0
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    if dtype.kind not in "ui":
        return 0
    limits = np.iinfo(dtype)
    return int(nodata) if limits.min <= nodata <= limits.max and nodata == int(nodata) else 0


def _check(content: NDArray[np.uint8], page: Any, path: object) -> None:
    """Refuses what is not decoded, and what would be larger than it says."""
    channels = page.samplesperpixel
    check_size(page.imagelength, page.imagewidth, channels * page.imagedepth, path)
    name = _COMPRESSIONS.get(page.compression)
    if name is None:
        supported = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        compression = getattr(page.compression, "name", page.compression)
        raise DataError(
            f"{path}: a TIFF with the compression {compression}, which is not decoded here "
            f"({supported} are); {_ADVICE}"
        )
    dtype = page.dtype
    if dtype is None or dtype.kind not in "uifb":
        bits = page.bitspersample
        raise DataError(
            f"{path}: a TIFF of {dtype or f'samples of {bits} bits'}, which are no real numbers; "
            "write integers or floats, such as the real and the imaginary part as two bands"
        )
    if page.photometric == _CMYK and channels == 4:
        raise DataError(f"{path}: a TIFF of four inks (CMYK); convert it to RGB")
    if page.imagedepth != 1:
        raise DataError(f"{path}: a TIFF of {page.imagedepth} slices (a volume); cut it up")
    plain = page.compression == _NONE and page.predictor == 1
    if not (plain or (page.compression in _DEFLATE and page.predictor == 1) or _imagecodecs()):
        raise DataError(
            f"{path}: a TIFF with compression {name} and predictor {int(page.predictor)} needs the "
            "package imagecodecs; pip install 'cen[data]'"
        )
    # A segment that is left out has no bytes; a part beyond the end has not all of its.
    for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if at + size > content.size:
            raise DataError(
                f"{path}: is cut short: its picture reaches to byte {at + size}, it has "
                f"{content.size}"
            )
    part = min(int(np.prod(page.chunks)), VALUE_LIMIT)
    if page.compression in _DEFLATE and not _imagecodecs():
        _check_inflated(content, page, part * dtype.itemsize, path)
    if page.compression == _JPEG:
        _check_jpeg(content, page, path)


def _imagecodecs() -> bool:
    return find_spec("imagecodecs") is not None


def _check_inflated(content: NDArray[np.uint8], page: Any, part: int, path: object) -> None:
    """Refuses strips and tiles that are larger than they say; imagecodecs does so by itself."""
    for number, (at, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        inflated = zlib.decompressobj().decompress(content[at : at + size].data, part + 1)
        if len(inflated) > part:
            raise DataError(
                f"{path}: strip or tile {number} holds more than the {part} bytes of a part"
            )


def _check_jpeg(content: NDArray[np.uint8], page: Any, path: object) -> None:
    """Refuses strips and tiles whose own headers claim another size than the file does."""
    height, width = page.chunks[-3:-1] if page.axes.endswith("S") else page.chunks[-2:]
    for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        claimed = _jpeg_size(content[at : at + size].tobytes()) if size else None
        if claimed is not None and (claimed[0] > height or claimed[1] > width):
            raise DataError(
                f"{path}: a strip or tile claims {claimed[0]} × {claimed[1]} pixels, the file "
                f"{height} × {width}"
            )


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in the frame header of a JPEG stream."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return (
                int.from_bytes(data[at + 5 : at + 7], "big"),
                int.from_bytes(data[at + 7 : at + 9], "big"),
            )
        at += 2 + length
    return None
