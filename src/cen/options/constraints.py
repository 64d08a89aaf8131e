"""What a field of the options takes beyond its type, written beside it with ``Annotated``."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cen.errors import ConfigError, shown

_HUGE = 1e9


@dataclass(frozen=True)
class Within:
    """The least and the greatest number; of a list, that of every entry.

    Attributes:
        low: The least, included.
        high: The greatest.
        below: The greatest is not included.
    """

    low: float
    high: float = _HUGE
    below: bool = False

    def refuse(self, key: str, value: float) -> None:
        """Refuses a number that is out of range.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
        if value in self:
            return
        one_sided = self.high == _HUGE and value < self.low
        right = f"at least {self.low}" if one_sided else f"between {self.low} and {self.high:.10g}"
        right = str(self) if self.below else right
        raise ConfigError(f"{key}: {shown(value)} is out of range; it must be {right}")

    def __contains__(self, value: float) -> bool:
        """Whether a number is within; NaN is not."""
        return self.low <= value <= self.high and not (self.below and value == self.high)

    def __str__(self) -> str:
        """The range as the documentation writes it."""
        if self.below:
            return f"at least {self.low:.10g} and below {self.high:.10g}"
        if self.high == _HUGE:
            return f"at least {self.low:.10g}"
        return f"{self.low:.10g} to {self.high:.10g}"


@dataclass(frozen=True)
class AtMost:
    """The greatest number of entries of a list."""

    entries: int

    def refuse(self, key: str, value: list[Any]) -> None:
        """Refuses a list that is longer."""
        if value not in self:
            raise ConfigError(f"{key}: has {len(value)} entries; at most {self.entries}")

    def __contains__(self, value: list[Any]) -> bool:
        """Whether a list is no longer."""
        return len(value) <= self.entries

    def __str__(self) -> str:
        """The limit as the documentation writes it."""
        return f"at most {self.entries} entries"


Count = Annotated[int, Within(1)]
"""How many of something."""

Size = Annotated[int, Within(1, 16384)]
"""A length in pixels."""

Width = Annotated[int, Within(1, 8192)]
"""Channels of a layer."""

Channels = Annotated[int, Within(1, 2**16)]
"""Channels of a field of the data, or classes: more is no data, and would take all memory."""

Seed = Annotated[int, Within(0, 2**32 - 1)]
"""Where random numbers start."""

Amount = Annotated[float, Within(0)]
"""A factor or a rate."""

Share = Annotated[float, Within(0, 1)]
"""A probability or a part of a whole."""

Dropout = Annotated[float, Within(0, 1, below=True)]
"""The probability of a dropout layer."""


class Networks:
    """Which networks have an option; without it all have.

    Args:
        *names: Networks by the names of their decoders.
        **unset: Further ones, with what null means for them.
    """

    def __init__(self, *names: str, **unset: object) -> None:
        self.names = (*names, *unset)
        self.unset = unset


def limits(hint: Any) -> tuple[Any, list[Any]]:
    """A type and what ``Annotated`` adds to it; nothing for other types."""
    if typing.get_origin(hint) is Annotated:
        return typing.get_args(hint)[0], list(hint.__metadata__)
    return hint, []


def is_union(hint: Any) -> bool:
    """Whether a type is one of several."""
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of another type that one."""
    return typing.get_args(hint) if is_union(hint) else (hint,)


def describe(hint: Any) -> str:
    """A type as people write it: ``number``, ``one of own, any``, ``list of text, or null``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_union(hint):
        return ", or ".join(dict.fromkeys(map(describe, arguments)))
    if origin is Annotated:
        ranges = [f" ({limit})" for limit in arguments[1:] if isinstance(limit, Within | AtMost)]
        return describe(arguments[0]) + "".join(ranges)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple and ... not in arguments:
        one, space, limits = describe(arguments[0]).partition(" (")
        return f"list of {len(arguments)} {one}s{space}{limits}"
    if origin in (list, tuple, Sequence):
        inner = describe(arguments[0])
        return f"list of ({inner})" if is_union(arguments[0]) else f"list of {inner}"
    if origin in (dict, Mapping):
        return "mapping of names to " + describe(arguments[1])
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "true or false",
        Any: "values",
    }
    return "null" if hint is types.NoneType else names.get(hint, "group of keys")


def walk(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and value of every field that is no dataclass itself."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value


def check_ranges(options: Any, prefix: str = "") -> None:
    """Refuses numbers that are out of the range beside their field, in depth."""
    hints = typing.get_type_hints(type(options), include_extras=True)
    for item in dataclasses.fields(options):
        _check(getattr(options, item.name), hints[item.name], prefix + item.name)


def _check(value: Any, hint: Any, key: str) -> None:
    arguments = typing.get_args(hint)
    if dataclasses.is_dataclass(value):
        check_ranges(value, f"{key}.")
    elif is_union(hint):
        for part in arguments:
            _check(value, part, key)
    elif isinstance(value, Mapping) and typing.get_origin(hint) is dict:
        for name, entry in value.items():
            _check(entry, arguments[1], f"{key}.{name}")
    elif isinstance(value, list | tuple) and typing.get_origin(hint) in (list, tuple):
        for index, entry in enumerate(value):
            place = f"{key}[{index}]" if dataclasses.is_dataclass(entry) else key
            _check(entry, arguments[0], place)
    elif typing.get_origin(hint) is Annotated:
        plain, added = limits(hint)
        for limit in added:
            if isinstance(limit, Within) and isinstance(value, int | float):
                limit.refuse(key, value)
            if isinstance(limit, AtMost) and isinstance(value, list):
                limit.refuse(key, value)
        _check(value, plain, key)


def check_finite(value: Any, key: str) -> None:
    """Refuses NaN, infinities and what no computer's number holds, however deep they lie."""
    parts: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        # The one number that may be NaN: what a file writes for "not measured".
        if name != "missing":
            check_finite(part, f"{key}.{name}" if key else str(name))
    if isinstance(value, int | float) and not abs(value) < 2**63:
        raise ConfigError(f"{key}: {shown(value)} is out of range; give a finite number")
