"""Tables of run folders with known figures, as text and in a terminal."""

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.studies.made_runs import filled

from cen.cli import sources
from cen.cli import study as study_command
from cen.studies.calling import Call
from cen.studies.grid import Choice
from cen.studies.intervals import Summary, paired_difference
from cen.studies.results import Record, collect
from cen.studies.spec import Published, Study
from cen.studies.study_tables import (
    all_tables,
    comparison_tables,
    published_table,
    score_tables,
    verdict,
)


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


def test_tables_call_a_row_by_the_value_that_a_call_gave_it(study: Study, tmp_path: Path) -> None:
    study.rows["cen"].set["train.sparsity"] = 0.25
    found = collect(*filled(study, tmp_path, Choice({"train.sparsity": "0.5"})))
    tables = [*score_tables(study, found), *comparison_tables(study, found)]
    text = "".join(table.markdown() for table in tables)
    assert "| CEN (here train.sparsity: 0.5) | 3 |" in text
    assert "ensemble mIoU of CEN (here train.sparsity: 0.5) minus the row's" in text
    assert "0.25" not in text
