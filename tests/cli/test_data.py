"""``cen data NAME check|stats|plot``: words, files, exit codes."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.data.own_folder import make_root, say

from cen import cli
from cen.data import write_rooms


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rooms(tmp_path_factory.mktemp("rooms"), size=(32, 40), train=8, test=3, seed=5)


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


def test_what_is_wrong_with_every_split_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "folder", "check", str(tmp_path)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("a folder needs a dataset.yaml") == 1
    assert "(in every split) 1 error" in out


def test_rooms_need_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "rooms", "check", "--fields", "all", "--split", "test", "--json"]
    assert cli.main([*words, "--data.options.test", "2"]) == 0
    told = json.loads(capsys.readouterr().out)["splits"]["test"]
    assert told["samples"] == 2
    assert {"depth", "depth_clean"} <= set(told["depth"])


def test_stats_are_keys_of_a_configuration(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stats.yaml"
    assert cli.main(["data", "nyudv2", "stats", str(root), "--out", str(out)]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(out.read_text())
    assert set(yaml.safe_load(out.read_text())["data"]["modalities"]) == {"rgb", "depth"}
    assert cli.main(["data", "nyudv2", "stats", str(root), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err


def test_plot_writes_a_sheet(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    words = ["data", "nyudv2", "plot", str(root), "--samples", "2", "--out", str(out)]
    assert cli.main(words) == 0
    with Image.open(out) as small:
        few = small.size
    assert cli.main([*words[:-3], "5", "--out", str(out), "--first", "1"]) == 0
    with Image.open(out) as large:
        assert large.size[0] == few[0]
        assert large.size[1] > few[1]


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


def test_a_folder_may_be_called_like_a_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the check of docs/install.md."""
    monkeypatch.chdir(tmp_path)
    words = ["data", "rooms", "data/check", "--train", "2", "--test", "1", "--size", "32", "40"]
    assert cli.main(words) == 0
    assert (tmp_path / "data" / "check" / "rgb").is_dir()
