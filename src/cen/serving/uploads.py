"""Files from somebody else: bounded before anything is decoded, and read as data of a modality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from numpy.typing import NDArray

from cen.data import Modality
from cen.data.formats.file_bytes import InMemoryFile, read_content
from cen.data.formats.headers import read_header
from cen.errors import DataError, shown
from cen.predict.inputs import check_unit, of_unit

_CONTAINERS = ("npz", "mat")
"""Formats whose header does not say how much comes out of them."""
_MOST_CHANNELS = 64


@dataclass(frozen=True)
class Limits:
    """What one request may ask of the machine.

    Attributes:
        megabytes: most of a file.
        megapixels: most of a picture.
        seconds: after which no further subset of the sensors is predicted.
        waiting: requests that wait for their turn; more are refused.
    """

    megabytes: float = 32.0
    megapixels: float = 4.0
    seconds: float = 60.0
    waiting: int = 64


def read_uploads(
    files: Mapping[str, str | Path],
    modalities: Mapping[str, Modality],
    unit: float | None,
    limits: Limits,
) -> dict[str, NDArray[Any]]:
    """The raw values of uploaded files, as `Modality.read` gives them.

    Messages name the modality and the name of the file, no folder of this machine.

    Args:
        files: by modality where the upload lies.
        modalities: how files are read.
        unit: metres per stored value of depth; None: as in training.
        limits: what is refused.

    Raises:
        DataError: a file is too large, or no picture of its modality.
        ConfigError: the unit is no length, or there is no depth.
    """
    if unit is not None:
        modalities = of_unit(modalities, unit)
        check_unit({name: modalities[name] for name in files})
    return {name: _read(name, Path(path), modalities[name], limits) for name, path in files.items()}


def _read(name: str, path: Path, modality: Modality, limits: Limits) -> NDArray[Any]:
    label = f"{name} ({shown(PurePath(path).name, '', 60)})"
    try:
        size = path.stat().st_size
    except OSError:
        raise DataError(f"{label}: did not arrive; send it again") from None
    if size > limits.megabytes * 1e6:
        raise DataError(
            f"{label}: has {size / 1e6:.1f} MB; this page takes {limits.megabytes:g} MB at most"
        )
    content = read_content(path)
    header = read_header(content.data, label)
    if header.format in _CONTAINERS:
        raise DataError(f"{label}: holds several arrays; send a picture, or one array as .npy")
    pixels = header.height * header.width
    # Headers of pictures do not tell them.
    channels = f" of {header.channels} channels" if header.channels > 1 else ""
    if pixels > limits.megapixels * 1e6 or header.channels > _MOST_CHANNELS:
        raise DataError(
            f"{label}: has {header.height} × {header.width} pixels{channels}; this page takes "
            f"{limits.megapixels:g} megapixels and {_MOST_CHANNELS} channels at most"
        )
    values = modality.read(InMemoryFile(label, content))
    if math.prod(values.shape[:2]) > limits.megapixels * 1e6:
        raise DataError(f"{label}: has more pixels than its header says")
    return values
