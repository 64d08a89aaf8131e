"""Labels of own files: masks of colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.files import read_array
from cen.data.folder_yaml import IGNORED, Description
from cen.errors import ConfigError, DataError, did_you_mean

_UNLABELLED = -1


def class_colours(said: Description, name: str, classes: Sequence[str]) -> dict[int, int]:
    """The class of every colour of a field's masks.

    Returns:
        From colour (65536 red + 256 green + blue) to class number; -1 for pixels without a label.

    Raises:
        ConfigError: a class has no colour, a name is no class, a colour is none or stands twice.
    """
    given = said.fields[name].colours or {}
    at = f"{said.key_of(name)}.colours"
    numbers = {**{label: number for number, label in enumerate(classes)}, IGNORED: _UNLABELLED}
    colours: dict[int, int] = {}
    for label, colour in given.items():
        where = said.at(f"{at}.{label}")
        if label not in numbers:
            raise ConfigError(f"{where}: is no class{did_you_mean(label, classes)}")
        if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
            raise ConfigError(f"{where}: {colour} is no colour; give [red, green, blue], 0..255")
        code = colour[0] << 16 | colour[1] << 8 | colour[2]
        if code in colours:
            raise ConfigError(f"{where}: {colour} is the colour of another class, too")
        colours[code] = numbers[label]
    for label in classes:
        if label not in given:
            raise ConfigError(f"{said.at(at)}: says no colour of the class {label}")
    return colours


def decode_colours(path: Path, colours: dict[int, int], ignore_index: int) -> NDArray[np.int64]:
    """(H, W) class numbers of a mask that holds colours.

    Raises:
        DataError: the file cannot be decoded, or has a colour that is no class.
    """
    image = read_array(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8 or image.ndim != 3:
        raise DataError(f"{path}: a mask of colours has 3 channels of 8 bits, not {image.dtype}")
    wide = image.astype(np.int64)
    codes = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    known = np.array(sorted(colours), dtype=np.int64)
    where = np.searchsorted(known, codes).clip(max=len(known) - 1)
    strange = known[where] != codes
    if np.any(strange):
        values, counts = np.unique(codes[strange], return_counts=True)
        told = ", ".join(
            f"[{code >> 16}, {code >> 8 & 255}, {code & 255}] ({count} pixels)"
            for code, count in zip(values[:3].tolist(), counts[:3].tolist(), strict=True)
        )
        more = f" and {len(values) - 3} more" if len(values) > 3 else ""
        raise DataError(
            f"{path}: colour {told}{more} is no class; name it below colours (as {IGNORED}, if it "
            "shall not count); masks must not be stored as JPEG or resized smoothly"
        )
    classes = np.array([colours[code] for code in known.tolist()], dtype=np.int64)
    numbers: NDArray[np.int64] = classes[where]
    numbers[numbers == _UNLABELLED] = ignore_index
    return numbers
