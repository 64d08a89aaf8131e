"""Files below a root, on this machine or elsewhere, read whole or by ranges."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from cen.data.formats.containers import read_npy
from cen.data.formats.file_bytes import ordinary
from cen.errors import DataError
from cen.fetching import is_url

SCHEMES = ("s3", "gs", "https", "http", "hf", "az", "abfs", "abfss", "gcs", "s3a", "memory")
"""Where data may lie besides a folder."""


class Store:
    """Where the files of a data set lie: a folder, or a URL that fsspec opens.

    Args:
        root: a folder or a URL.
        options: of fsspec.
    """

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        self.root, self.options = root.rstrip("/"), dict(options)
        self.local = not is_url(root)
        scheme = root.partition("://")[0]
        if not self.local and (scheme not in SCHEMES or "::" in root):
            # Other file systems of fsspec execute what they read, or chain into such.
            raise DataError(
                f"{root}: data are read from a folder or from {', '.join(SCHEMES)}, not so; "
                "copy them to one of these"
            )

    def path(self, name: str) -> str:
        """A file below the root; messages name it so, too."""
        return f"{self.root}/{name}"

    def size(self, name: str) -> int:
        """Bytes of a local file; 0 where there is none."""
        try:
            return ordinary(self.path(name)).stat().st_size
        except OSError:
            return 0

    def read(self, name: str) -> bytes:
        """A whole file."""
        with _named(self.path(name)):
            if self.local:
                return ordinary(self.path(name)).read_bytes()
            filesystem, path = self._open(name)
            content: bytes = filesystem.cat_file(path)
            return content

    def array(self, name: str) -> NDArray[Any]:
        """An NPY file, mapped where it is local."""
        if not self.local:
            return read_npy(np.frombuffer(self.read(name), np.uint8), self.path(name))
        with _named(self.path(name)):
            mapped: NDArray[Any] = np.lib.format.open_memmap(ordinary(self.path(name)), mode="r")
            return mapped

    def ranges(self, names: Sequence[str], ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Ranges (start, stop) of files; over a network many at a time."""
        with _named(self.root):
            contents: list[Any] = (
                list(self._local(names, ranges)) if self.local else self._far(names, ranges)
            )
        for name, (start, stop), content in zip(names, ranges, contents, strict=True):
            if isinstance(content, BaseException):
                reason = _reason(content)
                raise DataError(f"{self.path(name)}: cannot be read ({reason})") from content
            if len(content) != stop - start:
                raise DataError(
                    f"{self.path(name)}: ends before byte {stop}, where its index says a file is"
                )
        return contents

    def _local(self, names: Sequence[str], ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        for name, of_name in groupby(zip(names, ranges, strict=True), key=itemgetter(0)):
            with _named(self.path(name)), ordinary(self.path(name)).open("rb", 0) as file:
                for _, (start, stop) in of_name:
                    yield os.pread(file.fileno(), stop - start, start)

    def _far(self, names: Sequence[str], ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Bytes, or the error of a range."""
        filesystem, _ = self._open("")
        paths = [self._open(name)[1] for name in names]
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        contents: list[Any] = filesystem.cat_ranges(paths, starts, stops, on_error="return")
        return contents

    def _open(self, name: str) -> tuple[Any, str]:
        """The file system and the path in it. fsspec keeps one per process, also after a fork."""
        filesystem, path = fsspec.core.url_to_fs(self.path(name), **self.options)
        return filesystem, str(path)


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Every kind of storage has errors of its own; they become one that names the place."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{place}: cannot be read ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return message or type(error).__name__
