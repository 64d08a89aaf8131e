"""The typed exceptions of CEN.

Every message says what was wrong, where (file, key, line or shape) and what to do about it. The
command line prints the message alone and exits with code 2; a library user catches
:class:`CenError` for all of them.
"""

import reprlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class CenError(Exception):
    """Base class of every error CEN raises on purpose."""


class ConfigError(CenError):
    """A configuration key or value is unknown or out of range."""


class DataError(CenError):
    """A file or a sample cannot be used as declared."""


class StreamError(CenError, ValueError):
    """Stream names, groups or the set of active streams do not fit."""


class ShapeError(CenError, ValueError):
    """A tensor or an image has a shape that the operation cannot take."""


class ConversionError(CenError):
    """A module holds a layer that cannot be made multi-stream."""


class CheckpointError(CenError):
    """A checkpoint is damaged, unsafe or of another network."""


class TrainingError(CenError):
    """Training cannot go on (for example: the loss is no longer finite)."""


class CenWarning(UserWarning):
    """Something is probably not meant, but can be gone on with."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` with the nearest known name, or nothing: a part of a message."""
    close = get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def nearest(word: str, choices: Iterable[Any]) -> str:
    """The end of an error message: the nearest right word, or all of them if none is near."""
    words = [str(choice) for choice in choices]
    # A little more alike than is usual: 'thermal' is not meant to be 'normal'.
    close = get_close_matches(word, words, n=1, cutoff=0.65)
    return f"; did you mean {close[0]}?" if close else f"; choose from {', '.join(words)}"


_LONGEST = 80
_HUGE = 10**18


def shown(value: object, quote: str = "'", most: int = _LONGEST) -> str:
    """A value as a message quotes it: on one line, shortened in the middle, never a whole array.

    Args:
        value: Anything; text is quoted, other values are written as YAML and JSON write them.
        quote: What stands around text.
        most: Characters after which the middle is left out.
    """
    text = f"{quote}{value}{quote}" if isinstance(value, str) else _plainly(value)
    return shorten(printable(text), most)


def message_of(error: object) -> str:
    """What an error of others says, for a message: on one line, and not all of a long one."""
    return shown(" ".join(str(error).split()) or type(error).__name__, "", 300)


def shorten(text: str, most: int) -> str:
    """Text of at most ``most`` characters, its middle left out where it has more."""
    if len(text) <= most:
        return text
    front = most // 2
    return f"{text[:front]}…{text[len(text) - (most - 1 - front) :]}"


def printable(text: str) -> str:
    """Text without what a terminal would obey: control characters are written as escapes."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def _plainly(value: object) -> str:
    """A value without the names of Python's types."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= _HUGE:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_plainly(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plainly, value)) + "]"
    if isinstance(value, str):
        return value
    shape = getattr(value, "shape", None)
    name = type(value).__name__
    return str(value) if shape is None else f"{name} of shape {tuple(shape)}"


class _Described(reprlib.Repr):
    """Python's way of writing a value, without the contents of tensors, arrays and modules."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, _LONGEST, _LONGEST, 24

    def repr_int(self, x: int, level: int) -> str:
        """A whole number; one that is huge by its size."""
        return _plainly(x) if abs(x) >= _HUGE else repr(x)

    def repr_instance(self, x: object, level: int) -> str:
        """An object: by its type and shape, or as it writes itself where that is short."""
        name, shape = type(x).__name__, getattr(x, "shape", None)
        name = f"{'an' if name[0] in 'AEIOUaeio' or name == 'ndarray' else 'a'} {name}"
        if isinstance(x, type):
            return f"the class {x.__name__}"
        if isinstance(shape, tuple) and shape:
            return f"{name} of shape {tuple(shape)}"
        text = "" if hasattr(x, "named_modules") else super().repr_instance(x, level)
        return text if text and len(text) < _LONGEST and text.isprintable() else name


def described(value: object) -> str:
    """A value of a Python call as a message quotes it.

    On one line, as Python writes it and shortened; tensors, arrays and modules by their type and
    shape.
    """
    return printable(shorten(_Described().repr(value), 2 * _LONGEST))
