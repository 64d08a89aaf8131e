"""Rooms as files, in the layouts of real data sets, so that the readers for those read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

from cen.data.readers.registry import ROOMS_WRITERS
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.plan import Plan
from cen.documents import read_yaml
from cen.errors import ConfigError, DataError
from cen.files import is_written, write_text

# Stands in a folder that is not finished yet, so that an interrupted write can be continued and a
# folder of anything else is never written into.
_UNFINISHED = ".rooms-unfinished.yaml"


def write_rooms(
    out: str | Path,
    layout: str = "nyudv2",
    labels: LabelSet = "parts",
    size: tuple[int, int] = (96, 128),
    train: int = 1000,
    test: int = 200,
    seed: int = 0,
    workers: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Writes Rooms to disk in the layout of a real data set, which its reader reads.

    Scenes of the test split never occur in the training split. dataset.yaml is written last; a
    folder with one is complete, and writing the same data set there again does nothing.

    Args:
        out: the folder; made if absent. It must be empty, or hold this very data set.
        layout: a key of ``ROOMS_WRITERS``; also the layout to read it with, see docs/datasets.md.
        labels: ``"parts"`` or ``"functions"``.
        size: height and width in pixels.
        train: number of scenes of the training split.
        test: number of scenes of the test split.
        seed: which sequence of scenes.
        workers: processes that render; 0 or 1: this one does. More need a script whose top level
            can be imported (``if __name__ == "__main__":``).
        progress: called with (written, total) after each scene.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something else or cannot be written.
        ValueError: an argument out of range.
    """
    if layout not in ROOMS_WRITERS:
        raise ValueError(f"no layout {layout!r}; there are {', '.join(ROOMS_WRITERS)}")
    if min(train, test) < 1:
        raise ValueError(f"each split needs a scene, got train={train} and test={test}")
    label_set(labels)
    root = Path(out)
    plan = Plan(root, layout, labels, size, train, test, seed, workers, progress)
    same = partial(_describes, plan.description())
    if is_written(root, "dataset.yaml", _UNFINISHED, same, "another data set", DataError):
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / _UNFINISHED, _text(plan.description()), DataError)
        described = resolve_name(ROOMS_WRITERS[layout])(plan)
        write_text(root / "dataset.yaml", _text(described), DataError)
        (root / _UNFINISHED).unlink()
    except OSError as error:
        raise DataError(f"{root}: cannot write there ({error})") from error
    return root


def _text(description: dict[str, Any]) -> str:
    return yaml.safe_dump(description, sort_keys=False, default_flow_style=None)


def _describes(description: dict[str, Any], path: Path) -> bool:
    """Whether a dataset.yaml says all of this, and perhaps more."""
    try:
        document = read_yaml(path).value
    except ConfigError:
        return False
    # Some layouts have keys of their own there and say under this one what they are.
    about = document.get("about", document) if isinstance(document, dict) else None
    return isinstance(about, dict) and description.items() <= about.items()
