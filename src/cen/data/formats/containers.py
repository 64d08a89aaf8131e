"""Reading arrays: of an NPY file, and one of a file that holds several (NPZ, MATLAB, HDF5)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.formats import matfiles
from cen.data.formats.file_bytes import File, InMemoryFile
from cen.data.formats.headers import (
    HDF5,
    VALUE_LIMIT,
    array_header,
    check_array,
    check_size,
    whole_array,
)
from cen.data.formats.stored import Stored
from cen.errors import DataError

_SHOWN = 8
_SCALING = ("scale_factor", "add_offset")
_NO_NUMBERS = ("cell", "struct", "char", "object", "function", "opaque", "sparse", "unknown")


def read_npy(content: NDArray[np.uint8], path: object) -> NDArray[Any]:
    """The numbers of an NPY file; pickled objects are never loaded."""
    try:
        _, dtype = whole_array(content.data)
        if dtype.kind not in "uifb":
            raise ValueError(f"type {dtype}")
        return np.asarray(np.load(io.BytesIO(content.data), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not an NPY file of numbers ({error})") from error


def read_npz(content: NDArray[np.uint8], path: object, variable: str | None) -> Stored:
    """One array of an NPZ file; pickled objects are never loaded."""
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            shapes = {}
            for name, info in members.items():
                with archive.open(info) as member:
                    shapes[name] = array_header(member)  # type: ignore[arg-type]
            kinds = {n: (shape, dtype.kind) for n, (shape, dtype) in shapes.items()}
            name = _chosen(kinds, variable, path)
            shape, dtype = shapes[name]
            check_array(shape, dtype)
            check_size(shape[0], shape[1], shape[2] if len(shape) == 3 else 1, path)
            with archive.open(members[name]) as member:
                read = np.lib.format.read_array(member, allow_pickle=False)
    except DataError:
        raise
    except Exception as error:  # damage, unknown compressions and passwords: of many types
        raise DataError(f"{path}: not an NPZ file that can be read ({error})") from error
    return Stored(np.asarray(read))


def read_mat(content: NDArray[np.uint8], path: File, variable: str | None) -> Stored:
    """One array of a MATLAB file of any version, in MATLAB's order of axes, or of an HDF5 file."""
    if isinstance(path, InMemoryFile):
        raise DataError(f"{path}: is a MATLAB file within another; unpack it")
    path, head = Path(path), content[:520].tobytes()
    if head.startswith(HDF5) or head[512:] == HDF5:
        return _v73(path, variable, plain=head.startswith(HDF5))
    numbers = {
        name: (shape, "f")
        for name, (shape, kind) in matfiles.listed_v5(path).items()
        if kind not in _NO_NUMBERS
    }
    name = _chosen(numbers, variable, path)
    return Stored(matfiles.load_v5(path, [name])[name])


def _v73(path: Path, variable: str | None, plain: bool) -> Stored:
    with matfiles.open_v73(path) as file:
        h5py = matfiles.library("h5py")
        arrays = {
            name: file.get(name)
            for name in file
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
        }
        datasets = {
            name: (array.shape, array.dtype.kind)
            for name, array in arrays.items()
            if isinstance(array, h5py.Dataset)
        }
        name = _chosen(datasets, variable, path)
        dataset = matfiles.dataset(file, name)
        array = matfiles.read(name, dataset, limit=VALUE_LIMIT)
        nodata, scale, offset = (
            _attribute(dataset, attribute) for attribute in ("_FillValue", *_SCALING)
        )
    # MATLAB counts the axes from the other end.
    scalings = [(1.0 if scale is None else scale, offset or 0.0)]
    return Stored(array if plain else array.T, nodata, scalings)


def _attribute(dataset: Any, name: str) -> float | None:
    """A number beside an array; NetCDF stores it as a list of one."""
    values = np.asarray(dataset.attrs.get(name, ()))
    return float(values.ravel()[0]) if values.size == 1 and values.dtype.kind in "uif" else None


def _chosen(
    arrays: Mapping[str, tuple[tuple[int, ...], str]], variable: str | None, path: object
) -> str:
    """The array that is meant."""
    pictures = {
        name: shape
        for name, (shape, kind) in arrays.items()
        if kind in "uifb" and len(shape) in (2, 3) and (variable is not None or min(shape) > 0)
    }
    listing = ", ".join(
        f"{name} ({' × '.join(map(str, shape))})" for name, shape in list(pictures.items())[:_SHOWN]
    )
    if variable is not None:
        if variable not in pictures:
            raise DataError(
                f"{path}: has no picture named {variable!r}; there are {listing or 'none'}"
            )
        return variable
    if len(pictures) != 1:
        raise DataError(
            f"{path}: holds {listing or 'no array (H, W) or (H, W, C) of numbers'}"
            + ("; choose one with variable: NAME" if pictures else "")
        )
    return next(iter(pictures))
