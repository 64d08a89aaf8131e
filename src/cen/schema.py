"""Checking what a file holds against types, before anything is made of it.

`cen.parsing` turns what people write into dataclasses and knows every key. What programs write for
programs (checkpoints' headers, files of a run folder) is checked here: the types of the keys that
are read, whatever else there may be.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cen.errors import CenError
from cen.options.constraints import describe, is_union, limits

_PLAIN: Mapping[Any, tuple[type, ...]] = {
    int: (int,),
    float: (int, float),
    str: (str,),
    bool: (bool,),
    type(None): (type(None),),
}
_REACH = 2**63


def check(value: Any, hint: Any, place: str, error: type[CenError], *, finite: bool = True) -> None:
    """Refuses values that are not of a type, in depth.

    Args:
        value: Plain values, as YAML and JSON give them.
        hint: ``int``, ``float``, ``str``, ``bool``, ``None``, a Literal, a union, a list, a
            sequence, a tuple, a mapping with text as keys, a TypedDict (keys it does not know may
            hold anything), ``Any``, or one of these ``Annotated`` with a limit
            (:mod:`cen.options.constraints`). Numbers have at most 64 bits. Other types do not
            occur in a file.
        place: What messages call the value.
        error: Type of the exception.
        finite: Refuse NaN and infinities.

    Raises:
        CenError: Of type ``error``, naming the key and what was expected.
    """
    _Checker(error, finite).check(value, hint, place)


def check_arguments(
    values: Mapping[str, Any],
    hints: Mapping[str, Any],
    place: str,
    error: type[CenError],
    *,
    finite: bool = True,
) -> None:
    """Refuses names that are unknown, and values that are not of their types."""
    for name, value in values.items():
        if name not in hints:
            raise error(f"{place} has an unknown key {_short(name)}")
        check(value, hints[name], f"{place}.{name}", error, finite=finite)


@dataclass(frozen=True)
class _Checker:
    error: type[CenError]
    finite: bool

    def check(self, value: Any, hint: Any, place: str) -> None:
        if hint is Any or self.fits(value, hint):
            return
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if is_union(hint):
            self.one_of(value, arguments, place)
        elif origin is typing.Annotated:
            self.within(value, hint, place)
        elif origin is Literal and any(value == a and type(value) is type(a) for a in arguments):
            return
        elif typing.is_typeddict(hint) and isinstance(value, dict):
            self.keys(value, hint, place)
        elif origin in (dict, Mapping) and isinstance(value, dict):
            for key, item in value.items():
                self.check(key, str, f"{place}: the key {_short(key)}")
                self.check(item, arguments[1], f"{place}.{_short(key)}")
        elif origin in (list, Sequence, tuple) and isinstance(value, list | tuple):
            self.entries(value, origin, arguments, place)
        else:
            raise self.wrong(value, hint, place)

    def fits(self, value: Any, hint: Any) -> bool:
        """Whether a value is of a plain type."""
        if type(value) not in _PLAIN.get(hint, ()):
            return False
        if isinstance(value, float):
            return not self.finite or math.isfinite(value)
        return not isinstance(value, int) or -_REACH <= value < _REACH

    def entries(self, value: Any, origin: Any, arguments: Any, place: str) -> None:
        if origin is tuple and arguments[-1] is not Ellipsis:
            if len(value) != len(arguments):
                raise self.error(f"{place} has {len(value)} entries, not {len(arguments)}")
            for index, (item, part) in enumerate(zip(value, arguments, strict=True)):
                self.check(item, part, f"{place}.{index}")
            return
        for index, item in enumerate(value):
            if not self.fits(item, arguments[0]):
                self.check(item, arguments[0], f"{place}.{index}")

    def one_of(self, value: Any, hints: Sequence[Any], place: str) -> None:
        """One of the types must fit; what is wrong within a container is what is told."""
        problems = []
        for hint in hints:
            try:
                self.check(value, hint, place)
            except self.error as problem:
                problems.append(problem)
            else:
                return
        inner = [p for p in problems if not str(p).startswith(f"{place} is ")]
        union: Any = typing.Union
        raise inner[0] if inner else self.wrong(value, union[tuple(hints)], place)

    def within(self, value: Any, hint: Any, place: str) -> None:
        plain, (limit,) = limits(hint)
        self.check(value, plain, place)
        if value not in limit:
            raise self.error(f"{place} is {_short(value)}; expected: {limit}")

    def keys(self, value: dict[Any, Any], hint: Any, place: str) -> None:
        hints = _hints(hint)
        for key in sorted(hint.__required_keys__):
            if key not in value:
                raise self.error(f"{place}: {key} is missing")
        for key, annotation in hints.items():
            if key in value:
                wrapped = typing.get_origin(annotation) in (typing.Required, typing.NotRequired)
                part = typing.get_args(annotation)[0] if wrapped else annotation
                self.check(value[key], part, f"{place}.{key}")

    def wrong(self, value: Any, hint: Any, place: str) -> CenError:
        return self.error(f"{place} is {_short(value)}; expected: {describe(hint)}")


@functools.cache
def _hints(of: Any) -> dict[str, Any]:
    return typing.get_type_hints(of, include_extras=True)


def _short(value: Any) -> str:
    """A value for a message: containers by their type, which may be long, others as they are."""
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not -_REACH <= value < _REACH:
        return "a number beyond 64 bits"
    text = value if isinstance(value, str) and value.isidentifier() else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
