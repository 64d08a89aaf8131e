"""report.html: what it shows, that it is self-contained, and that partial runs have one too."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from tests.report.conftest import make_run

from cen.report import write_report
from cen.report.facts import run_facts
from cen.report.runfolder import read_run

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Checks nesting and collects headings, addresses and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.headings, self.notes, self.text = [], [], [], [], []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag not in VOID:
            self.open.append((tag, values.get("class", "")))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if tags and tags[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1][1] == "note":
            self.notes.append(data)
        if "td" in tags or "th" in tags:
            self.rows[-1][-1] += data
        if "style" not in tags:
            self.text.append(data)


def page(run):
    return Page(write_report(run).read_text("utf-8"))


@pytest.fixture
def run(tmp_path):
    """Of little to draw, as the tests are about what a page says; free to be changed."""
    return make_run(tmp_path / "demo", lean=True)


@pytest.fixture(scope="module")
def shown(reported):
    return Page((reported / "report.html").read_text("utf-8"))


def test_a_complete_run_shows_every_section_and_no_note(shown):
    assert shown.headings == [
        "Results", "Pictures", "Class by class", "Training", "Exchange", "Make it again",
    ]  # fmt: skip
    assert shown.notes == []
    text = " ".join(" ".join(shown.text).split())
    for part in (
        "cen train rooms-demo --out runs/demo",
        "torch 2.13.0",
        "9.5 minutes",
        "wooden box",
    ):
        assert part in text


def test_the_headline_table_holds_streams_ensemble_subsets_and_alpha(shown, reported):
    scores = json.loads((reported / "evaluation.json").read_text())["scores"]
    full, depth = scores["rgb+depth"]["segmentation"], scores["depth"]["segmentation"]
    rows = shown.rows
    start = rows.index(["inputs at hand", "prediction", "α", "pixel acc", "mean acc", "mIoU"])
    body = rows[start + 1 : start + 6]
    assert [row[:3] for row in body] == [
        ["rgb + depth", "rgb", "0.50"],
        ["", "depth", "0.50"],
        ["", "ensemble", ""],
        ["rgb", "rgb", "1.00"],
        ["depth", "depth", "1.00"],
    ]
    assert body[2][-1] == f"{100 * full['ensemble']['mean_iou']:.1f}"
    assert body[4][-1] == f"{100 * depth['streams']['depth']['mean_iou']:.1f}"


def test_the_per_class_table_marks_absent_classes(shown):
    rows = shown.rows
    start = rows.index(["class", "pixels", "rgb", "depth", "ensemble"])
    assert rows[start + 1][0] == "wall"
    assert rows[start + 12] == ["cloth drum", "0.0", "–", "–", "–"]


def test_nothing_is_loaded_from_elsewhere(shown, reported):
    assert len(shown.addresses) > 25
    assert all(address.startswith("data:") for address in shown.addresses)
    text = (reported / "report.html").read_text("utf-8")
    assert not re.search(r"url\(|@import|<script", text)


def test_names_from_files_cannot_break_the_page(run):
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("wooden box", '<b>wood</b> & "co"'))
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["classes"]["segmentation"][3] = "<script>alert(1)</script>"
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    text = " ".join(page(run).text)
    assert "<script>alert(1)</script>" in text  # shown as text: Page found no such element
    assert "<script>" not in (run / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (["evaluation.json", "metrics.csv"], ["cen evaluate", "metrics.csv"]),
        (["exchange.json"], []),  # metrics.csv may still give the rates
        (["config.yaml", "run.json"], []),
    ],
)
def test_missing_files_leave_a_page_with_notes(run, missing, told):
    for name in missing:
        (run / name).unlink()
    shown = page(run)
    assert {"Results", "Training", "Exchange", "Pictures"} <= set(shown.headings)
    for note in told:
        assert any(note in text for text in shown.notes)


def test_a_killed_run_says_so_and_how_to_go_on(run):
    info = json.loads((run / "run.json").read_text()) | {"finished": None, "status": "running"}
    (run / "run.json").write_text(json.dumps(info))
    (run / "evaluation.json").unlink()
    notes = " ".join(page(run).notes)
    assert "not finished" in notes
    assert "1,200" in notes
    assert f"cen train --resume {run}" in notes


def test_scores_of_an_older_network_are_told(run, shown):
    """Of a run that was made longer after it was evaluated."""
    assert not [note for note in shown.notes if "older" in note]
    evaluation = json.loads((run / "evaluation.json").read_text())
    kept = {"version": "1", "config": {}, "metadata": {"step": evaluation["step"]}}
    weights = {"weight": np.zeros(1, np.float32)}
    save_file(weights, run / "best.safetensors", metadata={"cen": json.dumps(kept)})
    assert not [note for note in page(run).notes if "older" in note]
    (run / "evaluation.json").write_text(json.dumps(evaluation | {"step": 60}))
    (note,) = [note for note in page(run).notes if "older" in note]
    assert "its evaluation is of step 60, the network of step" in note
    assert f"cen evaluate {run}" in note


def test_figures_of_streams_are_not_taken_for_those_of_lone_sensors(shown):
    text = " ".join(" ".join(shown.text).split())
    assert "rgb stream mIoU" in text
    assert "The large figures are with every sensor there, those of streams, too" in text


def test_a_run_of_which_only_the_configuration_exists_has_a_page(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {inputs: {rgb: 3}}\nseed: 7\n")
    shown = page(tmp_path)
    assert len(shown.notes) == 4  # results, pictures, training, exchange
    assert "Class by class" not in shown.headings


@pytest.mark.parametrize(
    ("rate", "dropout", "advice"),
    [
        (0.0, 0.0, "larger λ"),
        (0.9, 0.0, "folds to least cost"),
        (0.9, 0.3, "smaller λ"),
        (0.4, 0.3, None),
    ],
)
def test_too_little_and_too_much_exchange_is_remarked(run, rate, dropout, advice):
    entries = json.loads((run / "exchange.json").read_text())
    entries[-1]["rate"] = rate
    (run / "exchange.json").write_text(json.dumps(entries))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config.setdefault("train", {})["modality_dropout"] = dropout
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    notes = " ".join(page(run).notes)
    assert (advice in notes) if advice else notes == ""


def test_the_rate_beside_the_scores_is_that_of_the_network_they_are_of(run):
    """The best network is rarely the last one, of which exchange.json tells."""
    evaluation = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps(evaluation | {"exchange_rate": 0.1234}))
    page = write_report(run).read_text("utf-8")
    assert re.search(r"<b>12\.3<small> %</small></b>\s*<span>of own channels replaced", page)


def test_the_page_tells_what_a_step_was_and_where_patience_ended(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["train"] |= {"accumulate": 4, "patience": 3}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    info = json.loads((run / "run.json").read_text()) | {"status": "finished"}
    for step, told in ((1200, ""), (800, ", of which 800 were made: patience 3")):
        (run / "run.json").write_text(json.dumps(info | {"step": step}))
        expected = f"1,200 steps of batch 4 × 8{told}, adam"
        assert run_facts(read_run(run))["Training"].startswith(expected)


def test_a_damaged_file_is_named_on_the_page(run):
    (run / "exchange.json").write_text("[{")
    assert any("exchange.json cannot be read" in note for note in page(run).notes)


def test_the_same_files_give_the_same_page(reported):
    first = (reported / "report.html").read_bytes()
    assert write_report(reported).read_bytes() == first
    assert not list(reported.glob("*.part"))


@pytest.mark.parametrize(
    ("model", "note", "fact"),
    [
        (
            {"fusion": "concat", "fusion_at": "late"},
            "This is the baseline concat",
            "none: baseline",
        ),
        ({"exchange": False}, "Exchange was switched off", "off: the streams share"),
        ({"guide": "random", "random_rate": 0.3, "random_seed": 1}, None, "0.3 of each own part"),
    ],
)
def test_a_run_that_learns_no_exchange_is_not_advised_on_it(tmp_path, model, note, fact):
    config = {"model": {"inputs": {"rgb": 3, "depth": 1}, **model}, "train": {"sparsity": 0.1}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    entry = {"step": 5, "rate": 0.0, "alpha": {}, "layers": []}
    (tmp_path / "exchange.json").write_text(json.dumps([entry]))
    scores = {"segmentation": {"ensemble": {"mean_iou": 0.5}, "streams": {}, "alpha": {}}}
    evaluation = {"split": "test", "scores": {"rgb+depth": scores}}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    shown = page(tmp_path)
    text = " ".join(shown.text)
    assert fact in text
    assert "A larger λ" not in text
    assert ("of own channels replaced" in text) == (note is None)
    assert note is None or any(note in given for given in shown.notes)
