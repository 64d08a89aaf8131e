"""Whether stored normals point where they are said to: away from what is seen, and as depth says.

The convention is that of `cen.data.fields.geometry`. A surface that is seen faces the camera, and
depth says how it lies; so normals that are read with another sign or order of axes than they were
stored with give themselves away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations, product
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_kinds import KINDS
from cen.data.fields.geometry import Matrix, as_intrinsics, normals_from_depth, pinhole, rays
from cen.data.fields.modality import Modality
from cen.data.fields.normal_field import parse_axes
from cen.data.formats.file_bytes import is_file
from cen.data.tools.parallel import Addable
from cen.data.tools.training_range import some_frames
from cen.errors import CenError, DataError

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

_SIGNED = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
# As read is the first of them.
_ORDERS = np.array([order for order, _ in _SIGNED])
_SIGNS = np.array([signs for _, signs in _SIGNED], dtype=np.float64)
USUAL_AXES = "+x +y +z"
"""Where stored normals point unless something else is said."""

# Pixels of a picture that are looked at, and those in all without which nothing is said.
_LOOKED, _FEW = 4096, 1000
# Samples of a split of which fields are looked at that are not read otherwise.
_SAMPLES = 64
# Field of view across the longer side, where no camera is known: of most sensors within 15 degrees.
_USUAL_VIEW = np.radians(60.0)
# Noise of a sensor and edges of objects bring normals of depth far off, whatever the axes; other
# axes are the right ones where so many more then lie within so many degrees.
_MORE, _NEAR = 0.1, 30
# What is seen faces the camera; where it does not in so many pixels, something is wrong.
_AWAY, _HARDLY = 0.25, 0.1
# Normals that have nothing to do with the depth.
_APART = 45.0


@dataclass
class NormalFacts(Addable):
    """Normals of many samples against what is seen, by choice of the axes.

    Attributes:
        pixels: normals that were looked at.
        away: by choice, how many of them point away from the camera; the first is as read.
        angles: (choices, 181) how many differ so many degrees from the normals of the depth.
        depth: the field they were compared with; empty where there is none.
        assumed: some were seen by a camera that nobody knows, taken to be a usual one.
    """

    pixels: int = 0
    away: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_SIGNED), np.int64))
    angles: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(_SIGNED), 181), np.int64)
    )
    depth: str = field(default="", metadata={"add": lambda mine, theirs: mine or theirs})
    assumed: bool = field(default=False, metadata={"add": or_})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the median is null where there is no depth to compare with."""
        compared = bool(self.depth)
        return {
            "pixels": self.pixels,
            "away": self.share_away,
            "depth": self.depth or None,
            "median_degrees": self.median() if compared else None,
            "camera": "assumed" if self.assumed else "known",
        }

    @property
    def share_away(self) -> float:
        """Share of the normals, as read, that point away from the camera."""
        return float(self.away[0]) / max(1, self.pixels)

    def far(self, choice: int = 0) -> float:
        """Percent of the normals that are far from those of the depth."""
        total = max(1, int(self.angles[choice].sum()))
        return 100.0 * float(self.angles[choice, _NEAR + 1 :].sum()) / total

    def median(self, choice: int = 0) -> float:
        """Median angle to the normals of the depth in degrees, NaN where nothing was compared."""
        total = int(self.angles[choice].sum())
        if not total:
            return float("nan")
        return float(np.searchsorted(np.cumsum(self.angles[choice]), 0.5 * total))


def normal_facts(
    dataset: AlignedDataset, index: int, values: Mapping[str, NDArray[Any]]
) -> dict[str, NormalFacts]:
    """The facts of every field of normals of a sample.

    Of some samples, evenly spaced, normals and depth are looked at also where they are fields of
    the data set that are not read otherwise.

    Args:
        dataset: the data set.
        index: of the sample.
        values: what was read of it, by field.

    Returns:
        By field of normals; those that cannot be read are left out.
    """
    read = {**dataset.modalities, **dataset.targets}
    kinds = {name: KINDS[field.get("kind", "image")] for name, field in dataset.fields.items()}
    kinds |= {name: modality.field_kind for name, modality in read.items()}
    every = max(1, len(dataset) // _SAMPLES)
    usable = [name for name in kinds if name in values or (name not in read and not index % every)]
    normals = {}
    for name in (name for name in usable if kinds[name].directions):
        directions = _value(dataset, index, name, values)
        if directions is not None and directions.shape[2:] == (3,):
            normals[name] = directions
    if not normals:
        return {}
    # Depth along the optical axis comes first.
    depths = [name for name in usable if kinds[name].metres]
    depths.sort(key=lambda name: (name in dataset.along_ray, name not in values))
    depth, metres = "", None
    for depth in depths:
        if (metres := _value(dataset, index, depth, values)) is not None:
            break
    camera, along_ray = _camera(dataset, index), depth in dataset.along_ray
    return {
        name: compare(directions, metres, camera, name=depth, along_ray=along_ray)
        for name, directions in normals.items()
    }


def _value(
    dataset: AlignedDataset, index: int, name: str, values: Mapping[str, NDArray[Any]]
) -> NDArray[Any] | None:
    """A field of a sample as it was read, else from its file; None where there is none."""
    if name in values:
        return values[name]
    path = dataset.files(index).get(name)
    if path is None or not is_file(path):
        return None
    try:
        return dataset.read(name, index, Modality.of(**dataset.fields[name]))
    except CenError:  # nobody asked for this field
        return None


def _camera(dataset: AlignedDataset, index: int) -> Matrix | None:
    """The camera of a sample, from the data set or else as the user says it of a field."""
    try:
        camera = dataset.camera(index)
    except DataError:  # the check of the sample says so
        return None
    declared = [m.intrinsics for m in dataset.modalities.values() if m.intrinsics is not None]
    return as_intrinsics(declared[0]) if camera is None and declared else camera


def compare(
    normals: NDArray[np.floating],
    depth: NDArray[np.floating] | None,
    camera: Matrix | None,
    *,
    name: str = "",
    along_ray: bool = False,
) -> NormalFacts:
    """Compares the normals of one sample with its rays, and with its depth where there is one.

    Args:
        normals: (H, W, 3) as read, NaN where missing.
        depth: (H, W) metres of the same size, NaN where missing.
        camera: (3, 3) intrinsics; None: a usual camera is assumed.
        name: of the depth field.
        along_ray: depth is the distance along the ray, not along the optical axis.
    """
    size = (normals.shape[0], normals.shape[1])
    seen_by = _usual_camera(size) if camera is None else camera
    sight = rays(seen_by, size)
    step = max(1, int(np.sqrt(size[0] * size[1] / _LOOKED)))
    part = (slice(step // 2, None, step), slice(step // 2, None, step))
    read = normals[part].reshape(-1, 3).astype(np.float64)
    finite = np.isfinite(read).all(axis=1)
    # (choices, pixels, 3): the same numbers in every order and with every sign.
    chosen = np.stack([read[finite][:, o] * s for o, s in zip(_ORDERS, _SIGNS, strict=True)])
    facts = NormalFacts(int(finite.sum()), assumed=camera is None)
    along = np.einsum("cni,ni->cn", chosen, sight[part].reshape(-1, 3)[finite])
    facts.away = np.asarray((along > 0).sum(axis=1), dtype=np.int64)
    if depth is None or depth.shape[:2] != size:
        return facts
    plane = depth / np.linalg.norm(sight, axis=-1) if along_ray else depth
    true = normals_from_depth(plane, seen_by)
    expected = true[part].reshape(-1, 3)[finite].astype(np.float64)
    there = np.isfinite(expected).all(axis=1)
    cosine = np.einsum("cni,ni->cn", chosen[:, there], expected[there])
    degrees = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).round().astype(np.int64)
    facts.angles = np.stack([np.bincount(row, minlength=181) for row in degrees])
    facts.depth = name
    return facts


def judged(field_name: str, axes: str, facts: NormalFacts) -> Iterator[str]:
    """What is wrong with normals, judged by all that were looked at."""
    if facts.pixels < _FEW:
        return
    median = facts.median()
    claim = f"{field_name}: {100 * facts.share_away:.1f} % of the pixels face away from the camera"
    if facts.depth:
        claim += (
            f", and {facts.far():.0f} % are more than {_NEAR}° from the normals of {facts.depth}"
        )
    choice = _best(facts)
    if choice is not None:
        better = f"{100 * facts.away[choice] / facts.pixels:.1f} % face away"
        if facts.depth:
            better += f" and {facts.far(choice):.0f} % are so far off"
        yield (
            f"{claim}; the stored axes are other ones: with data.modalities.{field_name}.axes: "
            f"'{_axes_of(choice, axes)}' {better}"
        )
    elif facts.share_away > _AWAY or median > _APART:
        yield (
            f"{claim}; what is seen faces the camera: are they in the axes of the camera (x right, "
            "y down, z forward), and of the same frame?"
        )


def normal_doubts(dataset: AlignedDataset) -> Iterator[str]:
    """Whether the normals of a training split are read with wrong axes, by some frames."""
    read = {**dataset.modalities, **dataset.targets}
    mine = {name: modality for name, modality in read.items() if modality.field_kind.directions}
    looked = mine | {n: m for n, m in read.items() if m.field_kind.metres} if mine else {}
    values: dict[int, dict[str, NDArray[Any]]] = {}
    for name, modality in looked.items():
        for index, frame in some_frames(dataset, name, modality):
            values.setdefault(index, {})[name] = frame
    total: dict[str, NormalFacts] = {}
    for index, frames in values.items():
        for name, facts in normal_facts(dataset, index, frames).items():
            total.setdefault(name, NormalFacts()).add(facts)
    for name in mine.keys() & total.keys():
        yield from judged(name, mine[name].axes or USUAL_AXES, total[name])


def _best(facts: NormalFacts) -> int | None:
    """The choice of axes that explains the normals much better than the one they were read with."""
    seen = facts.away <= _HARDLY * facts.pixels
    if facts.depth:
        near = facts.angles[:, : _NEAR + 1].sum(axis=1) / max(1, int(facts.angles[0].sum()))
        best = int(np.argmax(np.where(seen, near, -1.0)))
        return best if seen[best] and near[best] > near[0] + _MORE else None
    # Without depth only a turned z can be told.
    turned = _SIGNED.index(((0, 1, 2), (1, 1, -1)))
    return turned if facts.share_away > _AWAY and seen[turned] else None


def _axes_of(choice: int, axes: str) -> str:
    """The option that reads stored normals as this choice takes those read with ``axes``."""
    channels, signs = parse_axes(axes)
    words = [""] * 3
    for axis, (source, sign) in enumerate(zip(*_SIGNED[choice], strict=True)):
        positive = sign * signs[source] > 0
        words[channels[source]] = ("+" if positive else "-") + "xyz"[axis]
    return " ".join(words)


def _usual_camera(size: tuple[int, int]) -> Matrix:
    return pinhole(0.5 * max(size) / np.tan(0.5 * _USUAL_VIEW), size)
