"""Run folders in every state."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from cen.errors import DataError
from cen.report.runfolder import read_run


def test_a_complete_run_is_read(run):
    files = read_run(run)
    assert files.problems == []
    assert files.last_step == 1200
    assert files.hours == pytest.approx(570 / 3600)
    assert files.classes("segmentation")[:2] == ["wall", "floor"]
    assert len(files.panels) == 3
    assert files.metrics["lambda"][10] == 0.001
    assert "lr" in files.metrics


def test_empty_cells_nan_and_a_line_cut_short_are_left_out(tmp_path):
    text = "step,train/loss,val/loss\n10,2.5,\n20,nan,1.0\n20,2.0,\n30,1.5,\n4"
    (tmp_path / "metrics.csv").write_text(text)
    metrics = read_run(tmp_path).metrics
    assert metrics == {"train/loss": {10: 2.5, 20: 2.0, 30: 1.5}, "val/loss": {20: 1.0}}


def test_of_two_rows_of_a_step_the_later_counts(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,a\n20,1\n10,5\n20,3\n")
    assert list(read_run(tmp_path).metrics["a"].items()) == [(10, 5.0), (20, 3.0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b'{"seed": 1'),
        ("run.json", b"[1, 2]"),
        ("config.yaml", b"a: [1"),
        ("evaluation.json", b"\xff\xfe\xfd"),
        ("panels/001.npz", b"no zip"),
        ("best.safetensors", b"no tensors"),
    ],
)
def test_a_damaged_file_is_a_named_problem_and_the_rest_is_read(run, name, content):
    (run / name).write_bytes(content)
    files = read_run(run)
    assert len(files.problems) == 1
    assert name in files.problems[0]
    assert files.metrics


def test_class_names_and_palette_come_from_the_saved_network(run):
    shutil.rmtree(run / "panels")
    (run / "evaluation.json").unlink()
    metadata = {
        "classes": {"segmentation": ["a", "b"]},
        "palette": {"segmentation": [[1, 2, 3]] * 2},
    }
    header = {"cen": json.dumps({"version": "0.1.0", "config": {}, "metadata": metadata})}
    save_file({"w": np.zeros(1)}, run / "last.safetensors", metadata=header)
    files = read_run(run)
    assert files.classes("segmentation") == ["a", "b"]
    assert files.colours("segmentation") == [[1, 2, 3], [1, 2, 3]]


def test_a_number_of_classes_gives_numbered_names(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {classes: 2}")
    assert read_run(tmp_path).classes("segmentation") == ["class 0", "class 1"]


def test_no_run_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such run folder"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="not a run folder"):
        read_run(tmp_path)
