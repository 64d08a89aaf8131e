"""The commands on runs of several outputs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import cen
from cen.cli import main
from cen.data import render_scene
from cen.predict.export_comparison import headlines
from cen.predict.export_graph import ExportGraph
from cen.predict.export_programs import in_torch
from cen.scores import headline
from cen.training.export_samples import samples_of

TINY = [
    "--model.name=fpn",  # the decoder of fewest layers
    "--model.width=4",
    "--model.decoder_channels=8",
    "--data.options={size: [32, 48], train: 10, test: 3}",
    "--train.batch_size=2",
    "--train.accelerator=cpu",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of three tasks, one of the normals alone, and one of other labels."""
    folder = tmp_path_factory.mktemp("several")
    outputs = {
        "all": [],
        "normal": ["--model.outputs={normal: {kind: normal}}"],
        "functions": [
            "--model.outputs={segmentation: {kind: segmentation}}",
            "--data.options.labels=functions",
        ],
    }
    for name, more in outputs.items():
        steps = f"--train.steps={1 if name == 'functions' else 2}"
        words = ["train", "rooms-multitask", "--out", str(folder / name), steps, *TINY, *more]
        assert main(words) == 0
    return {name: folder / name for name in outputs}


def test_evaluate_compares_with_single_tasks(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(runs["all"]), "--single", f"normal={runs['normal']}"]) == 0
    shown = capsys.readouterr().out
    stored = json.loads((runs["all"] / "evaluation.json").read_text())
    ours = stored["scores"]["rgb"]["normal"]["ensemble"]["mean_angle"]
    theirs = stored["single"]["scores"]["normal"]["mean_angle"]
    assert main(["evaluate", str(runs["normal"]), "--json"]) == 0
    (row, _) = json.loads(capsys.readouterr().out)["rows"]
    assert row["mean_angle"] == pytest.approx(theirs)
    assert stored["single"]["delta_m"] == pytest.approx((theirs - ours) / theirs)
    assert f"Δ_m over 1 of 3 outputs = {100 * stored['single']['delta_m']:+.1f} %" in shown
    assert {"mIoU %", "RMSE", "mean °"} <= set(shown.replace("  ", "\n").split("\n")) | {
        part.strip() for part in shown.split("  ")
    }
    assert main(["report", str(runs["all"])]) == 0
    assert "Δ_m" in (runs["all"] / "report.html").read_text("utf-8")


def test_single_runs_of_other_data_are_pointed_out(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    more = ["--model.outputs={normal: {kind: normal}}", "--train.steps=1"]
    options = [*TINY, "--data.options.train=8", *more]
    assert main(["train", "rooms-multitask", "--out", str(other), *options]) == 0
    assert main(["evaluate", str(runs["all"]), "--single", f"normal={other}"]) == 0
    captured = capsys.readouterr()
    assert "differs in data.options, train steps" in captured.err
    assert "Δ_m over 1 of 3 outputs = " in captured.out


def test_what_int8_is_scored_by_are_the_scores_of_the_validation_split(
    runs: dict[str, Path],
) -> None:
    assert main(["evaluate", str(runs["all"]), "--split", "validation"]) == 0
    stored = json.loads((runs["all"] / "evaluation.json").read_text())["scores"]["rgb"]
    net = cen.load(runs["all"])
    graph = ExportGraph(net, net, ["rgb"]).eval()
    samples, _, _ = samples_of(net, runs["all"], calibrated=1)
    assert headlines(in_torch(graph, graph), graph, samples, False) == {
        name: pytest.approx(100 * headline(entry["ensemble"]), abs=1e-3)
        for name, entry in stored.items()
    }


@pytest.mark.slow
def test_int8_is_scored_and_refused_by_every_output(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    words = ["export", str(runs["all"]), "--precision", "int8", "--calibration", "2"]
    words += ["-o", str(tmp_path)]
    assert main([*words, "--tolerance", "100", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["files"]["rgb"]["scores"]
    assert list(scores) == ["segmentation", "depth", "normal"]
    first = next(name for name, (before, after) in scores.items() if before > after)
    assert main([*words, "--tolerance", "0"]) == 2
    from_to = f" of {first} from {scores[first][0]:.2f} to {scores[first][1]:.2f} (in percent"
    assert from_to in capsys.readouterr().err


@pytest.mark.parametrize(
    ("single", "message"),
    [
        (["normals={normal}"], "no output of the network (did you mean 'normal'?)"),
        (["depth={normal}"], "predicts normal; name a run that predicts depth"),
        (["{normal}"], "write it as TASK=RUN"),
        (["normal={normal}", "normal={normal}"], "given twice"),
        (["normal=nowhere"], "nowhere"),
        (["normal={all}"], "predicts segmentation, depth, normal; name a run that predicts normal"),
        (["segmentation={functions}"], "was trained for 6 channels or classes and this one for 15"),
    ],
)
def test_single_runs_that_cannot_be_compared_are_refused(
    runs: dict[str, Path], single: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(**runs) for word in single]
    assert main(["evaluate", str(runs["all"]), "--single", *words]) == 2
    assert message in capsys.readouterr().err


def test_predict_writes_every_output(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb = render_scene(0, 5, (40, 56), ("rgb",))["rgb"]
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    out = tmp_path / "out"
    words = ["predict", str(runs["all"]), "--rgb", str(tmp_path / "a.png"), "-o", str(out)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["outputs"]
    assert {name: entry["kind"] for name, entry in told.items()} == {
        "segmentation": "segmentation",
        "depth": "depth",
        "normal": "normal",
    }
    assert np.load(told["normal"]["files"]["values"]).shape == (40, 56, 3)
    assert cv2.imread(told["segmentation"]["files"]["labels"], cv2.IMREAD_UNCHANGED).shape == (
        40,
        56,
    )
    assert all(Path(f).is_file() for entry in told.values() for f in entry["files"].values())
