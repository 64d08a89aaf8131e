"""Checks of the arguments of `cen.build`, whatever they may be, before any of them is used."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

from cen.arguments import choice, mapping, whole
from cen.errors import ConfigError, described, did_you_mean

_NUMBERS = ("width", "decoder_channels")
_TEXTS = ("encoder", "fusion", "fusion_at")


def check_arguments(
    name: str, builder: Callable[..., Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a builder, after a check of their names and types.

    Args:
        name: the network, for messages.
        builder: what builds it.
        arguments: what it is given.

    Returns:
        The same; whole numbers of NumPy have become those of Python, which a checkpoint can hold.

    Raises:
        ConfigError: an argument is unknown, missing, or of another type.
    """
    known = [key for key in inspect.signature(builder).parameters if key != "name"]
    for key in arguments:
        if key not in known:
            raise ConfigError(
                f"a {name} network has no option {key!r}{did_you_mean(key, known)}; it has "
                f"{', '.join(known)}"
            )
    for key, example in (("inputs", "{'rgb': 3}"), ("outputs", "{'segmentation': 40}")):
        if key not in arguments:
            raise ConfigError(f"a {name} network needs {key}, such as {key}={example}")
    given = dict(arguments)
    inputs = mapping("inputs", given["inputs"], "{'rgb': 3, 'depth': 1}: channels by name")
    given["inputs"] = {
        key: whole(f"the number of channels of input {described(key)}", value)
        for key, value in inputs.items()
    }
    for key, value in given.items():
        if value is not None:
            given[key] = _checked(key, value)
    return given


def _checked(key: str, value: Any) -> Any:
    if key in _NUMBERS:
        return whole(key, value)
    if key in _TEXTS and not isinstance(value, str):
        raise ConfigError(f"{key} is text, not {described(value)}")
    if key == "weights" and not isinstance(value, str | os.PathLike):
        raise ConfigError(
            f"weights is 'imagenet' or the path of a file, not {described(value)}; load what is in "
            "memory with load_state_dict"
        )
    if key == "decoder_exchange":
        choice(key, value, (True, False, None))
    if key == "exchange_stages":
        return _stages(value)
    return value


def _stages(value: Any) -> list[int]:
    plain = isinstance(value, Sequence) and not isinstance(value, str)
    if not plain or not all(isinstance(v, Integral) and not isinstance(v, bool) for v in value):
        raise ConfigError(
            f"exchange_stages is a list of the stages' numbers such as [3, 4], not "
            f"{described(value)}"
        )
    return [int(number) for number in value]
