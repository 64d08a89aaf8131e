"""What a prediction is given: how its files are read, which are refused, and what goes together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image as Picture
from torch import Tensor

from cen.data import Modality
from cen.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    ShapeError,
    StreamError,
    described,
)
from cen.models import ChannelExchangeNetwork
from cen.models.input_checks import SMALLEST

Value = str | Path | NDArray[Any] | Tensor | Picture
"""One modality of a scene: a file, an array, a tensor (C, H, W) or (H, W), or a picture of PIL."""
Inputs = Mapping[str, Value]
"""The modalities of a scene that are there, by name."""
Scenes = Sequence[Inputs] | Mapping[str, list[Value]]
"""Several scenes: each as `Inputs`, or a list for each modality."""
Intrinsics = Sequence[float] | NDArray[Any] | None
Mark = TypeVar("Mark")


def scenes_of(given: Inputs | Scenes) -> list[Inputs] | None:
    """Several scenes, each by its modalities; None where one scene is given.

    Raises:
        StreamError: lists of modalities are of different lengths.
    """
    if not isinstance(given, Mapping):
        return list(given)
    lists = {name: value for name, value in given.items() if isinstance(value, list | tuple)}
    if not lists:
        return None
    counts = {len(value) for value in lists.values()}
    if len(lists) < len(given) or len(counts) > 1:
        lengths = ", ".join(
            f"{name} {len(value) if name in lists else 'one'}"  # type: ignore[arg-type]
            for name, value in given.items()
        )
        raise StreamError(f"several scenes need as many of each modality; there are: {lengths}")
    (count,) = counts
    return [{name: value[number] for name, value in lists.items()} for number in range(count)]


def read_value(name: str, value: Value, modality: Modality, reading: Modality) -> NDArray[Any]:
    """Raw values of one modality, NaN where depth is missing.

    Args:
        name: the modality.
        value: what was given of it.
        modality: what the network takes.
        reading: how its files are read.

    Raises:
        DataError: it cannot be read, or is of other numbers or another shape.
    """
    if isinstance(value, str | Path):
        return reading.read(value)
    if isinstance(value, Picture):
        return reading.from_stored(_stored_in(value, modality), f"picture {name!r}")
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
        value = value.movedim(0, -1) if value.ndim == 3 else value
        value = value.squeeze(-1) if value.ndim == 3 and value.shape[-1] == 1 else value
        value = value.contiguous().numpy()
    array = _unmasked(name, value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if array.dtype == object:
        raise DataError(
            f"{name!r}: give a file, an array, a tensor or a picture of PIL, not {described(value)}"
        )
    modality.check_array(name, array)
    if modality.field_kind.metres:
        is_measured = np.isfinite(array) & (array > 0)
        return np.where(is_measured, array, np.nan).astype(np.float32)
    return array


def _unmasked(name: str, value: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """What a masked array holds, NaN where it is masked; NumPy would give what is hidden there."""
    if not np.ma.is_masked(value):
        return np.asarray(value)
    if value.dtype.kind != "f":
        raise DataError(
            f"{name!r}: pixels of the array are masked, and {value.dtype} has no number for "
            "missing ones; fill them first (array.filled(...))"
        )
    return np.asarray(value.filled(np.nan))


_ORIENTATION = 0x0112


def _stored_in(picture: Picture, modality: Modality) -> NDArray[Any]:
    """What a picture of PIL holds, as its file would be read."""
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        raise DataError(
            "a picture of PIL says in its EXIF header that it is turned; apply "
            "PIL.ImageOps.exif_transpose to it first"
        )
    if modality.field_kind.colours and picture.mode not in ("RGB", "L", "I;16", "I", "F"):
        raise DataError(
            f"a picture of PIL is of mode {picture.mode}; give picture.convert('RGB') or "
            "convert('L')"
        )
    return np.asarray(picture)


class ReadScene(NamedTuple):
    """A scene that was read and prepared.

    Attributes:
        size: height and width in pixels.
        values: raw values by modality.
        prepared: what of them is normalised, at the size that the network sees.
    """

    size: tuple[int, int]
    values: dict[str, NDArray[Any]]
    prepared: dict[str, NDArray[Any]]


def alike(
    scenes: Iterable[tuple[Mark, ReadScene]], batch: int
) -> Iterator[list[tuple[Mark, ReadScene]]]:
    """Groups of scenes that can be predicted at once; few wait for others like them.

    Args:
        scenes: each with what it is known by.
        batch: the most of a group; four times as many are kept at most.
    """
    groups: dict[Any, list[tuple[Mark, ReadScene]]] = {}
    for mark, scene in scenes:
        key = (scene.size, tuple(scene.values))
        groups.setdefault(key, []).append((mark, scene))
        if len(groups[key]) == batch:
            yield groups.pop(key)
        elif sum(map(len, groups.values())) >= 4 * batch:
            yield groups.pop(next(iter(groups)))
    yield from groups.values()


def check_batch(batch: int) -> None:
    """Refuses what is no number of scenes.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ConfigError(f"batch is {described(batch)}; give a number of scenes, 1 or more")


def size_of_batch(read: Sequence[ReadScene]) -> tuple[int, int]:
    """The one size of the scenes of a batch, which are given by the same modalities."""
    if not read:
        raise ShapeError("a batch has at least one scene")
    size, values, _ = read[0]
    for number, (other, theirs, _) in enumerate(read):
        if set(theirs) != set(values):
            names = f"{', '.join(values)} and scene {number} {', '.join(theirs)}"
            raise StreamError(
                f"scene 0 has {names}; the scenes of a batch are given by the same modalities"
            )
        if other != size:
            sizes = f"{size[0]} × {size[1]} and scene {number} {other[0]} × {other[1]}"
            raise ShapeError(f"scene 0 is {sizes}; the scenes of a batch have one size")
    return size


def stored_modalities(
    net: ChannelExchangeNetwork, given: Mapping[str, Modality] | None
) -> dict[str, Modality]:
    """One modality per input of the network, in its order."""
    stored = net.metadata.get("preprocessing") or {}
    modalities = {name: Modality.from_dict(values) for name, values in stored.items()}
    modalities |= dict(given or {})
    missing = [name for name in net.inputs if name not in modalities]
    if missing:
        raise CheckpointError(
            f"nothing says how to preprocess {', '.join(missing)}: the network was saved without "
            "it; pass preprocessing={name: cen.data.Modality(...)}"
        )
    return {name: _of_channels(modalities[name], channels) for name, channels in net.inputs.items()}


def _of_channels(modality: Modality, channels: int) -> Modality:
    """A label with a channel per class: of a cycle network it is kept as the target it is, too."""
    if not modality.field_kind.classes or modality.channels == channels:
        return modality
    return replace(modality, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


def of_unit(modalities: Mapping[str, Modality], unit: float | None) -> dict[str, Modality]:
    """How files are read where those of depth have another unit than in training.

    Only reading: encodings of stored values (``released_segmentation``) go by the unit of training.
    """
    if unit is None:
        return dict(modalities)
    if not (math.isfinite(unit) and unit > 0):
        raise ConfigError(f"unit: {unit} is no length; say how many metres one stored value is")
    check_unit(modalities)
    return {
        name: replace(m, unit=unit, bits=None, bit_rotation=0) if m.field_kind.metres else m
        for name, m in modalities.items()
    }


def check_unit(given: Mapping[str, Modality]) -> None:
    """Refuses a unit of depth that would change nothing.

    Raises:
        ConfigError: none of the modalities is of kind depth.
    """
    if any(modality.field_kind.metres for modality in given.values()):
        return
    kinds = ", ".join(f"{name} ({modality.kind})" for name, modality in given.items())
    raise ConfigError(
        f"unit: is of files of kind depth, but there are only {kinds}; leave it out, and bring "
        "files of another kind to the unit of training first"
    )


def source_of(name: str, value: Value) -> str:
    """What messages call one of the inputs."""
    return str(value) if isinstance(value, str | Path) else f"array {name!r}"


def common_size(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """The one (H, W) of all inputs."""
    first, *others = shapes
    height, width = shapes[first][:2]
    for other in others:
        if shapes[other][:2] != (height, width):
            h, w = shapes[other][:2]
            raise ShapeError(
                f"{first} is {height} × {width} and {other} is {h} × {w} (height × width): the "
                "modalities must be aligned pixel by pixel; resample them to one size first"
            )
    if min(height, width) < SMALLEST:
        raise ShapeError(
            f"{first} is {height} × {width} (height × width), but both must be at least "
            f"{SMALLEST} pixels; enlarge it first"
        )
    return height, width
