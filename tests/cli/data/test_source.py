"""Which data set a command is about."""

import json
from pathlib import Path

import pytest

from cen import cli


def test_a_configuration_names_layout_root_and_fields(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["rooms-demo", "check", str(root)], ["check", "rooms-demo", str(root)]):
        assert cli.main(["data", *words, "--model.inputs.depth", "null", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["units"] == {}


def test_weights_that_would_be_fetched_are_nothing_to_a_check(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{root: {root}}}\nmodel: {{weights: 'https://example.org/w.pth'}}\n")
    assert cli.main(["data", str(file), "check"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_rooms_need_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "rooms", "check", "--fields", "all", "--split", "test", "--json"]
    assert cli.main([*words, "--data.options.test", "2"]) == 0
    told = json.loads(capsys.readouterr().out)["splits"]["test"]
    assert told["samples"] == 2
    assert {"depth", "depth_clean"} <= set(told["depth"])
