"""The board counts runs and estimates what is left."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.studies.made_runs import filled

from cen.studies.progress import StudyProgress
from cen.studies.scheduler import Outcome
from cen.studies.spec import Study


def test_board_counts_and_estimates(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    (store.folder(runs[0]) / "run.json").write_text('{"status": "interrupted"}')
    said = io.StringIO()
    with StudyProgress(store, runs, 2, Console(file=said, width=200)) as board:
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
    nothing = StudyProgress(store, [], 1, Console(file=io.StringIO()))
    assert nothing.seconds_per_step("cen") is None
    rgb = [run for run in runs if run.row.name == "rgb"]
    cen = [run for run in runs if run.row.name == "cen"]
    board = StudyProgress(store, rgb, 1, Console(file=io.StringIO()))
    assert board.seconds_per_step("cen") == pytest.approx(36 / 150)
    board = StudyProgress(store, [*rgb, cen[0], cen[-1]], 1, Console(file=io.StringIO()))
    assert board.seconds_per_step("cen") == pytest.approx((36 / 150 + 36 / 300) / 2)
    assert board.seconds_per_step("rgb") == pytest.approx(36 / 150)
