"""JSON files of a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from cen import documents
from cen.files import write_text


def first_process() -> bool:
    """Whether this is the process that writes files; Lightning starts others for more devices."""
    return getattr(rank_zero_only, "rank", 0) == 0


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Writes a JSON file in one step; NaN is refused because JSON has none.

    ``indent=None`` is for large files: indenting is many times slower.
    """
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path: Path, default: Any) -> Any:
    """Reads a JSON file, or gives ``default`` where there is none."""
    return documents.read_json(path) if path.exists() else default
