"""What a network has seen in training: ranges of values, colours, camera; what lies far from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.modality import Modality
from cen.data.formats.bands import is_grey
from cen.data.readers.splitting import evenly
from cen.data.transforms import INTRINSICS
from cen.errors import DataError

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

# A picture whose median is this many times below or above those of training is far from them.
# Rooms of one data set differ by less; wrong units differ by 5, 8, 10 or 1000.
_FACTOR = 2.5
_PERCENTILES = (2.0, 98.0)
# Pictures, evenly spaced, that are looked at.
_FRAMES = 16


def seen_range(dataset: AlignedDataset) -> dict[str, dict[str, Any]]:
    """The values of depth and of other measurements in a data set, and whether it has colours.

    For the metadata of a checkpoint. Some frames, evenly spaced, are read; frames that cannot be,
    or that have no depth, are left out (training itself says what is wrong with them).

    Args:
        dataset: as opened for training.

    Returns:
        By name of the modalities of kind depth and continuous: ``low`` and ``high`` (2nd and 98th
        percentile of all values, in their unit) and ``medians`` (smallest and largest median of a
        frame). By name of
        the colour pictures: ``grey``, the share of frames without colours. Names of which nothing
        is known are left out.
    """
    summaries: dict[str, dict[str, Any]] = {}
    for name, modality in dataset.modalities.items():
        kind = modality.field_kind
        if not (modality.coloured or kind.metres or kind.open_range):
            continue
        read = [values for _, values in some_frames(dataset, name, modality)]
        if modality.coloured:
            if read:
                summaries[name] = {"grey": sum(map(is_grey, read)) / len(read)}
            continue
        finite = [known for values in read if (known := values[np.isfinite(values)]).size]
        if finite:
            low, high = np.percentile(np.concatenate(finite), _PERCENTILES).tolist()
            medians = [float(np.median(values)) for values in finite]
            summaries[name] = {"low": low, "high": high, "medians": [min(medians), max(medians)]}
    return summaries


def some_frames(
    dataset: AlignedDataset, name: str, modality: Modality, frames: int = _FRAMES
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yields index and raw values of some frames, evenly spaced, of those that can be read."""
    for index in evenly(len(dataset), frames):
        try:
            yield index, dataset.read(name, index, modality)
        except DataError:
            continue


def with_camera(dataset: AlignedDataset) -> dict[str, Modality]:
    """The modalities of a data set, with its camera where an encoding needs one.

    Where some frames, evenly spaced, have the same intrinsics, the data were taken with one camera,
    and predictions need not be told of it. Where they differ it is left open.
    """
    lacking = [m for m in dataset.modalities.values() if m.encoded_by.camera and not m.intrinsics]
    if not lacking:
        return dict(dataset.modalities)
    intrinsics = [dataset.extra(index).get(INTRINSICS) for index in evenly(len(dataset), _FRAMES)]
    cameras = [as_intrinsics(one) for one in intrinsics if one is not None]
    same = len(cameras) == len(intrinsics) and all(
        np.array_equal(one, cameras[0]) for one in cameras
    )
    # Four numbers say nothing of pixels that are no rectangles.
    if not same or cameras[0][0, 1] or cameras[0][1, 0]:
        return dict(dataset.modalities)
    first = cameras[0]
    numbers = tuple(float(first[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return {
        name: replace(m, intrinsics=numbers) if m in lacking else m
        for name, m in dataset.modalities.items()
    }


def crop_doubt(dataset: AlignedDataset) -> str | None:
    """Whether the crop of a training split is larger than its pictures at any zoom.

    All that is added is padding then. Some pictures, evenly spaced, are looked at.
    """
    how = dataset.transform
    fields = {**dataset.modalities, **dataset.targets}
    if how is None or how.crop is None or not fields:
        return None
    name, modality = next(iter(fields.items()))
    shapes = [values.shape for _, values in some_frames(dataset, name, modality, frames=4)]
    sizes = [how.largest((shape[0], shape[1])) for shape in shapes]
    if not sizes or not all(h < how.crop[0] or w < how.crop[1] for h, w in sizes):
        return None
    (height, width), (most_high, most_wide) = how.crop, map(max, zip(*sizes, strict=True))
    return (
        f"data.transforms.crop: [{height}, {width}] is larger than the pictures, which are at most "
        f"{most_high} x {most_wide} when cropped: each is padded with empty pixels, which cost "
        "time and teach nothing. Give a crop that fits in, or null for whole pictures"
    )


def far_from(
    values: NDArray[Any], modality: Modality, seen: Mapping[str, Any], of_file: bool = True
) -> str | None:
    """What is strange about measured values, for a network trained with the range ``seen``.

    Depth is far from it by a factor. Other values may be below 0, such as temperatures: they are
    far where they lie outside by more than the whole range.

    Args:
        values: in the unit of the modality.
        modality: of kind depth or continuous.
        seen: what `seen_range` found of it.
        of_file: they were read from a file, and are no array of somebody's own.

    Returns:
        A sentence for a warning, None where nothing is strange.
    """
    low, high = seen["medians"]
    metres = modality.field_kind.metres
    things, unit = ("depths", " m") if metres else ("values", "")
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no depth was measured at all" if metres else "no value was measured at all"
    median = float(np.median(finite))
    spread = seen["high"] - seen["low"]
    least, most = (low / _FACTOR, high * _FACTOR) if metres else (low - spread, high + spread)
    if least <= median <= most or not (metres or spread):
        return None
    question = (
        "Is the unit of the file another one?"
        if of_file
        else f"An array holds stored values times their unit ({modality.unit_or_one:g})"
    )
    return (
        f"half of the {things} lie below {median:.3g}{unit}, while in training that was {low:.3g} "
        f"to {high:.3g}{unit} in every picture (2 % lie below {seen['low']:.3g}{unit}, 2 % above "
        f"{seen['high']:.3g}{unit}). {question}"
    )


def without_colours(
    values: NDArray[Any], modality: Modality, seen: Mapping[str, Any]
) -> str | None:
    """What is strange about a grey picture, for a network that was trained with colours.

    Returns:
        A sentence for a warning, None where nothing is strange.
    """
    if not modality.coloured or seen.get("grey") or not is_grey(values):
        return None
    network = "has seen colours in training" if seen else "takes colours"
    return f"is grey, read as three equal channels, but the network {network}; the right file?"
