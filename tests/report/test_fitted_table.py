"""Tables as wide as the terminal: words are folded, figures never."""

import argparse
import re
import sys

import pytest

from cen.cli import printing

LONG = "a_class_of_things_with_a_very_long_name_that_nobody_shortens"


def test_a_table_folds_words_and_never_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    rows = [(str(i), f"{LONG}_{i}", f"{i}.1234567", "99.99 .. 99.999", "84.8 ± 0.8") for i in "123"]
    shown = printing.table(("segmentation", "class", "train %", "interval", "score"), rows)
    printing.emit(argparse.Namespace(json=False), {}, shown)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(row[2] in text for row in rows)
    assert text.count("99.99 .. 99.999") == text.count("84.8 ± 0.8") == 3
    assert "…" not in text
