"""Small studies, as texts and as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cen.studies.spec import RowSpec, Study

GOOD = """
title: T
config: rooms-small
rows:
  cen: {}
  plain: {set: {model.exchange: false}}
"""


def load(tmp_path: Path, text: str) -> Study:
    """The study that a file of this text is."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return Study.load(file)


def study_of(**parts: Any) -> Study:
    """Two rows and two seeds, with these parts."""
    rows = {"cen": RowSpec(), "plain": RowSpec(set={"model.exchange": False})}
    return Study(**{"config": "rooms-small", "rows": rows, "seeds": 2, **parts})
