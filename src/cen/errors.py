"""The typed exceptions of CEN.

Every message says what was wrong, where (file, key, line or shape) and what to do about it. The
command line prints the message alone and exits with code 2; a library user catches
:class:`CenError` for all of them.
"""

from collections.abc import Iterable
from difflib import get_close_matches


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
