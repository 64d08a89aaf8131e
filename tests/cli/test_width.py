"""What commands print fits a terminal of 80 columns, and loses no figure there."""

import argparse
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len
from tests.data.own_folder import CLASSES, make_root, say

from cen import cli
from cen.cli import printing

LONG = "a_class_of_things_with_a_very_long_name_that_nobody_shortens"


def test_check_and_stats_with_long_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_root(tmp_path)
    heat = {"pattern": "thermal/{id}.tif", "kind": "continuous", "unit": 0.00390625}
    classes = [f"{LONG}_{name}" for name in CLASSES]
    labels = {"pattern": "labels/{id}.png", "classes": classes}
    say(tmp_path, **{f"modalities__{LONG}_heat": heat, f"outputs__{LONG}_labels": labels})
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli.main(["data", "folder", "check", str(tmp_path), "--fields", "all", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert cli.main(["data", "folder", "check", str(tmp_path), "--fields", "all"]) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    # What was found is text of one line each, to be copied; the tables stand before it.
    tables = re.split(r"^(?:error|note|nothing)", text, maxsplit=1, flags=re.MULTILINE)[0]
    assert max(map(cell_len, tables.splitlines())) <= 80
    found = [split["ranges"][f"{LONG}_heat"] for split in facts["splits"].values()]
    low, high = min(values["low"] for values in found), max(values["high"] for values in found)
    assert [x for x in (f"{low:.4g}", f"{high:.4g}", "0.00390625") if x not in tables] == []
    assert cli.main(["data", "folder", "stats", str(tmp_path), "--fields", "all"]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    assert f"{LONG}_heat" in said["data"]["modalities"]
    assert len(said["train"]["class_weights"]) == len(classes)


def test_text_is_not_broken_into_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """YAML of cen data stats, and paths, are copied from the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    text = "class_weights: [" + ", ".join(["0.12345"] * 40) + "]"
    printing.emit(argparse.Namespace(json=False), {}, text)
    assert capsys.readouterr().out == f"{text}\n"
