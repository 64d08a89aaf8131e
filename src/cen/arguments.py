"""Checks of single arguments of Python calls; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from cen.errors import ConfigError, described
from cen.options.constraints import Within, alternatives, limits


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
    """Refuses a value that is none of the choices."""
    if isinstance(value, str | bool | None) and value in choices:
        return
    raise ConfigError(f"{name} is {' or '.join(map(repr, choices))}, not {described(value)}")


def mapping(name: str, value: object, example: str) -> Mapping[Any, Any]:
    """A dict."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is a dict such as {example}, not {described(value)}")
    return value


def option(name: str, value: object, hint: Any) -> Any:
    """The value of an argument that has the type of a field of `cen.options`.

    Args:
        name: The argument.
        value: Its value.
        hint: The type with its ranges: a number, text, true or false, a Literal, a list of whole
            numbers or of texts, or one of these or None.

    Returns:
        The same; numbers of NumPy have become those of Python, which a checkpoint can hold.
    """
    hint, outer = limits(hint)
    parts = alternatives(hint)
    if value is None and NoneType in parts:
        return None
    plain, added = limits(parts[0])
    if plain is bool or get_origin(plain) is Literal:
        some = (True, False) if plain is bool else get_args(plain)
        choice(name, value, (*some, *((None,) if NoneType in parts else ())))
        return value
    if plain is str and not isinstance(value, str):
        raise ConfigError(f"{name} is text, not {described(value)}")
    if get_origin(plain) is list:
        if not isinstance(value, Sequence) or isinstance(value, str):
            what = "texts" if get_args(plain)[0] is str else "whole numbers such as [3, 4]"
            raise ConfigError(f"{name} is a list of {what}, not {described(value)}")
        if get_args(plain)[0] is str:
            return [option(f"an entry of {name}", entry, str) for entry in value]
        # The network itself says which numbers there are.
        return [whole(f"an entry of {name}", entry, -(2**63)) for entry in value]
    for limit in (*outer, *added):
        if isinstance(limit, Within):
            value = _number(name, value, plain, limit)
    return value


def _number(name: str, value: object, plain: Any, limit: Within) -> float:
    if plain is int:
        checked: float = whole(name, value, int(limit.low))
    else:
        checked = number(name, value, what=f"a number of {limit}", low=limit.low)
    if checked not in limit:
        raise ConfigError(f"{name} is a number of {limit}, not {described(value)}")
    return checked
