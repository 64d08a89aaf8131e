"""What can happen to a single file, and where each layout keeps its files."""

import gzip
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cen.data.formats.pictures import write_png

SIZE = (24, 32)
FINE = "fine"
_RNG = np.random.default_rng(0)
NOISE = _RNG.integers(0, 256, 5000, dtype=np.uint8).tobytes()
COLOURS = _RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Variant:
    """One damaged data set.

    Attributes:
        name: what is wrong.
        layout: of the data set.
        spoil: does it, to a copy.
        tells: a part of the path that the message must name.
        kinds: kinds of finding of which one must be there; FINE for none.
    """

    name: str
    layout: str
    spoil: Callable[[Path], object]
    tells: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.layout}-{self.name}"


def png_bomb(width: int = 20000, height: int = 20000) -> bytes:
    """A PNG of a few bytes whose header claims gigabytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        import zlib

        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    import zlib

    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def replaced(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def zipped(path: Path) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.txt", "x" * 500)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone" + path.suffix)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def written(path: Path, values: Any) -> None:
    """An array under a name that may say another type: a PNG, or NPY where floats are needed."""
    path.unlink()
    if values.dtype in (np.uint8, np.uint16):
        other = path.with_name("temporary.png")
        write_png(other, values)
        other.rename(path)
    else:
        with path.open("wb") as file:
            np.save(file, values)


def depths(low: float = 800, high: float = 4000) -> Any:
    return np.linspace(low, high, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda p: replaced(p, b""), "unreadable"),
    "cut-in-half": (lambda p: replaced(p, content_of(p)[: p.stat().st_size // 2]), "unreadable"),
    "cut-in-the-header": (lambda p: replaced(p, content_of(p)[:12]), "unreadable"),
    "noise": (lambda p: replaced(p, NOISE), "unreadable"),
    "text": (lambda p: replaced(p, b"404: not found\n"), "unreadable"),
    "gzip": (lambda p: replaced(p, gzip.compress(content_of(p))), "unreadable"),
    "zip": (zipped, "unreadable"),
    "folder": (as_folder, "unreadable"),
    "link-to-itself": (looped, "missing"),
    "link-to-nothing": (dangling, "missing"),
    "pipe": (as_pipe, "unreadable"),
    "gone": (lambda p: p.unlink(), "missing"),
    "bomb": (lambda p: replaced(p, png_bomb()), "unreadable"),
}
"""What can happen to any file."""

IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, COLOURS[:1, :1]), "size"),
    "other-size": (lambda p: written(p, COLOURS[:, :-1]), "size"),
    "constant": (lambda p: written(p, np.full((*SIZE, 3), 7, np.uint8)), "constant"),
    "16-bit-grey": (lambda p: written(p, depths()), "unreadable"),
    # A grey picture in place of a colour one is read as grey colours (docs/modalities.md).
    "grey": (lambda p: written(p, COLOURS[..., 0].copy()), FINE),
}
DEPTHS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, depths()[:1, :1].copy()), "size"),
    "other-size": (lambda p: written(p, depths()[:-1].copy()), "size"),
    "colours": (lambda p: written(p, COLOURS), "unreadable"),
    "constant": (lambda p: written(p, np.full(SIZE, 2000, np.uint16)), "constant"),
}
LABELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, np.zeros((1, 1), np.uint8)), "size"),
    "other-size": (lambda p: written(p, np.zeros((24, 31), np.uint8)), "size"),
    "colours": (lambda p: written(p, COLOURS), "unreadable"),
    "label-41": (lambda p: written(p, np.full(SIZE, 41, np.uint8)), "label"),
    "label-300": (lambda p: written(p, np.full(SIZE, 300, np.uint16)), "label"),
    "floats": (lambda p: written(p, np.zeros(SIZE, np.float32)), "unreadable"),
    "negative": (lambda p: written(p, np.full(SIZE, -1, np.int32)), "label"),
    "nothing-labelled": (lambda p: written(p, np.full(SIZE, 255, np.uint8)), "label"),
}

HOLES = {"nyudv2": 0, "folder": 0, "sunrgbd": 0, "taskonomy": 65535}
# Where messages must name the file, by layout and field: the path below the root.
PATHS = {
    "nyudv2": {
        "rgb": "rgb/train_00002.png",
        "depth": "depth/train_00002.png",
        "label": "masks/train_00002.png",
    },
    "folder": {
        "rgb": "rgb/train_00002.png",
        "depth": "depth/train_00002.png",
        "label": "parts/train_00002.png",
    },
    "taskonomy": {
        "rgb": "rgb/point_2_view_0_domain_rgb.png",
        "depth": "depth_zbuffer/point_2_view_0_domain_depth_zbuffer.png",
        "label": "segment_semantic/point_2_view_0_domain_segmentsemantic.png",
    },
    "sunrgbd": {
        "rgb": "SUNRGBD/realsense/lg/train_00002/image/train_00002.jpg",
        "depth": "SUNRGBD/realsense/lg/train_00002/depth_bfx/train_00002.png",
    },
}
