"""``cen data NAME check``: what is there, what is wrong, and the exit code."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image
from rich.cells import cell_len
from tests.data.own_folder import CLASSES, make_root, say

from cen import cli
from cen.data import write_rooms

LONG = "a_class_of_things_with_a_very_long_name_that_nobody_shortens"


def test_check_says_what_is_there_and_exits_with_0(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "nyudv2", "check", str(root)]) == 0
    out = capsys.readouterr().out
    for text in ("train", "32 x 40", "floor", "nothing is wrong"):
        assert text in out


def test_check_names_what_is_wrong_and_exits_with_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "nyudv2", "check", str(root), "--data.modalities.depth.unit", "1"]
    assert cli.main(words) == 1
    assert "unit 0.001 makes it" in capsys.readouterr().out
    assert cli.main([*words, "--json", "--split", "test"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert told["findings"][0]["kind"] == "unit"
    assert list(told["splits"]) == ["test"]


def test_of_findings_alike_some_are_told_and_the_rest_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that differ in nothing but their names, then one with a fault of its own."""
    root = write_rooms(tmp_path / "rooms", size=(32, 40), train=3, test=7, seed=5)
    pictures = sorted((root / "rgb").glob("test_*"))
    for path in pictures[:6]:
        path.write_bytes(b"no picture")
    Image.new("RGB", (8, 8)).save(pictures[6])
    assert cli.main(["data", "nyudv2", "check", str(root), "--split", "test"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert [path.name in told for path in pictures[:6]] == [True] * 3 + [False] * 3
    assert "unreadable: and 3 more like these; --json names all" in told
    assert "error: size:" in told


def test_pixels_without_a_class_have_no_number_of_the_files_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What files hold for them is theirs: here it is 0, and no 255."""
    root = make_root(tmp_path)
    labels = {"pattern": "labels/{id}.png", "classes": ["road", "car"], "first": 1, "ignore": [0]}
    say(root, outputs__segmentation=labels)
    cli.main(["data", "folder", "check", str(root), "--split", "train"])
    told = capsys.readouterr().out
    (row,) = (line.split() for line in told.splitlines() if " ignored " in line)
    assert row[:2] == ["–", "ignored"]
    assert "255" not in told


def test_what_is_wrong_with_every_split_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "folder", "check", str(tmp_path)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("a folder needs a dataset.yaml") == 1
    assert "(in every split) 1 error" in out


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
