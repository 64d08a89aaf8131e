"""Scenes that can be predicted at once: of one size and by the same modalities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from cen.errors import ConfigError, described
from cen.predict.inputs import ReadScene

Mark = TypeVar("Mark")


def alike(
    scenes: Iterable[tuple[Mark, ReadScene]], batch: int
) -> Iterator[list[tuple[Mark, ReadScene]]]:
    """Groups of scenes that can be predicted at once; few wait for others like them.

    Args:
        scenes: each with what it is known by.
        batch: the most of a group; four times as many are kept at most.
    """
    groups: dict[Any, list[tuple[Mark, ReadScene]]] = {}
    for mark, scene in scenes:
        key = (scene.size, tuple(scene.values))
        groups.setdefault(key, []).append((mark, scene))
        if len(groups[key]) == batch:
            yield groups.pop(key)
        elif sum(map(len, groups.values())) >= 4 * batch:
            yield groups.pop(next(iter(groups)))
    yield from groups.values()


def check_batch(batch: int) -> None:
    """Refuses what is no number of scenes.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ConfigError(f"batch is {described(batch)}; give a number of scenes, 1 or more")
