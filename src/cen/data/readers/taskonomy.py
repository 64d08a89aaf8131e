"""Reader of Taskonomy: the sample building and the full set, as their authors distribute them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.conventions import REVERSED_AXES
from cen.data.fields.geometry import Matrix
from cen.data.formats.file_bytes import read_with_header
from cen.data.readers import taskonomy_files as stored
from cen.data.readers.aligned import AlignedDataset, lacking
from cen.data.readers.dataset_yaml import describe, described_classes
from cen.data.readers.splitting import hashed_split
from cen.data.readers.taskonomy_files import POINT_INFO, Frames, read_camera, read_frames
from cen.data.readers.taskonomy_lists import building_splits, listed_frames
from cen.data.transforms import INTRINSICS
from cen.errors import CenWarning, DataError

CLASSES = (
    *("background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    *("tv", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase"),
)
"""Classes of ``segment_semantic``: those of the files less 1; 0 there is "uncertain"."""

_SEMANTIC = "segment_semantic"
_DEPTH: dict[str, Any] = {
    **{"kind": "depth", "unit": 1.0 / stored.STEPS},
    **{"missing": float(stored.MISSING_DEPTH), "bits": 16},
}
_CURVATURE: dict[str, Any] = {
    "kind": "continuous",
    "channels": 2,
    "unit": 1.0 / stored.CURVATURE,
    "mean": (1.0, 1.0),
    "bits": 8,
    "bands": 3,  # the third holds nothing
}
_KEYPOINTS: dict[str, Any] = {"kind": "continuous", "unit": 1.0 / 65535.0, "bits": 16}

DOMAINS: dict[str, dict[str, Any]] = {
    "rgb": {"kind": "image"},
    "normal": {"kind": "normal", "axes": stored.NORMAL_AXES, "bits": 8},
    "reshading": {"kind": "image", "channels": 1},
    "depth_euclidean": _DEPTH,
    "depth_zbuffer": _DEPTH,
    "principal_curvature": _CURVATURE,
    **{
        name: {"kind": "edge", "unit": 1.0 / white, "bits": 16, "clip": (0.0, 1.0)}
        for name, white in stored.EDGES.items()
    },
    "segment_unsup2d": {"kind": "image"},
    "segment_unsup25d": {"kind": "image"},
    "keypoints2d": _KEYPOINTS,
    "keypoints3d": _KEYPOINTS,
    _SEMANTIC: {"kind": "label", "first": stored.FIRST, "ignore": tuple(range(stored.FIRST))},
}
"""Arguments of ``Modality.of`` by domain: the ten of the released code, then three more."""


class Taskonomy(AlignedDataset):
    """Taskonomy, and Rooms written in its layout.

    Layouts, found out by looking::

        root/{domain}/point_1_view_2_domain_{domain}.png                     the sample building
        root/{building}/{domain}/point_1_view_2_domain_{domain}.png          the full set
        root/{domain}/taskonomy/{building}/point_...                         the Omnidata downloader

    Some 4.5 million frames of 512 x 512 pixels in 537 buildings; the sample building (Cauthron) has
    9,464. A. Zamir, A. Sax, W. Shen, L. Guibas, J. Malik, S. Savarese, "Taskonomy: Disentangling
    Task Transfer Learning", CVPR 2018.

    Fields are the domains that are there, under their own names:

    - ``rgb``, and ``segment_unsup2d``, ``segment_unsup25d`` (superpixels): images.
    - ``depth_zbuffer`` (along the optical axis) and ``depth_euclidean`` (along the ray): metres;
      16-bit files in 1/512 m, 65535 = missing.
    - ``normal``: 8-bit files with x right, y down and z away from the camera, grey 128 = missing.
    - ``reshading``: an image of one channel.
    - ``edge_texture`` and ``edge_occlusion``: 16-bit files; 11355 and 11584, by which the released
      CEN code divides, and more count as 1.
    - ``principal_curvature``: two channels; stored 127 is flat, which becomes 1, and 0 once
      normalised. The authors do not document its unit.
    - ``keypoints2d`` and ``keypoints3d``: 16-bit files as 0..1.
    - ``segment_semantic``: 17 classes of COCO, "uncertain" = ignore.

    The released code's scalings are encodings by name: ``taskonomy_depth``,
    ``taskonomy_edge_texture``, ``taskonomy_edge_occlusion``.

    Splits: the lists given, else those that dataset.yaml in the root names, else a hash of the
    building decides (of the point, where there is one building), which stays the same when frames
    are added. The test share then is ``test``, and ``validation`` of the rest is the validation
    split. Neighbouring points of one building may show one room: measure on lists or on several
    buildings. Frames that lack a file of a field that is read are left out with a warning, since
    the authors' own files are not complete; of a list they are an error.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        modalities: domains read as inputs; by default rgb and depth_zbuffer.
        targets: domains read as ground truth; by default segment_semantic.
        classes: names or number of the classes of segment_semantic; None: what dataset.yaml says,
            else those of Taskonomy.
        validation: share of what is not test.
        lists: the split by files, relative to the root or absolute. ``{train: FILE, test: FILE}``,
            perhaps with ``validation``, whose lines hold a path or a name with ``point_1_view_2``
            (such as the released lists of 1,000 and 500 frames), or one CSV of buildings with the
            columns ``id,train,val,test`` (the authors' own).
        test: share of the buildings or points that is the test split where no list says so.

    Raises:
        DataError: at once: no domain, no frame with all files, a list that names a frame which is
            not there or a path that leaves the root, lists that overlap, an empty split; on
            reading: a file that cannot be decoded, has another bit depth, or another size.
    """

    along_ray = frozenset({"depth_euclidean"})
    usual_inputs: tuple[str, ...] = ("rgb", "depth_zbuffer")
    usual_targets: tuple[str, ...] = (_SEMANTIC,)

    def open(
        self,
        classes: int | Sequence[str] | None,
        *,
        lists: str | Mapping[str, str] | None = None,
        test: float = 0.2,
    ) -> None:
        """Finds out the layout, its domains and its frames; see the class for the options."""
        root = self.root
        self._frames: Frames = read_frames(root, DOMAINS)
        described = describe(root, ("classes", "palette", "lists", "axes"))
        self.possible_fields = tuple(DOMAINS)
        self.fields = {name: DOMAINS[name] for name in DOMAINS if name in self._frames.domains}
        about = described.get("about")
        self.rendered = isinstance(about, Mapping) and about.get("name") == "rooms"
        if "normal" in self.fields:
            self.fields["normal"] = {
                **DOMAINS["normal"],
                "axes": _axes(described, self.rendered, root),
            }
        if _SEMANTIC in self.fields:
            self.fields[_SEMANTIC] = {**DOMAINS[_SEMANTIC], "ignore_index": self.ignore_index}
        known = {"classes": CLASSES, **described}
        self.labels = {_SEMANTIC: described_classes(classes, known, root)}
        self._lists: str | Mapping[str, str] | None = lists or described.get("lists")
        self._shares = {"validation": self.validation, "test": test}
        self._keys = np.zeros(0, np.int64)
        self._places: Mapping[int, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def name(self, index: int) -> str:
        """``point_1_view_2``, after the building where there are several."""
        return self._frames.name(int(self._keys[index]))

    def place(self, index: int) -> str:
        """The list and the line, or the root and the frame."""
        place = self._places.get(int(self._keys[index]))
        return place or f"{self.root}, {self.name(index)}"

    def group(self, index: int) -> str:
        """The building; with one building, the point."""
        return self._frames.group(int(self._keys[index]))

    def check_files(self) -> None:
        """Chooses the frames of this split: those with all files of the fields that are read."""
        field_names = list({**self.modalities, **self.targets})
        if not field_names:
            return
        if self._lists is None or isinstance(self._lists, str):
            self._keys = self._by_group(self._complete(field_names), self._lists)
            return
        self._keys = self._by_list(self._lists)
        super().check_files()

    def files(self, index: int) -> dict[str, Path]:
        """The files of a frame, of every field."""
        return {name: self._frames.path(name, int(self._keys[index])) for name in self.fields}

    def camera(self, index: int) -> Matrix | None:
        """The camera of a frame from its ``point_info``, where that is there."""
        key = int(self._keys[index])
        path = self._frames.path(POINT_INFO, key)
        if not path.is_file():
            return None
        _, header = read_with_header(self._frames.path(self._frames.domains[0], key))
        return read_camera(path, (header.height, header.width))

    def extra(self, index: int) -> dict[str, Any]:
        """``intrinsics`` where an encoding asks for them and the frame has ``point_info``."""
        if not any(m.encoded_by.camera for m in self.modalities.values()):
            return {}
        intrinsics = self.camera(index)
        return {} if intrinsics is None else {INTRINSICS: intrinsics}

    def _by_group(self, keys: NDArray[np.int64], table: str | None) -> NDArray[np.int64]:
        """The frames of this split where buildings or points are split."""
        groups = self._frames.groups(keys)
        if table is None:
            part = hashed_split(groups, self.split, **self._shares, where=str(self.root))
            return keys[part]
        path = self.root / table
        splits = building_splits(path, self._frames.buildings)
        keys = keys[[splits.get(self._frames.parts(k)[0]) == self.split for k in keys.tolist()]]
        if not len(keys):
            raise DataError(f"{path}: leaves the {self.split} split of {self.root} empty")
        return keys

    def _by_list(self, lists: Mapping[str, str]) -> NDArray[np.int64]:
        """The frames of this split where lists name frames."""
        keys_by_split, self._places = listed_frames(lists, self._frames)
        if self.split in keys_by_split and (self.split != "train" or "validation" in keys_by_split):
            return keys_by_split[self.split]
        keys = keys_by_split["train"]
        return keys[self.cut(self._frames.groups(keys), str(self.root / lists["train"]))]

    def _complete(self, field_names: Sequence[str]) -> NDArray[np.int64]:
        """Frames that have all the wanted files, with a warning that names some of the others."""
        there = {name: self._frames.keys(name) for name in field_names}
        every: NDArray[np.int64] = reduce(np.union1d, there.values())
        targets = [there[name] for name in self.targets]
        needed = [there[name] for name in self.modalities]
        # Partly annotated frames need any one of the targets.
        needed += [reduce(np.union1d, targets)] if self.partial and targets else targets
        both = reduce(np.intersect1d, needed)
        if not len(both):
            counts = ", ".join(f"{name} {len(keys)}" for name, keys in there.items())
            raise DataError(f"{self.root}: no frame has all of the files wanted; found {counts}")
        lost = np.setdiff1d(every, both)
        if len(lost):
            lacks = (
                (self._frames.name(key), [name for name, keys in there.items() if key not in keys])
                for key in lost.tolist()
            )
            told = lacking(len(lost), f"{len(every)} frames", lacks)
            warnings.warn(f"{self.root}: {told}; they are left out", CenWarning, stacklevel=4)
        return both


def _axes(described: Mapping[str, Any], rooms: bool, root: Path) -> str:
    """Where stored normals point: what dataset.yaml says, else as Taskonomy has it.

    Rooms written before version 0.2.0 says nothing, and has z to the camera.
    """
    axes = described.get("axes")
    if axes is None:
        return REVERSED_AXES if rooms else stored.NORMAL_AXES
    if not isinstance(axes, Mapping) or list(axes) != ["normal"]:
        raise DataError(
            f"{root / 'dataset.yaml'}: axes: {axes!r} does not say how normals are stored; write "
            f"axes: {{normal: {stored.NORMAL_AXES}}}"
        )
    return str(axes["normal"])
