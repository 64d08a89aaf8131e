"""Nothing is fetched because a file says so: which keys of a configuration name a place.

Imports nothing of CEN but its errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cen.errors import ConfigError, shown

_PLACES = ("data.root.", "model.weights.", "data.options.")
# They choose no place: a file may give them, as true or false.
_HARMLESS = ("data.options.storage.anon", "data.options.storage.requester_pays")


def is_url(text: str | None) -> bool:
    """Whether a text names something that is fetched, and no file or folder of this machine."""
    return text is not None and ("://" in text or "::" in text)


def refuse_fetched(values: Mapping[str, Any], asked: Iterable[str], place: str) -> None:
    """Refuses what a file would have fetched: whoever wrote it, a person here has to ask for it.

    Args:
        values: Dotted keys of a configuration to values that a file gives; others may be among
            them.
        asked: The dotted keys that a person gave.
        place: What stands before a key in messages.
    """
    asked = set(asked)
    for dotted_key, given in values.items():
        if not f"{dotted_key}.".startswith(_PLACES):
            continue
        for key, value in _leaves(dotted_key, given):
            parts = key.split(".")
            if {".".join(parts[:count]) for count in range(2, len(parts) + 1)} & asked:
                continue
            storage = parts[:3] == ["data", "options", "storage"]
            if storage and not (key in _HARMLESS and isinstance(value, bool)):
                raise ConfigError(
                    f"{place}{key}: options of storage may choose where data are fetched from, "
                    f"which no file decides; give it yourself, --{key} VALUE"
                )
            if isinstance(value, str) and is_url(value):
                raise ConfigError(
                    f"{place}{key}: is a URL ({shown(value)}), and nothing is fetched because a "
                    f"file says so; give it yourself, --{key} URL, or download it and name what "
                    "you got"
                )


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, by its dotted key; null and an empty mapping hold none."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(f"{key}.{name}", part)
    elif isinstance(value, list | tuple) and value:
        for index, part in enumerate(value):
            yield from _leaves(f"{key}.{index}", part)
    elif value is not None and value != {}:
        yield key, value
