"""MATLAB files with errors that name them: v5 through SciPy, v7.3 (HDF5) through h5py.

MATLAB writes two unlike formats under one ending. Small tables (splits, class mappings) are v5
files, large arrays are v7.3 files, which are HDF5 with the axes in reverse order, behind a block of
512 bytes. SciPy reads only the former, h5py only the latter; a file of the other kind, or a ZIP
archive that was never unpacked, is told apart by its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cen.data.formats.file_bytes import ordinary
from cen.data.formats.headers import HDF5, PIXEL_LIMIT
from cen.errors import CenError, DataError

Version = Literal["v5", "v7.3"]

MAX_CELLS = 2**20
"""Longest cell array and longest text."""

_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"<", "a web page, perhaps of a download that failed; download it again"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself"),
)


def library(name: str) -> Any:
    """Imports h5py or a part of SciPy, which only these readers need."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise CenError(
            f"MATLAB files need {package}, which cannot be imported ({error}); "
            "run: pip install 'cen[data]'"
        ) from error


def check_version(path: Path, version: Version) -> None:
    """Refuses what is not a MATLAB file of this version, by its first bytes."""
    try:
        with ordinary(path).open("rb") as file:
            head = file.read(512 + len(HDF5))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    hdf5 = head.startswith(HDF5) or head[512:] == HDF5
    if version == "v7.3" and hdf5:
        return
    five = len(head) >= 128 and head[126:128] in (b"IM", b"MI") and not hdf5
    if version == "v5" and five and not head.startswith(b"MATLAB 7.3"):
        return
    expected = (
        "MATLAB file of version 7.3 (HDF5)" if version == "v7.3" else "MATLAB file before 7.3"
    )
    actual = next((description for start, description in _OTHERS if head.startswith(start)), None)
    if not head:
        actual = "empty"
    elif hdf5 or head.startswith(b"MATLAB 7.3"):
        actual = "of version 7.3 (HDF5)" if hdf5 else "of version 7.3 and cut short"
    elif five:
        actual = "of an older version"
    raise DataError(f"{path}: not a {expected}, but {actual or 'something else'}")


# -- v5 -------------------------------------------------------------------------------------------


class Variables(dict[str, NDArray[Any]]):
    """Variables of a v5 file; one that it lacks is a `DataError`."""

    def __init__(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(arrays)
        self.path = path

    def __missing__(self, name: str) -> NDArray[Any]:
        raise DataError(f"{self.path}: has no variable {name}; is it the right file?")

    def integers(self, name: str) -> NDArray[np.int64]:
        """A numeric variable of any shape as a list of whole numbers."""
        return integers(self.path, name, self[name])

    def texts(self, name: str) -> list[str]:
        """A cell array of texts."""
        return texts(self.path, name, self[name])


def listed_v5(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and kind (``double``, ``cell``, ...) of every variable of a v5 file."""
    check_version(path, "v5")
    with _damage_named(path):
        variables = library("scipy.io").whosmat(str(path))
        return {name: (tuple(shape), kind) for name, shape, kind in variables}


def load_v5(path: Path, names: Sequence[str]) -> Variables:
    """Reads those of some variables that a v5 file has, cells and structs as object arrays."""
    for name, (shape, _) in listed_v5(path).items():
        if name in names and np.prod(shape, dtype=np.float64) > PIXEL_LIMIT:
            raise DataError(f"{path}: {name} claims to be {_shape(shape)}; is the file damaged?")
    with _damage_named(path):
        loaded = library("scipy.io").loadmat(str(path), variable_names=list(names))
    return Variables(path, {name: np.asarray(loaded[name]) for name in names if name in loaded})


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except CenError:
        raise
    except Exception as error:  # SciPy's parser meets damage with whatever goes wrong first.
        raise DataError(f"{path}: damaged, or cut short ({error})") from error


def integers(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """A numeric variable of any shape as a list of whole numbers; MATLAB stores them as doubles."""
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise DataError(f"{path}: {name} is no list of numbers")
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if not np.all(np.isfinite(numbers)) or np.any(numbers != np.rint(numbers)):
        raise DataError(f"{path}: {name} holds numbers that are not whole")
    return numbers.astype(np.int64)


def texts(path: Path, name: str, values: NDArray[Any]) -> list[str]:
    """A cell array of char arrays, or a single one, as strings."""
    cells = values.ravel().tolist() if values.dtype == object else [values]
    strings = []
    for cell in cells:
        text = np.asarray(cell)
        if text.dtype.kind != "U" or text.size > 1:
            raise DataError(f"{path}: {name} is no cell array of texts")
        strings.append(str(text.ravel()[0]) if text.size else "")
    return strings


# -- v7.3 -----------------------------------------------------------------------------------------


@contextmanager
def open_v73(path: Path) -> Iterator[Any]:
    """Opens a v7.3 file for reading, as an ``h5py.File``.

    Whatever h5py then says of damage is raised as a `DataError` that names the file.
    """
    check_version(path, "v7.3")
    h5py = library("h5py")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        if isinstance(error, CenError):
            raise
        raise DataError(f"{path}: damaged, or cut short ({error})") from error


def dataset(group: Any, name: str) -> Any:
    """The array ``name`` of an open v7.3 file or group, as an ``h5py.Dataset``; nothing is read."""
    return _own(group, name, _member(group, name))


def struct(file: Any, name: str) -> Any:
    """The struct, or struct array, ``name`` of an open v7.3 file, as an ``h5py.Group``."""
    group = _member(file, name)
    if not isinstance(group, library("h5py").Group):
        raise DataError(f"{_path(file)}: {name} is no struct")
    return group


def dereference(file: Any, name: str, reference: Any) -> Any:
    """The array that an entry of the cell array ``name`` refers to."""
    try:
        target = file[reference]
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{_path(file)}: an entry of {name} refers to nothing ({error})") from error
    return _own(file, name, target)


def references(group: Any, name: str) -> NDArray[Any]:
    """The object references of a cell array, or of a field of a struct array, as a list."""
    h5py = library("h5py")
    cells = dataset(group, name)
    if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
        raise DataError(f"{_path(group)}: {name} is no cell array, but of type {cells.dtype}")
    return read(name, cells, limit=MAX_CELLS).ravel()


def read(name: str, array: Any, index: int | None = None, limit: int = PIXEL_LIMIT) -> NDArray[Any]:
    """Reads an array, or its part ``index`` along the first axis, which is MATLAB's last."""
    shape = array.shape if index is None else array.shape[1:]
    chunks = np.prod(array.chunks or (1,), dtype=np.float64)
    if np.prod(shape, dtype=np.float64) > limit or array.dtype.itemsize > 16 or chunks > 2**28:
        raise DataError(
            f"{_path(array)}: {name} claims to be {_shape(shape)}; is the file damaged?"
        )
    return np.asarray(array[()] if index is None else array[index])


def texts_v73(file: Any, name: str) -> list[str]:
    """A cell array of char arrays as strings."""
    strings = []
    for reference in references(file, name):
        codes = dereference(file, name, reference)
        # MATLAB stores an empty text as its two sizes, and says so.
        if codes.dtype == np.uint64 and codes.attrs.get("MATLAB_empty", 0):
            strings.append("")
            continue
        if codes.dtype.kind != "u":
            raise DataError(f"{_path(file)}: {name} is no cell array of texts")
        values = read(name, codes, limit=MAX_CELLS).ravel().tolist()
        strings.append("".join(map(chr, values)))
    return strings


def _member(group: Any, name: str) -> Any:
    """A member of a group; None for a link, which could lead into any file of the disk."""
    if name not in group:
        there = ", ".join(sorted(str(key) for key in group)[:20])
        raise DataError(f"{_path(group)}: has no variable {name}; there are {there}")
    link = group.get(name, getlink=True)
    return group[name] if isinstance(link, library("h5py").HardLink) else None


def _own(group: Any, name: str, array: Any) -> Any:
    """Refuses arrays that other files hold: HDF5 would read them from anywhere on the disk."""
    h5py = library("h5py")
    if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
        raise DataError(f"{_path(group)}: {name} is no array of this file")
    return array


def _path(part: Any) -> str:
    """The file that a group or an array is in, as it was opened."""
    return str(part.file.filename)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(str(length) for length in shape)
