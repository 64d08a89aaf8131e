"""Files and their bytes: what can be read to its end, and no more than memory holds."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.formats.headers import BYTE_LIMIT, Header, read_header
from cen.errors import DataError


@dataclass(frozen=True)
class InMemoryFile:
    """A file whose bytes are in memory: a member of a shard.

    Attributes:
        name: what messages call it.
        content: its bytes.
    """

    name: str
    content: NDArray[np.uint8]

    def __str__(self) -> str:
        return self.name


File = str | Path | InMemoryFile


def ordinary(path: str | Path) -> Path:
    """The path of a file that can be read to its end."""
    path = Path(path)
    if path.stat() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a folder or no ordinary file", str(path))
    return path


def is_file(path: Path) -> bool:
    """Whether there is a file; no error of a name that cannot be one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_content(path: File) -> NDArray[np.uint8]:
    """The bytes of a file."""
    if isinstance(path, InMemoryFile):
        return path.content
    try:
        path = ordinary(path)
        size = path.stat().st_size
        if size > BYTE_LIMIT:
            raise DataError(f"{path}: has {size} bytes, the limit is {BYTE_LIMIT}; cut it up")
        return np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_with_header(path: File) -> tuple[NDArray[np.uint8], Header]:
    """The bytes of a file, and what they say of its picture."""
    content = read_content(path)
    return content, read_header(content.data, path)
