"""Lists of files and samples as people write them on any system."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from cen.data.formats.file_bytes import ordinary
from cen.errors import DataError


def read_lines(path: Path) -> list[str]:
    """The lines of a list, as UTF-8 with or without a byte-order mark."""
    try:
        return ordinary(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot read the list ({error}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read the list ({error})") from error


def composed(name: str) -> str:
    """A name in one form of Unicode: some systems write é as two characters, others as one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def forward(path: str) -> str:
    """A path whose folders are parted by /, as everywhere but on Windows."""
    return path.replace("\\", "/")


def existing(root: Path, file: str) -> str:
    """A path below the root as the disk spells it; as it is where there is no such file."""
    if file.isascii() or (root / file).exists():
        return file
    forms = (unicodedata.normalize(form, file) for form in ("NFC", "NFD"))
    return next((form for form in forms if (root / form).exists()), file)
