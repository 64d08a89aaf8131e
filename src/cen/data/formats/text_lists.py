"""Lists of files and samples as people write them on any system."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

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


def read_entries(path: Path) -> Iterator[tuple[str, str]]:
    """The entries of a list, each after its place; empty lines and those of # are none."""
    empty = True
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            empty = False
            yield f"{path}, line {number}", line.strip()
    if empty:
        raise DataError(f"{path}: the list is empty")


def leaves(file: str) -> bool:
    """Whether a path leads out of the folder that it is relative to; links are not followed."""
    inside = PurePosixPath(posixpath.normpath(file))
    return not file or inside.is_absolute() or inside.parts[:1] == ("..",)


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
