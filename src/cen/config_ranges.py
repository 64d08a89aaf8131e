"""Which numbers the keys of a configuration take. Imports nothing of CEN but its errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cen.errors import ConfigError, shown

_HIGH = 1e9
_MOST = 10**9
_SIDE = 16384
_CHANNELS = 8192
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "data.validation": (0, 0.9),
    "data.ignore_index": (0, 65535),
    "data.workers": (0, 1024),
    "data.transforms.resize": (1, _SIDE),
    "data.transforms.shorter_side": (1, _SIDE),
    "data.transforms.crop": (32, _SIDE),
    "data.transforms.scale": (0.01, 100),
    "data.transforms.rotate": (0, 180),
    "model.width": (1, _CHANNELS),
    "model.decoder_channels": (1, _CHANNELS),
    "model.threshold": (0, _HIGH),
    "model.exchange_stages": (1, _MOST),
    "model.random_rate": (0, 1),
    "model.random_seed": (0, 2**32 - 1),
    "model.dropout": (0, 1),
    "model.discriminator_width": (1, _CHANNELS),
    "model.discriminator_layers": (1, 16),
    "train.l1": (0, _HIGH),
    "train.cycle_weight": (0, _HIGH),
    "train.steps": (1, _MOST),
    "train.batch_size": (1, 1000000),
    "train.encoder_lr": (0, _HIGH),
    "train.decoder_lr": (0, _HIGH),
    "train.momentum": (0, 1),
    "train.weight_decay": (0, _HIGH),
    "train.warmup": (0, _MOST),
    "train.sparsity": (0, _HIGH),
    "train.sparsity_warmup": (0, 1),
    "train.alignment": (0, _HIGH),
    "train.exchange_rate": (0, 1),
    "train.exchange_rate_by": (0.05, 0.9),
    "train.modality_dropout": (0, 1),
    "train.clip_norm": (1e-12, _HIGH),
    "train.class_weights": (0, _HIGH),
    "train.devices": (1, 1024),
    "train.log_every": (1, _MOST),
    "train.validate_every": (1, _MOST),
    "train.checkpoint_every": (1, _MOST),
    "train.stages.steps": (1, _MOST),
    "train.stages.encoder_lr": (0, _HIGH),
    "train.stages.decoder_lr": (0, _HIGH),
}
"""Least and greatest value of every number, by key."""


def check_ranges(entries: Iterable[tuple[str, Any]]) -> None:
    """Refuses numbers that are out of range.

    Args:
        entries: Dotted keys with their values; of a list, every number is checked, and an entry of
            a list has its index in brackets.

    Raises:
        ConfigError: Naming the key, its value and what would be right.
    """
    for key, value in entries:
        limits = _RANGES.get(re.sub(r"\[\d+\]", "", key))
        for number in value if isinstance(value, list | tuple) else (value,):
            if limits and number is not None and not limits[0] <= number <= limits[1]:
                low, high = limits
                low_enough = high in (_MOST, _HIGH) and number < low
                right = f"at least {low}" if low_enough else f"between {low} and {high:.10g}"
                raise ConfigError(f"{key}: {shown(number)} is out of range; it must be {right}")


def check_numbers(value: Any, key: str) -> None:
    """Refuses NaN, infinities and what no computer's number holds, however deep they lie.

    Raises:
        ConfigError: Naming the key.
    """
    parts: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        # The one number that may be NaN: what a file writes for "not measured".
        if name != "missing":
            check_numbers(part, f"{key}.{name}" if key else str(name))
    if isinstance(value, int | float) and not abs(value) < 2**63:
        raise ConfigError(f"{key}: {shown(value)} is out of range; give a finite number")
