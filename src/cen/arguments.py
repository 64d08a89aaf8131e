"""Checks of single arguments of Python calls; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from cen.errors import ConfigError, described


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number, also one of NumPy.

    Raises:
        ConfigError: ``value`` is another thing, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigError(f"{name} is a whole number, not {described(value)}")
    if value < least:
        raise ConfigError(f"{name} is at least {least}, not {described(int(value))}")
    return int(value)


def number(name: str, value: object, *, what: str, low: float = 0, high: float = math.inf) -> float:
    """A number from ``low`` to ``high``, both included, also one of NumPy.

    Args:
        name: The argument.
        value: Its value.
        what: What the argument is, for the message.
        low: The least.
        high: The greatest.

    Raises:
        ConfigError: ``value`` is another thing, NaN, or out of range.
    """
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if not fits or not low <= value <= high:  # type: ignore[operator]
        raise ConfigError(f"{name} is {what}, not {described(value)}")
    return value if isinstance(value, int | float) else float(value)  # type: ignore[arg-type]


def choice(name: str, value: object, choices: Sequence[str | bool | None]) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        ConfigError: Naming the argument, its choices and the value.
    """
    if isinstance(value, str | bool | None) and value in choices:
        return
    raise ConfigError(f"{name} is {' or '.join(map(repr, choices))}, not {described(value)}")


def mapping(name: str, value: object, example: str) -> Mapping[Any, Any]:
    """A dict.

    Raises:
        ConfigError: ``value`` is no mapping; the message gives the example.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is a dict such as {example}, not {described(value)}")
    return value
