"""Ranges stand beside the fields of dataclasses, and hold at any depth."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest

from cen import parsing
from cen.errors import ConfigError
from cen.options.constraints import Count, Share, Within, check_finite, check_ranges


@dataclass
class Part:
    """A part.

    Attributes:
        steps: How many.
    """

    steps: Count = 1


@dataclass
class Whole:
    """All of it.

    Attributes:
        rate: A rate.
        sides: Two sides.
        either: A number of them, or their names.
        by_name: By name.
        parts: Parts.
        part: A part.
    """

    rate: Share | None = None
    sides: tuple[Annotated[int, Within(32, 64)], Annotated[int, Within(32, 64)]] | None = None
    either: Annotated[int, Within(2, 5)] | list[str] = 2
    by_name: dict[str, Count] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    part: Part = field(default_factory=Part)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1.5}, "x.rate: 1.5 is out of range; it must be between 0 and 1"),
        ({"rate": float("nan")}, "x.rate: nan"),
        ({"sides": (32, 65)}, "x.sides: 65 .* between 32 and 64"),
        ({"either": 1}, "x.either: 1 "),
        ({"by_name": {"a": 1, "b": 0}}, "x.by_name.b: 0 .* at least 1"),
        ({"parts": [Part(), Part(0)]}, r"x.parts\[1\].steps: 0"),
        ({"part": Part(-1)}, "x.part.steps: -1"),
    ],
)
def test_what_is_out_of_range_is_told_with_its_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_ranges(Whole(**values), "x.")  # type: ignore[arg-type]


def test_what_is_within_passes() -> None:
    check_ranges(Whole(1.0, (32, 64), ["a"], {"a": 1}, [Part(3)]))
    check_ranges(Whole(0.0, None, 5))


def test_documentation_gives_the_range_beside_the_type() -> None:
    types = {key.name: key.type for key in parsing.keys(Whole)}
    assert types["rate"] == "number (0 to 1), or null"
    assert types["sides"] == "list of 2 whole numbers (32 to 64), or null"
    assert types["by_name"] == "mapping of names to whole number (at least 1)"


def test_numbers_that_are_none_are_refused_at_any_depth() -> None:
    check_finite({"missing": float("nan"), "a": [1, 2.5]}, "")
    with pytest.raises(ConfigError, match=r"a\.1\.b: .*finite"):
        check_finite({"a": [1, {"b": float("inf")}]}, "")
