"""Tables of the terminal."""

import pytest
from rich.console import Console

from cen.report.summary import evaluation_dict
from cen.report.tables import evaluation_table, inspection_table


def printed(table):
    console = Console(width=140, record=True, force_terminal=False, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(table)
    return capture.get()


def lines(table):
    return [line.split() for line in printed(table).splitlines() if line.strip()]


def test_printed_evaluation_is_in_percent(evaluation):
    rows = lines(evaluation_table(evaluation))
    ensemble = next(row for row in rows if row[0] == "ensemble")
    score = evaluation["scores"]["rgb+depth"]["segmentation"]["ensemble"]["mean_iou"]
    assert ensemble[-1] == f"{100 * score:.1f}"
    assert sum(row[0] == "ensemble" for row in rows) == 1  # alone, a stream is the ensemble


def test_fused_networks_show_every_subset(evaluation):
    """They have no streams, so the one row of a single modality is no repetition."""
    for outputs in evaluation["scores"].values():
        for entry in outputs.values():
            entry["streams"], entry["alpha"] = {}, {}
    rows = lines(evaluation_table(evaluation))
    assert sum("ensemble" in row for row in rows) == len(evaluation["scores"]) == 3


def test_other_scores_and_undefined_ones_are_printed_too():
    scores = {"rmse": 0.51234, "mean_iou": None}
    entry = {"depth": {"ensemble": scores, "streams": {"rgb": scores, "edge": scores}}}
    text = printed(evaluation_table({"split": "test", "scores": {"rgb+edge": entry}}))
    assert "RMSE" in text
    assert "0.5123" in text
    assert "–" in text


def test_nothing_evaluated_gives_an_empty_table():
    assert evaluation_dict({}) == {"split": None, "rows": [], "classes": {}}
    assert printed(evaluation_table({})).strip() == ""


def test_printed_inspection_names_layers_rates_and_alpha(inspection):
    text = printed(inspection_table(inspection, every_layer=True))
    last = inspection["layers"][-1]
    assert last["name"].replace("bn1", "") in text
    assert f"{last['rate']:.0%}" in text
    assert f"{inspection['rate']:.1%}" in text
    assert "rgb 0.60, depth 0.40" in text


def printed_on_80(table):
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_inspection_begins_with_its_summary_and_groups_by_stage(inspection):
    text = printed(inspection_table(inspection))
    assert text.startswith("Of all own channels")
    stage = inspection["layers"][0]["name"].rpartition(".")[0].rpartition(".")[0]
    mine = [x for x in inspection["layers"] if x["name"].startswith(f"{stage}.")]
    mine = [x for x in mine if x["stream"] == mine[0]["stream"]]
    total = f"{sum(x['replaced'] for x in mine)}/{sum(x['own'] for x in mine)}"
    row = next(line for line in text.splitlines() if stage in line)
    assert total in row
    assert len([x for x in text.splitlines() if stage in x]) == 1


@pytest.mark.parametrize("every_layer", [False, True])
def test_inspection_fits_80_columns_and_keeps_its_figures(inspection, every_layer):
    for layer in inspection["layers"]:
        layer["name"] = layer["name"].replace("encoder", "encoder_of_the_aerial_survey")
        layer["stream"] = f"{layer['stream']}_of_the_left_camera"
        layer |= {"channels": 2048, "own": 1024, "replaced": 1024, "rate": 1.0}
    text = printed_on_80(inspection_table(inspection, every_layer))
    streams = len({layer["stream"] for layer in inspection["layers"]})
    rows = len(inspection["layers"]) if every_layer else text.count("100%")
    assert text.count("100%") == rows
    assert rows % streams == 0
    assert "…" not in text
    if every_layer:
        levels = [f"{v:.3f}" for x in inspection["layers"] for v in x["quantiles"]]
        assert all(level in text for level in levels)


def test_magnitudes_beyond_three_decimals_are_told_too(inspection):
    """0.000 would be said of a scale that is not 0."""
    layer = inspection["layers"][0] | {"quantiles": [0.0, 3e-8, 9.3e-4, 0.0123, 123.4]}
    text = printed(inspection_table(inspection | {"layers": [layer]}, True))
    row = next(line for line in text.splitlines() if layer["name"] in line)
    assert row.split()[-5:] == ["0.000", "3e-08", "9e-04", "0.012", "123"]


def test_scores_fit_80_columns_and_keep_their_figures():
    scores = {
        "rmse": 0.51234, "mae": 0.1234, "abs_rel": 0.2345, "delta1": 0.3456, "psnr": 33.38,
        "ssim": 0.5678, "mean_angle": 12.34, "median_angle": 11.11, "within_11": 0.4567,
        "frechet_efficientnet_lite0": 123.4, "kernel_efficientnet_lite0": 1.234,
    }  # fmt: skip
    streams = ("thermal_infrared", "synthetic_aperture_radar")
    entry = {"ensemble": scores, "streams": dict.fromkeys(streams, scores)}
    entry["alpha"] = dict.fromkeys(streams, 0.5)
    evaluation = {"scores": {"+".join(streams): {"depth_of_the_first_camera": entry}}}
    text = printed_on_80(evaluation_table({"split": "test", **evaluation}))
    for figure in ("0.5123", "0.1234", "0.2345", "34.6", "33.38", "0.5678", "12.34", "123.4"):
        assert text.count(figure) == 3
    assert "…" not in text


def test_a_network_without_exchange_says_so():
    text = printed(inspection_table({"layers": [], "alpha": {}, "rate": 0.0}))
    assert "No layer exchanges" in text


def test_distances_are_told_of_where_some_were_computed():
    """A feature network was there, but of images of two channels it sees nothing."""
    facts = {"generator_mode": "eval", "features": "efficientnet_lite0", "protocol": "clean"}
    scores = {"mae": 0.1, "psnr": 20.0}
    plain = {"split": "test", "scores": {"rgb": {"out": {"ensemble": scores}}}, **facts}
    assert "Generator run in mode eval." in printed(evaluation_table(plain))
    plain["scores"]["rgb"]["out"]["ensemble"] = {**scores, "frechet_efficientnet_lite0": 3.0}
    told = printed(evaluation_table(plain))
    assert "distances in the features of efficientnet_lite0, protocol clean." in told
