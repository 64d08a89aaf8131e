"""Curves of a run: what is drawn, not how it looks."""

import numpy as np
import pytest

from cen.report.curves import (
    constants,
    exchange_curves,
    exchange_series,
    short_names,
    training_curves,
)
from cen.report.runfolder import read_run


def test_names_lose_what_all_layers_share():
    names = ["encoder.layer1.0.bn2", "encoder.layer1.1.bn2", "encoder.layer4.2.bn2"]
    assert short_names(names) == ["layer1.0", "layer1.1", "layer4.2"]
    assert short_names(["encoder.bn"]) == ["encoder.bn"]
    assert short_names(["a.b", "a.b.c"]) == ["a.b", "c"]


def test_curves_draw_what_was_logged(run):
    files = read_run(run)
    figures = {f.axes[0].get_title("left"): f.axes[0] for f, _ in training_curves(files, {})}
    assert list(figures) == [
        "Training loss", "Loss by prediction, segmentation", "Validation mIoU, segmentation",
        "Ensemble weights α, segmentation", "Penalty on the scales",
        "Sum of the scales of own channels Σ|γ|",
    ]  # fmt: skip
    lines = figures["Validation mIoU, segmentation"].lines
    assert [line.get_label() for line in lines] == ["rgb", "depth", "ensemble"]
    logged = files.metrics["val/segmentation/ensemble/mean_iou"]
    assert lines[-1].get_ydata() == pytest.approx(list(logged.values()))


@pytest.mark.parametrize(("rate", "told"), [("null", False), ("0.3", True)])
def test_the_sum_of_scales_says_what_the_penalty_pulls_at(tmp_path, rate, told):
    """With a rate that is asked for it is not all that is summed."""
    (tmp_path / "config.yaml").write_text(f"train: {{exchange_rate: {rate}}}\n")
    (tmp_path / "metrics.csv").write_text("step,train/sparsity\n10,221\n20,190\n")
    captions = {f.axes[0].get_title("left"): c for f, c in training_curves(read_run(tmp_path), {})}
    caption = captions["Sum of the scales of own channels Σ|γ|"]
    assert caption.startswith("The scales γ of all own channels, added up")
    assert ("weakest of them alone" in caption) == told


def test_the_loss_is_drawn_without_the_penalty_that_would_flatten_it(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,train/loss,train/sparsity,train/penalty,lambda\n"
        "1,5,3000,3,0.001\n2,62,2000,60,0.9\n3,0.5,,,\n"
    )
    figures = {f.axes[0].get_title("left"): f.axes[0] for f, _ in _curves_of(tmp_path)}
    assert _drawn(figures["Training loss"]) == {1: 2.0, 2: 2.0, 3: 0.5}
    assert _drawn(figures["Penalty on the scales"]) == {1: 3.0, 2: 60.0}


def test_the_penalty_of_older_runs_is_known_where_its_strength_was_fixed(tmp_path):
    logged = "step,train/loss,train/sparsity,lambda\n1,5,3000,0.001\n2,4,2000,{}\n"
    for strength, drawn in (("0.001", {1: 2.0, 2: 2.0}), ("0.9", {1: 5.0, 2: 4.0})):
        (tmp_path / "metrics.csv").write_text(logged.format(strength))
        loss, caption = _curves_of(tmp_path)[0]
        assert _drawn(loss.axes[0]) == drawn
        assert ("penalty" in caption) == (strength == "0.001")


def test_losses_below_zero_are_not_cut_off(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n1,5\n2,-3\n")
    ((figure, _),) = _curves_of(tmp_path)
    assert _drawn(figure.axes[0]) == {1: 5.0, 2: -3.0}
    assert figure.axes[0].get_ylim()[0] < -2.5


def _curves_of(run):
    return training_curves(read_run(run), {})


def _drawn(axes):
    (line,) = axes.lines
    return dict(zip(line.get_xdata(), np.round(line.get_ydata(), 9).tolist(), strict=True))


def test_exchange_rates_come_from_the_inspections_or_else_from_the_log(run):
    files = read_run(run)
    series = exchange_series(files)
    assert len(series) == 16
    assert list(series["encoder.layer4.1.bn1", "depth"]) == list(range(100, 1201, 100))
    figures = exchange_curves(files)
    assert [f.axes[0].get_title("left") for f, _ in figures] == [
        "Exchange rate", "Exchange rate of rgb", "Exchange rate of depth",
    ]  # fmt: skip
    (whole,) = figures[0][0].axes[0].lines
    assert whole.get_ydata()[-1] == pytest.approx(files.exchange[-1]["rate"])
    *layers, together = figures[1][0].axes[0].lines
    assert len(layers) == 8
    last = [layer for layer in files.exchange[-1]["layers"] if layer["stream"] == "rgb"]
    own = sum(layer["own"] for layer in last)
    rate = sum(layer["rate"] * layer["own"] for layer in last) / own
    assert together.get_ydata()[-1] == pytest.approx(rate)
    (run / "exchange.json").unlink()
    (run / "metrics.csv").write_text("step,exchange/layer1.bn1/rgb\n1,0.1\n2,0.2\n")
    assert exchange_series(read_run(run)) == {("layer1.bn1", "rgb"): {1: 0.1, 2: 0.2}}


def test_what_did_not_change_is_a_figure_and_no_curve(run, tmp_path):
    assert constants(read_run(run)) == [
        "λ, the strength of the penalty on the scales, was 0.001 throughout."
    ]
    (tmp_path / "metrics.csv").write_text("step,lambda,weight/a\n1,0.1,1\n2,0.2,1\n")
    steered = read_run(tmp_path)
    assert constants(steered) == ["The weight of a in the loss was 1 throughout."]
    titles = [figure.axes[0].get_title("left") for figure, _ in training_curves(steered, {})]
    assert titles == ["Penalty strength λ"]


def test_losses_of_few_points_are_all_within_their_picture(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/s/rgb,train/s/depth\n1,9,1\n2,8,0.5\n")
    (figure,) = [f for f, _ in training_curves(read_run(tmp_path), {})]
    assert figure.axes[0].get_ylim()[1] >= 9
