"""MATLAB files as MATLAB writes them, for Rooms in the layouts that use them.

v5 files are SciPy's work. A v7.3 file is HDF5 behind a block of 512 bytes with MATLAB's header;
arrays have their axes in reverse order and say their MATLAB class, and cell arrays and struct
arrays are lists of object references to arrays in the group #refs#.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cen.data.formats.matfiles import library
from cen.errors import DataError
from cen.files import write_bytes

_BLOCK = 512
# MATLAB notes platform and time here; without them the same data are the same bytes.
_TEXT5 = b"MATLAB 5.0 MAT-file, written by CEN"
_TEXT73 = b"MATLAB 7.3 MAT-file, written by CEN, HDF5 schema 1.00 ."
_CLASSES = {"float32": "single", "float64": "double"}


def cell(texts: Sequence[str]) -> NDArray[Any]:
    """(1, N) cell array of texts for ``save_v5``."""
    cells = np.empty((1, len(texts)), dtype=object)
    cells[0, :] = list(texts)
    return cells


def save_v5(path: Path, variables: Mapping[str, Any]) -> None:
    """Writes a compressed v5 file in one step."""
    buffer = BytesIO()
    library("scipy.io").savemat(buffer, dict(variables), do_compression=True, oned_as="column")
    content = buffer.getvalue()
    write_bytes(path, _TEXT5.ljust(116) + content[116:], DataError)


class Mat73:
    """An open v7.3 file.

    Args:
        file: the ``h5py.File`` in which it is made.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._made = 0

    def array(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> Any:
        """Makes an empty array whose first axis, MATLAB's last, is filled frame by frame.

        Returns:
            An ``h5py.Dataset``.
        """
        # A frame is a chunk, so that one is read without its neighbours.
        dataset = self._file.create_dataset(
            name, tuple(shape), dtype, chunks=(1, *shape[1:]), compression="gzip"
        )
        return _classed(dataset)

    def reference(self, values: NDArray[Any], matlab_class: str | None = None) -> Any:
        """Puts an array among those that cells refer to.

        Returns:
            An object reference to it.
        """
        refs = self._file.require_group("#refs#")
        options = {"compression": "gzip"} if values.size > 1024 else {}
        dataset = refs.create_dataset(f"r{self._made}", data=values.T, **options)
        self._made += 1
        return _classed(dataset, matlab_class).ref

    def cell(self, name: str, texts: Sequence[str]) -> None:
        """Writes a cell array, N x 1 to MATLAB, of texts."""
        codes = [np.array([[ord(letter) for letter in text]], np.uint16) for text in texts]
        cells = self._references(self._file, name, [self.reference(c, "char") for c in codes], True)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")

    def struct_array(self, name: str, fields: Mapping[str, Sequence[Any]]) -> None:
        """Writes a 1 x N struct array whose fields are lists of references."""
        h5py = library("h5py")
        group = self._file.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        letters = [np.array([c.encode() for c in field], "S1") for field in fields]
        listed = np.empty(len(letters), dtype=h5py.vlen_dtype(np.dtype("S1")))
        listed[:] = letters
        group.attrs["MATLAB_fields"] = listed
        for field, references in fields.items():
            self._references(group, field, references, False)

    def _references(self, group: Any, name: str, references: Sequence[Any], column: bool) -> Any:
        kind = library("h5py").ref_dtype
        values = np.array(list(references), dtype=kind)
        return group.create_dataset(name, data=values[None] if column else values[:, None])


@contextmanager
def create_v73(path: Path) -> Iterator[Mat73]:
    """Makes a v7.3 file; when it is left, MATLAB's header is put before it."""
    h5py = library("h5py")
    with h5py.File(path, "w", userblock_size=_BLOCK) as file:
        yield Mat73(file)
    header = _TEXT73.ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as opened:
        opened.write(header.ljust(_BLOCK, b"\0"))


def _classed(dataset: Any, matlab_class: str | None = None) -> Any:
    name = dataset.dtype.name
    dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class or _CLASSES.get(name, name))
    if matlab_class == "char":
        dataset.attrs["MATLAB_int_decode"] = np.int32(2)
    return dataset
