"""What a prediction is given: how its files are read, and which arrays are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cen.data import Modality
from cen.errors import CheckpointError, ConfigError, ShapeError, StreamError
from cen.models import ChannelExchangeNetwork
from cen.models.input_checks import SMALLEST

Inputs = Mapping[str, str | Path | NDArray[Any]]
"""The modalities of a scene that are there, by name: files, or arrays."""
Intrinsics = Sequence[float] | NDArray[Any] | None


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
    found = {name: Modality.from_dict(values) for name, values in stored.items()}
    found |= dict(given or {})
    missing = [name for name in net.inputs if name not in found]
    if missing:
        raise CheckpointError(
            f"nothing says how to preprocess {', '.join(missing)}: the network was saved without "
            "it; pass preprocessing={name: cen.data.Modality(...)}"
        )
    return {name: _of_channels(found[name], channels) for name, channels in net.inputs.items()}


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


def source_of(name: str, value: str | Path | NDArray[Any]) -> str:
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
            f"{SMALLEST}; enlarge it first"
        )
    return height, width
