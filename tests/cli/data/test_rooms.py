"""``cen data rooms``: what is there is kept."""

from pathlib import Path

import pytest

from cen import cli


def test_rooms_that_are_there_are_kept_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rooms"
    words = ["data", "rooms", str(out), "--size", "32", "32", "--train", "2", "--test", "1"]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    assert "2 scenes to train on, 1 to test on (listed in val.txt)" in first
    assert cli.main(words) == 0
    assert capsys.readouterr().out == first.rstrip() + "; already there, kept\n"
