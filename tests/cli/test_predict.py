"""``cen predict`` on files of one scene, and on a split of the run's data."""

import json
from pathlib import Path

import cv2
import pytest
from tests.cli.printed import json_of

from cen import cli


@pytest.mark.parametrize("names", [("rgb",), ("depth",), ("rgb", "depth")])
def test_predict_on_any_subset(
    names: tuple[str, ...],
    run: Path,
    rooms: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rgb, _, depth = (rooms / "val.txt").read_text().splitlines()[0].split("\t")
    files = {"rgb": str(rooms / rgb), "depth": str(rooms / depth)}
    given = [word for name in names for word in (f"--{name}", files[name])]
    figures = json_of(["predict", str(run), *given, "-o", str(tmp_path)], capsys)
    labels = cv2.imread(str(tmp_path / "labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert labels.shape == (64, 96)
    assert sum(entry["share"] for entry in figures["classes"]) == pytest.approx(1)  # type: ignore[attr-defined,index]
    assert set(figures["alpha"]) == set(names)  # type: ignore[call-overload]


def test_predict_says_that_it_replaces_a_prediction(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("of somebody else")
    rgb = str(rooms / (rooms / "val.txt").read_text().splitlines()[0].split("\t")[0])
    words = ["predict", str(run), "--rgb", rgb, "-o", str(tmp_path)]
    assert cli.main([*words, "--probabilities"]) == 0
    told = capsys.readouterr()
    assert str(tmp_path / "overlay.png") in told.out
    assert "replaced" not in told.err
    assert (tmp_path / "probabilities.npz").is_file()
    assert cli.main(words) == 0
    told = capsys.readouterr()
    assert f"--out {tmp_path}: held a prediction, of which classes.json, colours.png" in told.err
    assert "notes.txt" not in told.err
    assert not (tmp_path / "probabilities.npz").exists(), "they are not of these labels"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "at least one modality"),
        (["--dept", "x.png"], "--dept: is no modality"),
        (["--rgb", "none.png"], "none.png"),
        (["--rgb"], "--rgb needs a value"),
        (["--rgb", "a.png", "--intrinsics", "1,2"], "1,2: is not four numbers"),
        (["--rgb", "a.png", "--intrinsics", "a,b"], "a,b: is not four numbers"),
        (["--rgb", "a.png", "--unit", "-1"], "--unit -1: give a number"),
    ],
)
def test_predict_refuses(
    words: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_predict_on_a_split_of_the_data_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["predict", str(run), "--split", "test", "-o", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    names = sorted(path.parent.name for path in out.glob("*/scene.json"))
    assert figures["predicted"] == len(names) > 0
    about = json.loads((out / names[0] / "scene.json").read_text("utf-8"))
    words = [word for name in about["inputs"] for word in (f"--{name}", about["inputs"][name])]
    assert cli.main(["predict", str(run), *words, "-o", str(tmp_path / "one")]) == 0
    one, of_many = tmp_path / "one" / "labels.png", out / names[0] / "labels.png"
    assert one.read_bytes() == of_many.read_bytes()


def test_predict_with_another_unit_is_warned_of(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = str(rooms / (rooms / "val.txt").read_text().splitlines()[0].split("\t")[2])
    for unit, warned in (("0.001", False), ("0.01", True)):
        words = ["predict", str(run), "--depth", depth, "--unit", unit, "-o", str(tmp_path)]
        assert cli.main(words) == 0
        told = capsys.readouterr().err
        assert ("cen: warning: " in told and "half of the depths" in told) == warned
