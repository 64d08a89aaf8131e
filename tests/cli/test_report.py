"""``cen report``: the page and the picture of a run."""

from pathlib import Path

import pytest

from cen import cli


def test_report_prints_where_the_page_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = run / "talk.png"
    assert cli.main(["report", str(run), "--overview", str(picture)]) == 0
    assert capsys.readouterr().out.split() == [str(run / "report.html"), str(picture)]
    assert "<html" in (run / "report.html").read_text("utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")
