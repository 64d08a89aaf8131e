"""docs/prediction.md: the table of what a prediction writes is what it writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cen.predict.predictions import DenseOutput, Prediction
from cen.tasks import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "prediction.md").read_text("utf-8")


def rows() -> dict[str, str]:
    """The rows of the table by the kind of the output."""
    table = PAGE.split("## What is written")[1].split("\n## ")[0]
    found: dict[str, str] = {}
    kind = ""
    for name, rest in re.findall(r"^\| ?([a-z]*) ?(\| `.+)$", table, re.MULTILINE):
        kind = name or kind
        found[kind] = found.get(kind, "") + rest
    return found


def files_told(kind: str) -> set[str]:
    return set(re.findall(r"`([a-z]+\.[a-z]+)`", rows()[kind]))


def test_the_table_has_every_kind() -> None:
    assert rows().keys() == KINDS.keys()


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"segmentation"}))
def test_the_files_of_an_output(kind: str, tmp_path: Path) -> None:
    shape = (4, 5) if kind in ("depth", "edge") else (4, 5, 3)
    values = np.linspace(0.1, 0.9, np.prod(shape), dtype=np.float32).reshape(shape)
    bytes_ = np.zeros((4, 5, 3), np.uint8)
    # Of images those learnt from continuous values, and those of 8 bits.
    exact = DenseOutput(kind, values, {}, {"rgb": 1.0}, bytes_ if kind == "image" else None)
    assert {file.name for file in exact.save(tmp_path).values()} == files_told(kind)
    if kind == "image":
        files = DenseOutput(kind, bytes_, {}, {"rgb": 1.0}).save(tmp_path / "of 8 bits")
        assert files.keys() == {"picture"}


def test_the_files_of_a_segmentation(tmp_path: Path) -> None:
    prediction = Prediction(
        labels=np.zeros((4, 5), np.uint8),
        streams={},
        alpha={"rgb": 1.0},
        classes=("wall", "floor"),
        palette=np.zeros((2, 3), np.uint8),
        picture=np.zeros((4, 5, 3), np.uint8),
        probabilities=np.full((2, 4, 5), 0.5, np.float32),
    )
    files = prediction.save(tmp_path)
    assert {file.name for file in files.values()} == files_told("segmentation")
    stored = json.loads(files["classes"].read_text("utf-8"))
    keys = {*stored, *stored["classes"][0]} - {"classes"}
    assert [key for key in keys if f"`{key}`" not in rows()["segmentation"]] == []
