"""Values of files against types: what fits, and what a message says of what does not."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from cen import schema
from cen.errors import DataError
from cen.options.constraints import AtMost, Share


class Entry(TypedDict):
    """An entry of a file."""

    name: str
    shares: NotRequired[list[Share]]


Few = Annotated[list[int], AtMost(2)]

FITS: list[tuple[Any, Any]] = [
    (1, float),
    (None, int | None),
    ("a", Literal["a", 1]),
    ([1, 2], tuple[int, int]),
    ([1, 2], Few),
    ({"name": "a", "other": object}, Entry),
    ({"name": "a", "shares": [0, 1.0]}, Entry),
    ({"x": {"name": "a"}}, Mapping[str, Entry]),
]

WRONG: list[tuple[Any, Any, str]] = [
    (True, int, "it is True; expected: whole number"),
    (1.0, int, "it is 1.0; expected: whole number"),
    (2**70, int, "it is a number beyond 64 bits; expected: whole number"),
    (float("nan"), float, "it is nan; expected: number"),
    (True, Literal["a", 1], "it is True; expected: one of a, 1"),
    ([1], tuple[int, int], "it has 1 entries, not 2"),
    ([1, 2, 3], Few, "it is a list; expected: at most 2 entries"),
    ([1, 2, 3], Few | None, r"it is a list; expected: .*\(at most 2 entries\), or null"),
    ([1, "b"], Few | None, "it.1 is b; expected: whole number"),
    ({}, Entry, "it: name is missing"),
    ({"name": "a", "shares": [0.5, 2]}, Entry, "it.shares.1 is 2; expected: 0 to 1"),
    ({3: 1}, dict[str, int], "it: the key 3 is 3; expected: text"),
]


@pytest.mark.parametrize(("value", "hint"), FITS)
def test_what_fits_passes(value: Any, hint: Any) -> None:
    schema.check(value, hint, "it", DataError)


@pytest.mark.parametrize(("value", "hint", "message"), WRONG)
def test_what_does_not_fit_is_told_with_its_place(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        schema.check(value, hint, "it", DataError)
