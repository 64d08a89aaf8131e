"""Which files were compressed by changing their values, as told by their first bytes."""

from __future__ import annotations

from pathlib import Path

from cen.data.formats.file_bytes import read_with_header
from cen.data.formats.headers import Header
from cen.errors import DataError

_JPEG2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}
# Compressions of TIFF: JPEG old and new, lossy DNG, JPEG 2000 (three numbers), WebP.
_TIFF = dict.fromkeys((6, 7, 34892), "JPEG") | dict.fromkeys((33003, 33005, 34712), "JPEG 2000")
_TIFF |= {50001: "WebP"}


def lossy_format(content: bytes | memoryview, header: Header) -> str | None:
    """What a file is called whose compression changes values; None for one that keeps them.

    JPEG, lossy WebP, JPEG 2000 with the irreversible wavelet, and TIFF that holds one of these.
    AVIF, HEIC and JPEG XL are counted among them: whether one of these is exact is not looked for.
    """
    data = memoryview(content)
    start = bytes(data[:16])
    if header.format == "tiff":
        name = _TIFF.get(header.compression)
        return name and f"TIFF with {name} compression"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "lossy WebP" if b"VP8 " in _chunks(data) else None
    if start.startswith(_JPEG2000):
        return "JPEG 2000" if _irreversible(bytes(data[:65536])) else None
    return _named_by_start(start)


def lossy_file(path: Path) -> str | None:
    """`lossy_format` of a file; None where it cannot be told. Others are not read whole for it."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
        if not start.startswith((b"RIFF", b"II", b"MM", *_JPEG2000)):
            return _named_by_start(start)
        content, header = read_with_header(path)
        return lossy_format(content.data, header)
    except (OSError, DataError):
        return None


def refuse_lossy(content: bytes | memoryview, header: Header, path: object) -> None:
    """Refuses labels whose numbers or colours a compression has changed."""
    name = lossy_format(content, header)
    if name is not None:
        raise DataError(
            f"{path}: labels in a {name} file: its compression changes values, so that classes "
            "appear that nobody drew; write them as PNG, from the masks as they were before (what "
            "was lost does not come back)"
        )


def _named_by_start(start: bytes) -> str | None:
    """Formats that the first 16 bytes tell alone."""
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(_JPEG_XL):
        return "JPEG XL"
    return _BRANDS.get(start[8:12]) if start[4:8] == b"ftyp" else None


def _chunks(data: memoryview) -> set[bytes]:
    """Names of the chunks of a RIFF file, those within frames of an animation among them."""
    names, at = set(), 12
    while at + 8 <= len(data):
        name, size = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        names.add(name)
        # The header of a frame has 16 bytes; its own chunks follow.
        at += 24 if name == b"ANMF" else 8 + size + size % 2
    return names


def _irreversible(start: bytes) -> bool:
    """Whether the COD marker of a JPEG 2000 stream names the wavelet that rounds."""
    at = start.find(b"\xff\x52")
    return at < 0 or len(start) <= at + 13 or start[at + 13] == 0
