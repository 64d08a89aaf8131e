"""Records, tables, figures and the board, from run folders with known figures."""

import argparse
import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.studies.made_runs import SCORES, filled, known_study

from cen.cli import sources
from cen.cli import study as study_command
from cen.studies.calling import Call
from cen.studies.figures import budget_curves, learning_curves, sweep_curves
from cen.studies.grid import Choice
from cen.studies.intervals import Summary, paired_difference
from cen.studies.progress import Board
from cen.studies.results import Record, collect, csv_text
from cen.studies.scheduler import Outcome
from cen.studies.spec import Published, Study
from cen.studies.study_files import write_outputs
from cen.studies.study_tables import (
    all_tables,
    comparison_tables,
    published_table,
    score_tables,
    verdict,
)


@pytest.fixture
def study() -> Study:
    return known_study()


@pytest.fixture
def records(study: Study, tmp_path: Path) -> list[Record]:
    store, runs = filled(study, tmp_path)
    return collect(store, runs)


def test_a_terminal_of_80_columns_shows_every_figure(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Tables whose figures find no room beside each other go on in further ones."""
    long = "with_a_very_long_name_that_nobody_shortens"
    study.rows = {name: replace(row, label=f"{name}_{long}") for name, row in study.rows.items()}
    study.columns = ["ensemble", "rgb", "depth", "depth:ensemble", "exchange_rate", "seconds"]
    values = {f"a_score_{number}_{long}": 10.25 + number for number in range(9)}
    study.published = [Published(f"someone_{long}", f"data_{long}", values, f"paper_{long}")]
    store, runs = filled(study, tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    args = argparse.Namespace(json=False, table=True)
    call = Call("known", study, Choice({"data.workers": "0"}), [], tmp_path, sources.load_config)
    call.store, call.all_roots = store, {"parts": tmp_path / "data"}
    study_command._write(args, call, runs)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    tables, pages = printed.split("page: ")
    assert str(tmp_path / "known") in pages  # a path is copied, so it is not broken
    assert max(map(cell_len, tables.splitlines())) <= 80
    text = re.sub(r"\s+", " ", tables)
    for made in all_tables(study, collect(store, runs)):
        cells = [cell for row in made.rows for cell in row if cell[-1].isdigit()]
        assert cells
        assert [cell for cell in cells if cell not in text] == []


def test_score_tables(study: Study, records: list[Record]) -> None:
    first, second = score_tables(study, records)
    assert first.title == "Parts, 1× steps"
    assert second.title == "Parts, 2× steps"
    assert [list(row) for row in first.rows] == [
        ["CEN", "3", "60.0 ± 10.0", "50.0 ± 10.0", "25.0 ± 0.0", "–"],
        ["RGB | alone", "3", "55.0 ± 10.5", "–", "–", "–"],
        ["θ = 0.01", "1", "30.0", "20.0", "25.0", "–"],
        ["θ = 0.5", "1", "20.0", "10.0", "25.0", "–"],
    ]
    assert [row[0] for row in second.rows] == ["CEN"]
    assert "RGB \\| alone | 3 |" in first.markdown()


def test_a_mean_of_fewer_seeds_than_there_are_says_so(study: Study, records: list[Record]) -> None:
    """A score that is not defined for a seed, say where nothing was labelled."""
    name = "segmentation/rgb+depth/ensemble/mean_iou"
    first = next(r for r in records if (r.run.row.name, r.run.budget) == ("cen", 1.0))
    undefined = replace(first, scores={**first.scores, name: None})
    table = score_tables(study, [undefined if r is first else r for r in records])[0]
    row = next(row for row in table.rows if row[0] == "CEN")
    assert row[1:3] == ["3", "65.0 ± 7.1 (2)"]
    assert "In brackets" in table.note
    assert "In brackets" not in score_tables(study, records)[0].note


def test_comparisons_pair_seeds_and_take_sweeps(study: Study, records: list[Record]) -> None:
    (table,) = comparison_tables(study, records)
    # Differences 5, 6, 4 points: mean 5, deviation 1, half width 4.3027 / sqrt(3) = 2.48.
    assert list(table.rows[0]) == ["RGB | alone", "1×", "+5.0", "+2.5 … +7.5", "3", "better"]
    assert list(table.rows[1]) == ["θ = 0.01", "1×", "+20.0", "–", "1", "not clear"]
    assert len(table.rows) == 3
    assert "ensemble mIoU of CEN minus the row's" in table.title


def test_less_is_better_for_errors(study: Study) -> None:
    difference = paired_difference({0: 1.0, 1: 1.1}, {0: 2.0, 1: 2.1001})
    assert difference is not None
    assert verdict(difference, study.column("ensemble.rmse")) == "better"
    assert verdict(difference, study.column("ensemble")) == "worse"


def test_rows_that_never_differ_are_equal(study: Study) -> None:
    column = study.column("ensemble")
    twice, once = paired_difference({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6}), Summary(1, 0.0)
    around = paired_difference({0: 0.5, 1: 0.6}, {0: 0.6, 1: 0.5})
    assert twice is not None
    assert around is not None
    assert verdict(twice, column) == "equal"
    assert verdict(once, column) == verdict(around, column) == "not clear"


def test_published_figures_stand_apart(study: Study) -> None:
    table = published_table(study)
    assert list(table.rows[0]) == ["Someone", "elsewhere", "51.1", "A paper"]
    assert "|---|---|---:|---|" in table.markdown()  # words to the left, numbers to the right
    assert all_tables(Study(title="none"), []) == []


def test_csv_keeps_every_figure(records: list[Record]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(records))))
    assert len(lines) == len(records) == 11
    assert {line["row"] for line in lines} == {"cen", "rgb", "theta=0.01", "theta=0.5"}
    for line, record in zip(lines, records, strict=True):
        inputs = "+".join(record.run.config.model.inputs)
        score = SCORES[line["row"], float(line["budget"])][int(line["seed"])]
        assert float(line[f"segmentation/{inputs}/ensemble/mean_iou"]) == score
        assert (line["seconds"], line["threads"], line["macs"]) == ("30.0", "2", "")


def test_what_a_run_has_seen_ends_where_patience_ended_it(study: Study, tmp_path: Path) -> None:
    """And pieces of a step (train.accumulate) are samples, too."""
    study = replace(study, set={**study.set, "train.accumulate": 3, "train.patience": 2})
    store, runs = filled(study, tmp_path)
    run, folder = runs[0], store.folder(runs[0])
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "step": 40}))
    facts = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**facts, "costs": {"macs": 1000}}))
    found = {record.run.hash: record.facts for record in collect(store, runs)}
    samples = 40 * 3 * run.config.train.batch_size
    assert [found[run.hash][key] for key in ("steps", "samples_seen", "compute")] == [
        40, samples, 1000 * samples
    ]  # fmt: skip
    assert found[runs[1].hash]["steps"] == runs[1].config.train.max_steps


def test_a_curve_is_of_the_modalities_that_its_column_names(
    study: Study, records: list[Record]
) -> None:
    """Validation scores are of all modalities alone."""
    whole = replace(study, columns=["rgb+depth:ensemble"])
    drawn = {line.get_label() for figure, _ in learning_curves(whole, records)
             for line in figure.axes[0].lines}  # fmt: skip
    assert "CEN" in drawn
    for name, rows in {"depth:ensemble": set(), "rgb:ensemble": {"RGB | alone"}}.items():
        shown = learning_curves(replace(study, columns=[name]), records)
        labels = {line.get_label() for figure, _ in shown for line in figure.axes[0].lines}
        assert labels == rows


def test_a_column_of_inputs_that_a_run_lacks_is_empty(study: Study, records: list[Record]) -> None:
    rgb = next(record for record in records if record.run.row.name == "rgb")
    assert rgb.value(study.column("depth:ensemble")) is None
    assert rgb.value(study.column("rgb:ensemble")) == rgb.value(study.column("ensemble"))
    cen = records[0]
    assert cen.value(study.column("depth+rgb:ensemble")) == cen.value(study.column("ensemble"))


def test_figures_draw_what_there_is(study: Study, records: list[Record]) -> None:
    ((figure, _), *others) = learning_curves(study, records)
    assert len(others) == 1  # the other budget
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(lines) == {"CEN", "RGB | alone", "θ = 0.01", "θ = 0.5"}
    assert list(lines["CEN"].get_xdata()) == [75, 150]
    assert list(lines["CEN"].get_ydata()) == pytest.approx([0.3, 0.6])
    ((figure, _),) = budget_curves(study, records)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["150", "300"]
    ((figure, _),) = sweep_curves(study, records)
    assert figure.axes[0].get_xlabel() == "θ"
    line = figure.axes[0].containers[0].lines[0]
    assert list(line.get_xdata()) == [0.01, 0.5]
    assert list(line.get_ydata()) == [0.3, 0.2]


def test_facts_count_shared_runs_once_and_keep_commands(
    study: Study, records: list[Record], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    write_outputs(folder, study, [], 20, ["study", "a"])
    files = write_outputs(folder, study, [*records, records[0]], 20, ["study", "b c"])
    facts = json.loads(files["facts"].read_text())
    assert (facts["runs"], facts["finished"]) == (20, 11)
    assert facts["commands"] == ["cen study a", "cen study 'b c'"]
    assert facts["core_hours"] == pytest.approx(11 * 36 * 2 / 3600, abs=1e-3)
    assert "11 of 20" in files["tables"].read_text("utf-8")
    assert "changed in all rows" not in files["tables"].read_text("utf-8")


def test_tables_name_the_keys_that_a_call_changed_in_all_rows(
    study: Study, records: list[Record], tmp_path: Path
) -> None:
    choice = Choice({"model.weights": "encoder.safetensors", "train.accelerator": "cpu"})
    files = write_outputs(tmp_path, study, records[:1], 20, [], choice)
    text = files["tables"].read_text("utf-8")
    assert "| changed in all rows | `model.weights: encoder.safetensors` |" in text
    assert "model.weights: encoder.safetensors" in files["page"].read_text("utf-8")


def test_tables_call_a_row_by_the_value_that_a_call_gave_it(study: Study, tmp_path: Path) -> None:
    study.rows["cen"].set["train.sparsity"] = 0.25
    found = collect(*filled(study, tmp_path, Choice({"train.sparsity": "0.5"})))
    tables = [*score_tables(study, found), *comparison_tables(study, found)]
    text = "".join(table.markdown() for table in tables)
    assert "| CEN (here train.sparsity: 0.5) | 3 |" in text
    assert "ensemble mIoU of CEN (here train.sparsity: 0.5) minus the row's" in text
    assert "0.25" not in text


def test_an_empty_study_has_outputs_too(study: Study, tmp_path: Path) -> None:
    files = write_outputs(tmp_path, study, [], 4, [])
    assert "No run is finished yet" in files["page"].read_text("utf-8")
    assert "0 of 4" in files["tables"].read_text("utf-8")


def test_board_counts_and_estimates(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    (store.folder(runs[0]) / "run.json").write_text('{"status": "interrupted"}')
    said = io.StringIO()
    with Board(store, runs, 2, Console(file=said, width=200)) as board:
        for run in runs[1:]:
            board.end(Outcome(run, "done"))
        # 150 steps are logged: nothing is left but to note it.
        assert board.left() == 0
        (store.folder(runs[0]) / "metrics.csv").unlink()
        board.look([runs[0]])
        assert board.left() == pytest.approx(150 * (2 * 36 / 150 + 3 * 36 / 300) / 5)
        board.end(Outcome(runs[0], "failed", "it broke"))
    text = said.getvalue()
    assert text.count("was done before") == 10
    assert "[11/11] parts · CEN · 1× · seed 0: FAILED, it broke" in text


def test_estimates_prefer_the_row(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    nothing = Board(store, [], 1, Console(file=io.StringIO()))
    assert nothing.seconds_per_step("cen") is None
    rgb = [run for run in runs if run.row.name == "rgb"]
    cen = [run for run in runs if run.row.name == "cen"]
    board = Board(store, rgb, 1, Console(file=io.StringIO()))
    assert board.seconds_per_step("cen") == pytest.approx(36 / 150)
    board = Board(store, [*rgb, cen[0], cen[-1]], 1, Console(file=io.StringIO()))
    assert board.seconds_per_step("cen") == pytest.approx((36 / 150 + 36 / 300) / 2)
    assert board.seconds_per_step("rgb") == pytest.approx(36 / 150)
