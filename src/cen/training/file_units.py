"""Scores of continuous values in the unit of their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from cen.data import Modality
from cen.errors import ConfigError
from cen.models import Task


class FileUnit(NamedTuple):
    """How what a network predicts of a continuous field becomes values of its files.

    Attributes:
        factor: per channel, what a prediction is multiplied by.
        offset: per channel, what is added then.
        limits: least and greatest value, where the field declares them (``clip``); else None.
        unit: what one stored value is worth.
        encoding: of the picture that stands in place of the values of the files, else "raw".
    """

    factor: tuple[float, ...]
    offset: tuple[float, ...]
    limits: tuple[float, float] | None
    unit: float
    encoding: str = "raw"

    def values(self, numbers: Tensor) -> Tensor:
        """(B, C, H, W) as the network has them, as values of the files."""
        shape = (1, -1, 1, 1)
        factor, offset = (numbers.new_tensor(part) for part in (self.factor, self.offset))
        return numbers * factor.view(shape) + offset.view(shape)

    def picture(self, numbers: Tensor) -> Tensor:
        """(B, C, H, W) as the network has them, as pictures: ``limits`` become -1 and 1."""
        if self.limits is None:
            raise ConfigError("values without a range are no pictures; declare it as clip")
        low, high = self.limits
        return (self.values(numbers) - low) * (2 / (high - low)) - 1

    def text(self, name: str) -> str:
        """In which unit the scores of an output are, in a sentence."""
        if self.encoding != "raw" and self.limits is not None:
            scale = f"{self.limits[0]:g} to {self.limits[1]:g}"
            return f"{name}: scores of its encoding {self.encoding}, which runs from {scale}"
        worth = "stored values" if self.unit == 1 else f"stored values times {self.unit:g}"
        measures = "PSNR, SSIM and feature distances"
        if self.limits is None:
            why = f"no {measures}, as no range is declared (data.modalities.{name}.clip)"
        else:
            why = f"{measures} over the range {self.limits[0]:g} to {self.limits[1]:g}"
        return f"{name}: MAE and RMSE in the unit of its files ({worth}); {why}"


def file_units(tasks: Mapping[str, Task], targets: Mapping[str, Modality]) -> dict[str, FileUnit]:
    """The outputs of continuous values, and of pictures of an encoding that are not in [-1, 1]."""
    units = {}
    for name, task in tasks.items():
        target = targets.get(name)
        if not task.rules.generated or target is None or not target.field_kind.open_range:
            continue
        encoded = target.encoding != "raw"
        if encoded and {*target.mean, *target.std} == {0.5}:
            continue  # in [-1, 1], as pictures are
        # The network has (value * scale - mean) / std.
        pairs = list(zip(target.mean, target.std, strict=True))
        repeat = task.channels // len(pairs)
        units[name] = FileUnit(
            tuple(std / target.scale for _, std in pairs) * repeat,
            tuple(mean / target.scale for mean, _ in pairs) * repeat,
            (0.0, 1 / target.scale) if encoded else _range(target),
            1.0 if target.unit is None else float(target.unit),
            target.encoding,
        )
    return units


def compared(tasks: Mapping[str, Task], units: Mapping[str, FileUnit]) -> list[str]:
    """The outputs of which feature networks can compare predicted and true pictures.

    Those of continuous values without a range are none: nothing says which value is black.
    """
    return [
        name
        for name, task in tasks.items()
        if task.rules.generated
        and task.channels in (1, 3)
        and (name not in units or units[name].limits is not None)
    ]


def _range(target: Modality) -> tuple[float, float] | None:
    return None if target.clip is None else (float(target.clip[0]), float(target.clip[1]))
