"""Pages, tables and pictures of runs with several outputs of other kinds than segmentation."""

import io
import json

import numpy as np
import pytest
from rich.console import Console
from tests.report.conftest import make_run
from tests.report.test_run_page import Page

from cen.errors import ShapeError
from cen.report import Panel, PanelOutput, figure_overview, save_panel, write_report
from cen.report.colours import NEUTRAL
from cen.report.painting import depth_bar, depth_limits, error_text, paint
from cen.report.panels import load_panel
from cen.report.summary import evaluation_dict
from cen.report.tables import evaluation_table

DEPTH = {"rmse": 0.3512, "abs_rel": 0.081, "delta1": 0.934, "pixels": 100}
NORMAL = {
    "mean_angle": 9.5123, "median_angle": 4.2, "within_11": 0.8, "within_22": 0.9,
    "within_30": 0.95, "pixels": 100,
}  # fmt: skip


@pytest.fixture
def several(tmp_path):
    """The run of the other tests, with depth and normals beside its segmentation."""
    run = make_run(tmp_path / "several", lean=True)
    evaluation = json.loads((run / "evaluation.json").read_text())
    for subset, entry in evaluation["scores"].items():
        names = subset.split("+")
        for output, scores in (("depth_clean", DEPTH), ("normal", NORMAL)):
            streams = dict.fromkeys(names, scores)
            alpha = {name: 1 / len(names) for name in names}
            entry[output] = {"ensemble": scores, "streams": streams, "alpha": alpha}
    evaluation["single"] = {
        "delta_m": 0.034,
        "gains": {"segmentation": 0.05, "depth_clean": 0.1, "normal": -0.048},
        "runs": {}, "scores": {},
    }  # fmt: skip
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    rng = np.random.default_rng(0)
    for path in sorted((run / "panels").glob("*.npz")):
        panel = load_panel(path)
        depth = 1 + 4 * rng.random((96, 128)).astype(np.float32)
        truth = depth.copy()
        truth[:10] = np.nan
        vectors = rng.normal(size=(96, 128, 3)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        streams = {"rgb": depth + 0.5, "depth": depth}
        more = {
            "depth_clean": PanelOutput(truth, streams, depth, "depth"),
            "normal": PanelOutput(vectors, {"rgb": -vectors, "depth": vectors}, vectors, "normal"),
        }
        save_panel(path, Panel(panel.name, panel.inputs, {**panel.outputs, **more}))
    lines = (run / "metrics.csv").read_text().splitlines()
    new = "val/normal/ensemble/mean_angle,weight/segmentation,weight/normal"
    rows = [f"{line},{20 - k % 7},1.0,{0.5 + 0.01 * k}" for k, line in enumerate(lines[1:])]
    (run / "metrics.csv").write_text("\n".join([f"{lines[0]},{new}", *rows]) + "\n")
    return run


def test_the_page_shows_every_kind(several):
    text = write_report(several).read_text("utf-8")
    page = Page(text)
    heads = {cell for row in page.rows for cell in row}
    assert {"mIoU %", "RMSE", "δ<1.25 %", "mean °", "<11.25° %"} <= heads
    assert any("0.3512" in row and "93.4" in row for row in page.rows)
    assert any("9.51" in row for row in page.rows)
    shown = "".join(page.text)
    assert "Δ_m = +3.4 %" in shown
    assert "normal -4.8 %" in shown
    assert "RMSE 0.50 m" in shown
    assert "180.0° off" in shown
    assert "1.1 m to" in shown  # the scale of depth
    assert "Validation mean angle, ° (less is better), normal" in text
    assert "Weights of the losses" in text


def test_tables_have_the_scores_of_their_kind_alone(several):
    evaluation = json.loads((several / "evaluation.json").read_text())
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(evaluation_table(evaluation), markup=False)
    text = console.export_text()
    assert text.count("inputs  ") == 3
    assert "Δ_m = +3.4 %" in text
    first, second, third = text.split("inputs  ")[1:]
    assert "mIoU %" in first
    assert "RMSE" in second
    assert "mIoU" not in second
    assert "median °" in third
    plain = evaluation_dict(evaluation)
    assert plain["single"]["delta_m"] == 0.034
    assert {row["output"] for row in plain["rows"]} == {"segmentation", "depth_clean", "normal"}


def test_one_output_that_is_no_segmentation_has_a_page(several):
    for path in (several / "panels").glob("*.npz"):
        panel = load_panel(path)
        save_panel(path, Panel(panel.name, panel.inputs, {"normal": panel.outputs["normal"]}))
    evaluation = json.loads((several / "evaluation.json").read_text())
    evaluation["scores"] = {
        subset: {"normal": entry["normal"]} for subset, entry in evaluation["scores"].items()
    }
    evaluation.pop("single")
    (several / "evaluation.json").write_text(json.dumps(evaluation))
    page = Page(write_report(several).read_text("utf-8"))
    assert any("9.51" in row for row in page.rows)
    assert "mean angle to the true normal" in "".join(page.text)
    assert figure_overview(several).stat().st_size > 10_000


def test_panels_keep_the_kind(tmp_path):
    output = PanelOutput(None, {}, np.ones((4, 4), np.float32), "edge")
    path = save_panel(tmp_path / "a.npz", Panel("a", {}, {"e": output}))
    assert load_panel(path).outputs["e"].kind == "edge"


def test_painting():
    none = np.zeros((0, 3), np.uint8)
    normals = np.zeros((1, 3, 3), np.float32)
    normals[0, 0] = (0, 0, -1)  # towards us
    normals[0, 1] = (1, 0, 0)
    normals[0, 2] = np.nan
    painted = paint("normal", normals, none)
    assert painted[0].tolist() == [[128, 128, 255], [255, 128, 128], list(NEUTRAL)]
    edges = paint("edge", np.array([[0.0, 1.0, np.nan]]), none)
    assert edges[0, :, 0].tolist() == [255, 0, NEUTRAL[0]]
    near, far = paint("depth", np.array([[1.0, 3.0]]), none, (1.0, 3.0))[0]
    assert near.sum() > far.sum()
    with pytest.raises(ShapeError):
        paint("depth", np.zeros((2, 2, 2)), none)


def test_a_scale_of_depth_is_shared_and_drawn():
    limits = depth_limits([np.array([[1.0, np.nan]]), np.array([[5.0, 0.0]])])
    assert limits == pytest.approx((1.08, 4.92))
    assert depth_limits([np.full((2, 2), np.nan)]) is None
    bar = depth_bar((1.0, 5.0), (3, 50))
    assert bar.shape == (3, 50, 3)
    assert bar[0, 0].sum() > bar[0, -1].sum()


def test_captions_tell_the_error_where_it_is_known():
    truth = np.array([[1.0, np.nan]])
    assert error_text("depth", np.array([[1.5, 9.0]]), truth) == "RMSE 0.50 m"
    assert error_text("depth", np.array([[1.5, 9.0]]), np.full((1, 2), np.nan)) == ""
    labels = np.array([[0, 255, 1]])
    assert error_text("segmentation", np.array([[0, 0, 0]]), labels, 2) == "50 % right"
    assert error_text("edge", truth, truth) == ""
