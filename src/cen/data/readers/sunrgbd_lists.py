"""The lists of the SUN RGB-D toolbox: its splits, its frames and where their labels are."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.formats import matfiles
from cen.data.readers.patterns import natural
from cen.data.readers.split_lists import official_part
from cen.data.readers.splitting import Split
from cen.errors import DataError

_LISTS = ("alltrain", "alltest")
# Frames of one part of the data set that stay together when validation is cut.
_BLOCK = 50


def read_split(path: Path, split: Split) -> Sequence[str]:
    """Folders of the frames of an official split, below SUNRGBD."""
    variables = matfiles.load_v5(path, _LISTS)
    both = {}
    for name in _LISTS:
        both[name] = [_relative(path, name, entry) for entry in variables.texts(name)]
        if not both[name]:
            raise DataError(f"{path}: {name} is empty")
    return official_part(path, both, split, "a frame")


def _relative(path: Path, name: str, entry: str) -> str:
    """The part of an absolute path of the authors' machine below SUNRGBD."""
    _, marker, inside = entry.partition("SUNRGBD/")
    parts = [part for part in inside.split("/") if part not in ("", ".")]
    if not marker or not parts or ".." in parts or "\0" in inside:
        raise DataError(f"{path}: {name}: {entry!r} is no folder below SUNRGBD")
    return "/".join(parts)


def group_frames(frames: Sequence[str]) -> list[str]:
    """What is kept on one side of the cut: a place of SUN3D, or a block of neighbouring frames."""
    parts = defaultdict(list)
    for frame in frames:
        folders = frame.split("/")
        place = 3 if folders[1:2] == ["sun3ddata"] else 2
        parts["/".join(folders[: min(place, len(folders) - 1)])].append(frame)
    group = {}
    for part, members in parts.items():
        # A small part is still dealt out in ten blocks.
        block = len(members) if "/sun3ddata/" in part else max(1, min(_BLOCK, len(members) // 10))
        # The Xtion's names are times without leading zeros.
        for rank, frame in enumerate(sorted(members, key=natural)):
            group[frame] = f"{part}, {rank // block:04d}"
    return [group[frame] for frame in frames]


@lru_cache(maxsize=4)
def meta_order(path: Path, changed: int) -> dict[str, int]:
    """Frames of SUNRGBDMeta.mat and their places in it. Kept, for it takes seconds to read."""
    meta = matfiles.load_v5(path, ("SUNRGBDMeta",))["SUNRGBDMeta"]
    if "rgbpath" not in (meta.dtype.names or ()):
        raise DataError(f"{path}: SUNRGBDMeta is no struct array with rgbpath")
    paths = [matfiles.texts(path, "rgbpath", np.asarray(entry)) for entry in meta["rgbpath"].flat]
    # .../<frame>/image/<picture>
    folders = [posixpath.dirname(posixpath.dirname("".join(entry))) for entry in paths]
    return {_relative(path, "rgbpath", folder): n for n, folder in enumerate(folders)}


def seglabel(file: Any) -> Any:
    """The references to the labels of all frames, in an open SUNRGBD2Dseg.mat."""
    return matfiles.dataset(matfiles.struct(file, "SUNRGBD2Dseg"), "seglabel")


def frame_labels(path: Path, number: int) -> NDArray[Any]:
    """Labels of one frame of SUNRGBD2Dseg.mat: (H, W) whole numbers."""
    with matfiles.open_v73(path) as file:
        cell = matfiles.read("seglabel", seglabel(file), number).ravel()
        array = matfiles.dereference(file, "seglabel", cell[0] if cell.size else None)
        values = matfiles.read("seglabel", array).T
    if values.ndim != 2:
        raise DataError(f"{path}: seglabel of frame {number + 1} is {values.shape}, no picture")
    return matfiles.integers(path, "seglabel", values).reshape(values.shape)
