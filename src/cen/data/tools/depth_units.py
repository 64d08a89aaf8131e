"""Whether depth is what it is said to be: millimetres read as metres, pictures of depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from cen.data.tools.training_range import some_frames

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

UNITS = {
    0.001: "millimetres",
    1.0: "metres",
    0.01: "centimetres",
    0.0001: "tenths of a millimetre",
    1 / 512: "1/512 m, as in Taskonomy",
    1 / 256: "1/256 m, as in KITTI",
}
"""Metres per stored value, as depth files have it; the commonest first."""

# Half of the pixels of a usual picture are at least and at most so far away, in metres.
_NEAR, _FAR = 0.2, 100.0
_UNUSUAL = 20.0
_USUAL = 3.0


class UnitDoubt(NamedTuple):
    """Depth that is hardly in the unit that is declared.

    Attributes:
        text: what is strange, and the units that are more likely.
        severe: whether no usual camera sees so near or so far.
    """

    text: str
    severe: bool


def unit_doubt(name: str, unit: float, medians: Sequence[float]) -> UnitDoubt | None:
    """Judges the declared unit of a depth field by the distances that it makes.

    Args:
        name: the field.
        unit: metres per stored value, as declared.
        medians: of the depth of some frames, in metres; without any nothing is known.

    Returns:
        None where the distances are usual.
    """
    if not medians:
        return None
    median = float(np.median(medians))
    if _NEAR <= median <= _UNUSUAL or median <= 0:
        return None
    side = "beyond" if median > _UNUSUAL else "nearer than"
    claim = (
        f"{name}: with unit {unit:g} ({_named(unit)}) half of the depth is {side} {_short(median)}"
    )
    likely = [other for other in likely_units(median / unit) if other != unit]
    choices = [
        f"in {_named(other)}: unit {other:.10g} makes it {_short(median / unit * other)}"
        for other in likely
    ]
    advice = (
        f"the files are more likely {', or '.join(choices)}; set "
        f"data.modalities.{name}.unit, or unit in the dataset.yaml of a folder of your own"
        if choices
        else "no usual unit explains it; is this a depth map?"
    )
    return UnitDoubt(f"{claim}; {advice}", median < _NEAR or median > _FAR)


def has_8_bits(path: Path) -> bool:
    """Whether an image file holds 8 bits per pixel; False for what is no image of its own."""
    try:
        with Image.open(path) as image:
            return image.mode in ("L", "P")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def eight_bits(unit: float) -> str:
    """What is wrong with depth in a file of 8 bits."""
    return (
        f"8 bits, at most 255 steps of {unit:g} m; depth sensors give 16: was it converted for "
        "viewing?"
    )


def depth_doubts(dataset: AlignedDataset) -> Iterator[str]:
    """What can hardly be right about the depth of a training split, by some frames.

    That is a unit that makes other distances than a camera sees, and files of 8 bits. Distances
    that are merely unusual, as outdoors, are left to the check.
    """
    for name, modality in {**dataset.modalities, **dataset.targets}.items():
        if not modality.field_kind.metres:
            continue
        frames = list(some_frames(dataset, name, modality))
        measured = (frame[np.isfinite(frame)] for _, frame in frames)
        medians = [float(np.median(values)) for values in measured if values.size]
        doubt = unit_doubt(name, modality.unit_or_one, medians)
        if doubt is not None and doubt.severe:
            yield doubt.text
        files = [dataset.files(index).get(name) for index, _ in frames]
        if files and all(file is not None and has_8_bits(file) for file in files):
            yield f"{name}: its files have {eight_bits(modality.unit_or_one)}"


def likely_units(stored: float) -> list[float]:
    """The units that make a median of stored values a usual distance, the commonest first.

    All that bring it within a factor of 2 of 3 m, else the one that comes closest; empty where none
    makes it the distance of a picture.
    """
    distance = {unit: abs(log(stored * unit / _USUAL)) for unit in UNITS}
    near = [unit for unit in UNITS if distance[unit] <= log(2.0)]
    best = min(distance, key=lambda unit: distance[unit])
    return near or [best] * (_NEAR <= stored * best <= _UNUSUAL)


def _named(unit: float) -> str:
    near = [name for metres, name in UNITS.items() if abs(metres / unit - 1) < 1e-3]
    return near[0] if near else f"{unit:g} m"


def _short(metres: float) -> str:
    """Three digits, never as 2.8e+03."""
    rounded = float(f"{metres:.3g}")
    return f"{rounded:.10g} m" if 1e-4 <= abs(rounded) < 1e9 else f"{rounded:g} m"
