"""A missing modality is warned of once per subset, with the figure of the run's evaluation."""

import json
import warnings

import numpy as np
import pytest

import cen
from cen import cli
from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import CenWarning

RGB = np.full((64, 64, 3), (0, 0, 9), np.uint8)  # no grey, which would be warned of, too
IR = RGB


def saved(folder, **metadata):
    net = cen.build(
        "unet",
        encoder="unet3",
        inputs={"rgb": 3, "ir": 3},
        outputs={"segmentation": 3},
        width=4,
    )
    described = {name: Modality("image").to_dict() for name in ("rgb", "ir")}
    folder.mkdir(exist_ok=True)
    cen.save(net, folder / "best.safetensors", metadata={"preprocessing": described, **metadata})
    return folder


def evaluated(folder):
    scores = {
        subset: {"segmentation": {"ensemble": {"mean_iou": value}, "streams": {}}}
        for subset, value in {"rgb+ir": 0.806, "rgb": 0.073, "ir": 0.2}.items()
    }
    text = json.dumps({"split": "test", "scores": scores})
    (folder / "evaluation.json").write_text(text)


def told(predictor, inputs):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        predictor(inputs)
    return [str(w.message) for w in found if issubclass(w.category, CenWarning)]


def test_the_figure_of_the_evaluation_is_quoted_once(tmp_path):
    run = saved(tmp_path / "run", modality_dropout=0.0)
    evaluated(run)
    for source in (run, run / "best.safetensors"):
        predictor = cen.Predictor(source)
        (said,) = told(predictor, {"rgb": RGB})
        assert "ir missing" in said
        assert "mIoU 7.3 % instead of 80.6 %" in said
        assert "train.robust true" in said
        assert told(predictor, {"rgb": RGB}) == []
        assert "20.0 %" in told(predictor, {"ir": IR})[0]
        assert told(predictor, {"rgb": RGB, "ir": IR}) == []


@pytest.mark.parametrize(
    ("name", "rgb", "whole", "warned"),
    [
        ("mean_iou", 0.925, 0.921, False),
        ("mean_iou", 0.921, 0.921, False),
        ("mean_iou", 0.92, 0.921, True),
        ("mean_iou", float("nan"), 0.921, True),
        ("rmse", 0.4, 0.5, False),
        ("rmse", 0.6, 0.5, True),
    ],
)
def test_a_subset_that_is_no_worse_is_not_warned_of(tmp_path, name, rgb, whole, warned):
    run = saved(tmp_path / "run", modality_dropout=0.0)
    others = {"abs_rel": 0.1} if name == "rmse" else {}  # what tells that it is depth
    scores = {
        subset: {"segmentation": {"ensemble": {name: value, **others}}}
        for subset, value in {"rgb+ir": whole, "rgb": rgb}.items()
    }
    (run / "evaluation.json").write_text(json.dumps({"split": "test", "scores": scores}))
    assert bool(told(cen.Predictor(run), {"rgb": RGB})) == warned


@pytest.mark.parametrize("content", [None, "{", "[]", '{"scores": {"rgb+ir": 3}, "split": 1}'])
def test_without_an_evaluation_it_says_how(tmp_path, content):
    run = saved(tmp_path / "run", modality_dropout=0.0)
    if content is not None:
        (run / "evaluation.json").write_text(content)
    (said,) = told(cen.Predictor(run), {"rgb": RGB})
    assert f"cen evaluate {run}" in said


def test_figures_of_an_older_network_are_not_quoted(tmp_path):
    """Of a run that was made longer after it was evaluated."""
    run = saved(tmp_path / "run", modality_dropout=0.0, step=80)
    evaluated(run)
    assert "mIoU 7.3 %" in told(cen.Predictor(run), {"rgb": RGB})[0]
    evaluation = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps(evaluation | {"step": 60}))
    (said,) = told(cen.Predictor(run), {"rgb": RGB})
    assert "mIoU" not in said
    assert f"cen evaluate {run} tells" in said


def test_a_loaded_network_is_warned_of_without_a_figure(tmp_path):
    net = cen.load(saved(tmp_path / "run", modality_dropout=0.0))
    assert "never missed" in told(cen.Predictor(net), {"rgb": RGB})[0]


@pytest.mark.parametrize("metadata", [{}, {"modality_dropout": 0.3}])
def test_nothing_is_said_after_dropout_or_of_older_files(tmp_path, metadata):
    run = saved(tmp_path / "run", **metadata)
    assert told(cen.Predictor(run), {"rgb": RGB}) == []


def pictures(folder):
    return [f"--{name}={folder / name}.png" for name in ("rgb", "ir")]


def test_predict_warns_on_stderr_with_the_figure_of_the_run(tmp_path, capsys):
    """Of the run folder and of a file in it; not where every modality is given."""
    run = saved(tmp_path / "run", modality_dropout=0.0)
    evaluated(run)
    (run / "config.yaml").write_text("seed: 1\n")
    for name, array in (("rgb", RGB), ("ir", IR)):
        write_png(tmp_path / f"{name}.png", array)
    rgb, ir = pictures(tmp_path)
    for source in (run, run / "best.safetensors"):
        words = ["predict", str(source), rgb, "-o", str(tmp_path / "out"), "--json"]
        assert cli.main(words) == 0
        printed = capsys.readouterr()
        (line,) = [line for line in printed.err.splitlines() if "missing" in line]
        assert line.startswith("cen: warning: ir missing: ")
        assert "mIoU 7.3 % instead of 80.6 %" in line
        assert "train.robust true" in line
        assert json.loads(printed.out)["inputs"] == {"rgb": str(tmp_path / "rgb.png")}
    assert cli.main(["predict", str(run), rgb, ir, "-o", str(tmp_path / "out")]) == 0
    assert "missing" not in capsys.readouterr().err
