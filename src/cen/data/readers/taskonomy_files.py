"""The files of Taskonomy: which frames there are of which domain, and what stored numbers mean.

A frame is a 64-bit key (building, point, view): the full set has 4.5 million of them, which as
Python objects would fill the memory of every worker process.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from os import scandir
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import Matrix, pinhole
from cen.errors import DataError

# What stored numbers mean. Depth and curvature: the authors' description of the data. Normals:
# measured on their files. Edges: the greatest values that the released CEN code divides by.
STEPS = 512.0
"""Stored depth per metre."""

MISSING_DEPTH = 65535
"""Stored depth where the mesh has a hole."""

EDGES = {"edge_occlusion": 11584.0, "edge_texture": 11355.0}
"""Stored value of an edge of strength 1."""

CURVATURE = 127.0
"""Stored curvature 0, and the step from it to 1 (unit not documented by the authors)."""

NORMAL_AXES = "+x +y +z"
"""Where the stored channels of a normal point: z away from the camera, as CEN has it.

Measured on real frames: normals computed from the z-buffer lie 1.0 degree (median) from those
stored so, and 95 to 100 % of the pixels face the camera.
"""

FIRST = 1
"""Stored label of class 0; what is below is "uncertain"."""

# Domains whose files are not called as their folder is: by the authors, in the sample building.
SUFFIXES = {"segment_semantic": "segmentsemantic"}

POINT_INFO = "point_info"
"""Folder with a JSON file of every frame: its camera, among others."""

FRAME = re.compile(r"point_(\d+)_view_(\d+)")
_FILE = re.compile(r"point_(\d+)_view_(\d+)_domain_(\w+)\.png")
_VIEW_BITS, _POINT_BITS = 12, 28
_DOWNLOADER = "taskonomy"


@dataclass(frozen=True)
class Frames:
    """The frames below a root.

    Attributes:
        root: the folder.
        buildings: their names, sorted; one empty name where folders of buildings are absent.
        domains: which domains there are.
        form: of a path below the root, with {building}, {domain} and {file}.
        suffixes: what stands before .png in the files of a domain, where it is not its name.
    """

    root: Path
    buildings: tuple[str, ...]
    domains: tuple[str, ...]
    form: str
    suffixes: Mapping[str, str]

    def key(self, building: str, point: int, view: int) -> int:
        """The number of a frame."""
        if building not in self.buildings:
            raise DataError(f"no building {building!r} in {self.root}")
        return self._key(self.buildings.index(building), point, view)

    def parts(self, key: int) -> tuple[str, int, int]:
        """Building, point and view of a frame."""
        rest, view = divmod(key, 1 << _VIEW_BITS)
        building, point = divmod(rest, 1 << _POINT_BITS)
        return self.buildings[building], point, view

    def name(self, key: int) -> str:
        """Name of a frame, with its building where there are several."""
        building, point, view = self.parts(key)
        stem = f"point_{point}_view_{view}"
        return f"{building}/{stem}" if building else stem

    def group(self, key: int) -> str:
        """The building; the point, where there is one building only."""
        building, point, _ = self.parts(key)
        return building if len(self.buildings) > 1 else f"point_{point}"

    def groups(self, keys: NDArray[np.int64]) -> list[str]:
        """The group of each frame."""
        return [self.group(key) for key in keys.tolist()]

    def path(self, domain: str, key: int) -> Path:
        """Where the file of a frame is, or would be."""
        building, point, view = self.parts(key)
        suffix = self.suffixes.get(domain, domain)
        ending = "json" if domain == POINT_INFO else "png"
        file = f"point_{point}_view_{view}_domain_{suffix}.{ending}"
        return self.root / self.form.format(building=building, domain=domain, file=file)

    def keys(self, domain: str) -> NDArray[np.int64]:
        """The frames that a domain has files of, sorted."""
        suffix = self.suffixes.get(domain, domain)
        frame_keys = [
            self._key(number, int(match[1]), int(match[2]))
            for number, building in enumerate(self.buildings)
            for match in _matches(self._folder(domain, building))
            if match[3] == suffix
        ]
        return np.sort(np.array(frame_keys, dtype=np.int64))

    def _key(self, building: int, point: int, view: int) -> int:
        if point >= 1 << _POINT_BITS or view >= 1 << _VIEW_BITS:
            raise DataError(f"point_{point}_view_{view}: numbers this large are not handled")
        return (building << (_POINT_BITS + _VIEW_BITS)) | (point << _VIEW_BITS) | view

    def _folder(self, domain: str, building: str) -> Path:
        return self.root / self.form.format(building=building, domain=domain, file="")


def read_frames(root: Path, domain_names: Mapping[str, object]) -> Frames:
    """Finds out the layout, the buildings and the domains of a folder."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; see docs/datasets.md for the layout")
    at_root = _folders(root)
    domains = [name for name in domain_names if name in at_root]
    if not domains:
        return _by_building(root, at_root, domain_names)
    for domain in domains:
        folder = root / domain
        if next(iter(_matches(folder)), None) is not None:
            return _frames(root, ("",), tuple(domains), "{domain}/{file}")
    below = {name for domain in domains for name in _folders(root / domain)}
    form = "{domain}/{building}/{file}"
    if below == {_DOWNLOADER}:
        form = f"{{domain}}/{_DOWNLOADER}/{{building}}/{{file}}"
        below = {name for domain in domains for name in _folders(root / domain / _DOWNLOADER)}
    if not below:
        raise DataError(
            f"{root}: the folders {', '.join(domains)} hold no point_*_view_*_domain_*.png"
        )
    return _frames(root, tuple(sorted(below)), tuple(domains), form)


def read_camera(path: Path, size: tuple[int, int]) -> Matrix:
    """The (3, 3) intrinsics of a frame: the field of view of point_info, the axis in the middle.

    Args:
        path: the JSON file of the frame.
        size: (H, W) of its pictures; the field of view is that of the longer side.
    """
    try:
        point_info = json.loads(path.read_text(encoding="utf-8"))
        angle = float(point_info["field_of_view_rads"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: says no field_of_view_rads ({error!r})") from error
    if not 0.0 < angle < math.pi:
        raise DataError(f"{path}: field_of_view_rads {angle} is no angle between 0 and π")
    return pinhole(0.5 * max(size) / math.tan(0.5 * angle), size)


def _by_building(root: Path, folders: Collection[str], domain_names: Iterable[str]) -> Frames:
    inside = {name: _folders(root / name) for name in sorted(folders)}
    domains = tuple(
        name for name in domain_names if any(name in subfolders for subfolders in inside.values())
    )
    if not domains:
        there = ", ".join(sorted(folders)[:8]) or "no folders"
        raise DataError(
            f"{root}: no folder of a Taskonomy domain such as rgb, at the top or below buildings; "
            f"there are {there}"
        )
    buildings = tuple(
        name for name, subfolders in inside.items() if any(d in subfolders for d in domains)
    )
    return _frames(root, buildings, domains, "{building}/{domain}/{file}")


def _frames(root: Path, buildings: tuple[str, ...], domains: tuple[str, ...], form: str) -> Frames:
    """With the suffixes that the first file of each domain has."""
    suffixes = {}
    for domain in set(domains) & set(SUFFIXES):
        folders = (root / form.format(building=b, domain=domain, file="") for b in buildings)
        first = next((match for folder in folders for match in _matches(folder)), None)
        suffixes[domain] = domain if first and first[3] == domain else SUFFIXES[domain]
    return Frames(root, buildings, domains, form, suffixes)


def _folders(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with scandir(folder) as entries:
        return {e.name for e in entries if not e.name.startswith(".") and e.is_dir()}


def _matches(folder: Path) -> Iterable[re.Match[str]]:
    if not folder.is_dir():
        return
    with scandir(folder) as entries:
        for entry in entries:
            match = _FILE.fullmatch(entry.name)
            if match is not None:
                yield match
