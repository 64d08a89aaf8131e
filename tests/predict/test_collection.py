"""Many scenes: batches, resuming, failures, parts; in Python and by the command."""

import json
import os

import cv2
import numpy as np
import pytest

import cen
from cen import cli
from cen.data.formats.pictures import write_png
from cen.models import save
from cen.predict.collection import DONE
from cen.predict.predictor import Predictor


@pytest.fixture(scope="module")
def run(net, tmp_path_factory):
    """A saved network; it takes rgb and depth."""
    folder = tmp_path_factory.mktemp("run")
    save(net, folder / "best.safetensors", metadata={"modality_dropout": 0.3})
    return folder / "best.safetensors"


@pytest.fixture
def scenes(tmp_path):
    """Seven scenes of two sizes; s3 has no depth of its own."""
    rng = np.random.default_rng(0)
    for number in range(7):
        size = (40, 48) if number % 3 else (33, 50)
        rgb = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        write_png(tmp_path / f"rgb/s{number}.png", rgb)
        depth = rng.integers(500, 6000, size, dtype=np.uint16)
        write_png(tmp_path / f"depth/s{number}.png", depth)
    return tmp_path


def predict(run, scenes, *more, out="out"):
    words = ["predict", str(run), "--rgb", str(scenes / "rgb"), "--depth", str(scenes / "depth")]
    return cli.main([*words, "-o", str(scenes / out), "--json", *more])


def labels(scenes, name, out="out"):
    return cv2.imread(str(scenes / out / name / "labels.png"), cv2.IMREAD_UNCHANGED)


def test_batches_give_what_single_scenes_give(run, scenes, capsys):
    assert predict(run, scenes, "--batch", "3", "--workers", "2", "--probabilities") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["skipped"], figures["failed"]) == (7, 0, {})
    predictor = Predictor(run)
    for number in range(7):
        files = {name: scenes / name / f"s{number}.png" for name in ("rgb", "depth")}
        alone = predictor(files, probabilities=True)
        found = np.load(scenes / "out" / f"s{number}" / "probabilities.npz")["probabilities"]
        np.testing.assert_allclose(found, alone.probabilities, atol=1e-5)
        assert (labels(scenes, f"s{number}") == alone.labels).mean() > 0.999
        about = json.loads((scenes / "out" / f"s{number}" / DONE).read_text())
        assert about["inputs"]["rgb"] == str(files["rgb"])
        written = set(about["files"]["segmentation"].values()) | {DONE}
        assert written == {file.name for file in (scenes / "out" / f"s{number}").iterdir()}


def test_what_is_finished_is_not_done_again(run, scenes, capsys):
    assert predict(run, scenes, "--shard", "2/3") == 0
    assert {path.name for path in (scenes / "out").iterdir()} == {"predictions.json", "s1", "s4"}
    (scenes / "out" / "s4" / DONE).unlink()  # killed while it was written
    before = (scenes / "out" / "s1" / "labels.png").stat().st_mtime_ns
    capsys.readouterr()
    for shard in ("1/3", "2/3", "3/3"):
        assert predict(run, scenes, "--shard", shard) == 0
    assert (scenes / "out" / "s1" / "labels.png").stat().st_mtime_ns == before
    assert len(list((scenes / "out").glob(f"*/{DONE}"))) == 7
    capsys.readouterr()
    newer = (scenes / "out" / "s5" / DONE).stat().st_mtime + 10
    os.utime(scenes / "rgb" / "s5.png", (newer, newer))
    assert predict(run, scenes, "--shard", "3/3") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["skipped"]) == (1, 1)


def test_other_files_of_the_same_name_are_not_taken_for_finished(run, scenes, capsys):
    """Older than the prediction that is there, as files that were copied or unpacked are."""
    assert predict(run, scenes, "--shard", "2/3") == 0
    state = (scenes / "rgb" / "s1.png").stat()
    other = 255 - cv2.imread(str(scenes / "rgb" / "s1.png"))
    write_png(scenes / "rgb" / "s1.png", other)
    os.utime(scenes / "rgb" / "s1.png", (state.st_atime - 1000, state.st_mtime - 1000))
    capsys.readouterr()
    assert predict(run, scenes, "--shard", "2/3") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["skipped"]) == (1, 1)


def test_a_scene_that_fails_is_told_at_the_end_and_stops_no_other(run, scenes, capsys):
    (scenes / "rgb" / "s2.png").write_bytes(b"no picture")
    write_png(scenes / "depth" / "s4.png", np.ones((40, 40), np.uint16))
    assert predict(run, scenes, "--batch", "4") == 1
    shown = capsys.readouterr()
    figures = json.loads(shown.out)
    assert figures["predicted"] == 5
    assert list(figures["failed"]) == ["s2", "s4"]
    told = [line for line in shown.err.splitlines() if line.startswith("cen: failed: ")]
    assert len(told) == 2
    assert "s2.png" in told[0]
    assert "40 × 48" in told[1]
    assert not (scenes / "out" / "s2").exists()


def test_no_folder_holds_predictions_of_two_kinds(run, scenes, capsys):
    assert predict(run, scenes) == 0
    assert predict(run, scenes, "--flip") == 2
    assert "made with another flip" in capsys.readouterr().err


def test_parts_of_scenes_are_of_one_kind_too(run, scenes, capsys):
    assert predict(run, scenes, "--shard", "1/2") == 0
    rgb = ["predict", str(run), "--rgb", str(scenes / "rgb"), "-o", str(scenes / "out")]
    assert cli.main([*rgb, "--shard", "2/2"]) == 2
    assert "made with another modalities" in capsys.readouterr().err
    assert predict(run, scenes) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["skipped"]) == (3, 4)


@pytest.mark.parametrize(
    ("given", "more", "folds"),
    [("rgb/s1.png", [], False), ("rgb", [], None), ("rgb", ["--no-fold"], False)],
)
def test_one_scene_is_not_kept_waiting_for_a_graph(run, scenes, monkeypatch, given, more, folds):
    asked = []

    def predictor(net, **options):
        asked.append(options["fold"])
        return Predictor(net, **options)

    monkeypatch.setattr(cen, "Predictor", predictor)
    words = ["predict", str(run), "--rgb", str(scenes / given), "-o", str(scenes / "out"), *more]
    assert cli.main(words) == 0
    assert asked == [folds]


def test_scenes_that_lack_a_modality(run, scenes, capsys):
    (scenes / "depth" / "s3.png").unlink()
    assert predict(run, scenes) == 2
    assert "1 of 7 scenes lack files: s3 has no depth" in capsys.readouterr().err
    assert not (scenes / "out").exists()
    assert predict(run, scenes, "--missing", "predict") == 0
    alone = Predictor(run)({"rgb": scenes / "rgb" / "s3.png"}).labels
    assert np.array_equal(labels(scenes, "s3"), alone)
    assert predict(run, scenes, "--missing", "skip", out="other") == 0
    assert not (scenes / "other" / "s3").exists()
