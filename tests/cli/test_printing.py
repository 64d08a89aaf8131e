import argparse
import sys
from pathlib import Path

import pytest

from cen.cli.printing import emit, telling_replaced
from cen.errors import CenWarning


def write(folder: Path) -> None:
    with telling_replaced(folder, "exported networks"):
        (folder / "new").write_text("new")
        (folder / "new").replace(folder / "rgb.onnx")
        (folder / "depth.onnx").write_text("new")


def test_files_that_are_written_anew_are_told(tmp_path: Path) -> None:
    for name in ("rgb.onnx", "kept.onnx"):
        (tmp_path / name).write_text("old")
    told = r"--out .*: held exported networks, of which rgb\.onnx were replaced"
    with pytest.warns(CenWarning, match=told):
        write(tmp_path)


def test_a_new_folder_is_nothing_to_tell(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with telling_replaced(tmp_path / "out", "a prediction"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "labels.png").write_text("new")
    assert not recwarn.list


def test_text_is_not_broken_into_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """YAML of cen data stats, and paths, are copied from the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    text = "class_weights: [" + ", ".join(["0.12345"] * 40) + "]"
    emit(argparse.Namespace(json=False), {}, text)
    assert capsys.readouterr().out == f"{text}\n"
