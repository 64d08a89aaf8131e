"""Preprocessing as a part of a graph: from arrays as they are read to what a network takes.

The arithmetic of `cen.data.Modality` once more, in operations of PyTorch that can be exported; an
export is compared with what `cen.data` itself makes of its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cen.data import Modality
from cen.data.fields.encodings import NEAREST
from cen.errors import ConfigError


def check_arithmetic(modalities: Mapping[str, Modality], resize: Sequence[int] | None) -> None:
    """Refuses preprocessing that no graph can do; ``resize``: the size that pictures get first.

    Raises:
        ConfigError: there are holes to be filled, pictures to be resized, or an encoding needs a
            camera.
    """
    for name, modality in modalities.items():
        why = ""
        if modality.fill_holes is not None:
            why = f"fill_holes: {modality.fill_holes} looks for the nearest measured pixels"
        elif modality.encoded_by.camera:
            why = f"the encoding {modality.encoding} needs the camera of each picture"
        elif resize is not None:
            why = f"pictures are resized to {resize[0]} × {resize[1]} first"
        if why:
            raise ConfigError(
                f"--raw: {name}: {why}, which is no arithmetic that a graph can hold; export "
                "without --raw and give what cen.data.Modality.to_network makes of the files"
            )


def dtype_of(modality: Modality) -> torch.dtype:
    """The type of the raw values that a graph takes."""
    kind = modality.field_kind
    if kind.classes:
        return torch.int64
    if not kind.picture or not kind.colours:
        return torch.float32
    if modality.bits == 16:
        return torch.uint16
    eight = modality.bits == 8 or modality.channels in (1, 3)
    return torch.uint8 if eight else torch.float32


def described(modality: Modality) -> dict[str, Any]:
    """How a raw input is to be given, for the metadata."""
    channels = modality.stored_channels
    one = channels == 1 or modality.field_kind.classes
    return {
        "shape": ["batch", "height", "width"] + ([] if one else [channels]),
        "type": str(dtype_of(modality)).removeprefix("torch."),
        "values": modality.field_kind.described,
    }


def as_raw(modality: Modality, values: Sequence[Any]) -> Tensor:
    """Arrays of `Modality.read` of one size as the one raw input of a batch."""
    return torch.from_numpy(np.stack([np.asarray(value) for value in values])).to(
        dtype_of(modality)
    )


def as_numbers(modality: Modality, raw: Tensor) -> Tensor:
    """What a network takes of raw values.

    Args:
        modality: how they are preprocessed; see `check_arithmetic`.
        raw: (B, H, W) or (B, H, W, C), see `described`.

    Returns:
        (B, channels, H, W) float32, as `cen.data.Modality.to_network` gives it up to rounding.
    """
    if modality.field_kind.classes:
        classes = torch.arange(modality.channels, device=raw.device)[:, None, None]
        return (raw.unsqueeze(1) == classes).float()
    values = raw.float()
    values = values.unsqueeze(1) if values.ndim == 3 else values.permute(0, 3, 1, 2)
    measured = torch.isfinite(values)
    if modality.field_kind.metres:
        measured = measured & (values > 0)
    # What is missing goes through all that follows as a number, and is put in at the end.
    values = torch.where(measured, values, 1.0)
    if modality.clip is not None:
        values = values.clamp(modality.clip[0], modality.clip[1])
    values = _encoded(modality, values, measured)
    values = values.expand(-1, modality.channels, -1, -1)
    mean, std = (
        torch.tensor(of, dtype=torch.float32, device=raw.device)[:, None, None]
        for of in (modality.mean, modality.std)
    )
    numbers = (values * modality.scale - mean) / std
    return torch.where(measured & torch.isfinite(numbers), numbers, modality.fill)


_ARITHMETIC: Mapping[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda values: values,
    "inverse": lambda metres: 1.0 / metres.clamp(min=NEAREST),
    "log": lambda metres: metres.clamp(min=NEAREST).log(),
}


def _encoded(modality: Modality, values: Tensor, measured: Tensor) -> Tensor:
    if modality.encoding in _ARITHMETIC:
        return _ARITHMETIC[modality.encoding](values)
    if modality.encoding == "minmax":
        return _spread(values, measured)
    if modality.encoding == "jet":
        if modality.clip is None:
            return _jet(1.0 - _spread(values, measured))
        low, high = modality.clip
        return _jet(1.0 - ((values - low) / (high - low)).clamp(0.0, 1.0))
    if modality.encoding == "taskonomy_depth":
        return (values / modality.unit_or_one).clamp(min=0.0).log1p() * (255.0 / 11.1)
    # The others multiply by a number, which is what they make of 1.
    one = modality.encoded_by.encode(np.ones((1, 1), np.float32), modality, None)
    return values * float(one[0, 0])


def _spread(values: Tensor, measured: Tensor) -> Tensor:
    """See `cen.data.fields.encodings.spread`; of each picture of the batch on its own."""
    low = torch.where(measured, values, torch.inf).amin((1, 2, 3), keepdim=True)
    high = torch.where(measured, values, -torch.inf).amax((1, 2, 3), keepdim=True)
    return (values - low) / (high - low).clamp(min=1e-12)


def _jet(share: Tensor) -> Tensor:
    """See `cen.data.fields.encodings.jet`."""
    centres = torch.tensor((0.75, 0.5, 0.25), device=share.device)[:, None, None]
    return 255.0 * (1.5 - 4.0 * (share - centres).abs()).clamp(0.0, 1.0)
