"""The label sets of Rooms: what an object is made of, what it looks like, what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LabelSet = Literal["parts", "functions"]

BACKGROUND = ("floor", "wall", "ceiling")
SHAPES = ("box", "sphere", "cylinder", "cone")
MATERIALS = ("wood", "plaid", "stone")
FUNCTIONS = ("seat", "store", "toy")


@dataclass(frozen=True)
class Labels:
    """Names and colours of one label set.

    Attributes:
        classes: class names; the position is the label value.
        palette: one RGB colour (0..255) per class, for pictures.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


# One hue per shape or function, one brightness per material: neighbours in meaning look related.
_BACKGROUND_COLOURS = ((120, 110, 100), (190, 190, 180), (235, 235, 235))
_HUES = ((214, 69, 65), (63, 127, 191), (77, 175, 74), (230, 159, 0))
_SHADES = (1.0, 0.72, 0.45)


def _shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    red, green, blue = (round(factor * channel) for channel in colour)
    return red, green, blue


LABEL_SETS: Mapping[str, Labels] = {
    "parts": Labels(
        BACKGROUND + tuple(f"{material} {shape}" for shape in SHAPES for material in MATERIALS),
        _BACKGROUND_COLOURS + tuple(_shade(hue, shade) for hue in _HUES for shade in _SHADES),
    ),
    "functions": Labels(BACKGROUND + FUNCTIONS, _BACKGROUND_COLOURS + _HUES[:3]),
}
"""The label sets by name."""


def label_set(name: str) -> Labels:
    """Names and colours of a label set, ``"parts"`` or ``"functions"``."""
    if name not in LABEL_SETS:
        raise ValueError(f"no label set {name!r}; Rooms has {', '.join(LABEL_SETS)}")
    return LABEL_SETS[name]


def part_label(shape: int, material: int) -> int:
    """*Parts* label of an object: one class per (shape, material)."""
    return len(BACKGROUND) + shape * len(MATERIALS) + material


def function_label(shape: int, material: int) -> int:
    """*Functions* label of an object: (shape + material) mod 3, a Latin square."""
    return len(BACKGROUND) + (shape + material) % len(FUNCTIONS)
