"""``cen data``: names of data sets and verbs, help and misuse."""

from pathlib import Path

import pytest

from cen import cli


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nyudv2", "check"], "needs ROOT"),
        (["nyudv2", "check", "gone"], "gone: there is no such folder"),
        (["nyudv", "check", "."], "nyudv: no layout and no configuration; did you mean nyudv2?"),
        (["nyudv2", "chekc", "."], "did you mean"),
        (["folder"], "what shall be done with folder: check, stats, plot, convert?"),
        (["folder", "data/mine"], "For example: cen data folder check data/mine"),
        (["rooms-demo"], "what shall be done with rooms-demo: check"),
        (["nyudv2", "check", ".", "--fields", "rgb,dpeth"], "no field"),
        (
            ["nyudv2", "check", ".", "--workers", "0"],
            "--workers 0: give a whole number between 1",
        ),
        (["nyudv2", "check", ".", "--train.steps", "3"], "--train.steps: says nothing of the data"),
        (["nyudv2", "check", ".", "--data.rot", "3"], "is no key of a configuration"),
        (
            ["nyudv2", "plot", ".", "--samples", "0"],
            "--samples 0: give a whole number between 1",
        ),
        (["nyudv2", "plot", ".", "--first", "9"], "--first 9: give 0 to 6"),
        (["nyudv2", "convert", "."], "--out"),
        (["none.yaml", "check"], "none.yaml: no such file"),
    ],
)
def test_misuse_is_one_message_and_code_2(
    words: list[str],
    message: str,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root)
    assert cli.main(["data", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_help_of_a_data_set_is_that_of_cen_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["data", "folder", "--help"])
    assert done.value.code == 0
    assert "cen data NAME check|stats|plot|convert [ROOT]" in capsys.readouterr().out


def test_a_folder_may_be_called_like_a_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the check of docs/install.md."""
    monkeypatch.chdir(tmp_path)
    words = ["data", "rooms", "data/check", "--train", "2", "--test", "1", "--size", "32", "40"]
    assert cli.main(words) == 0
    assert (tmp_path / "data" / "check" / "rgb").is_dir()
