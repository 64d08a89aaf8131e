"""The scheduler starts commands in processes of their own; whole studies: test_study."""

from __future__ import annotations

from pathlib import Path

from cen.cli import sources
from cen.studies.grid import Choice, Run, expand
from cen.studies.resources import Slot
from cen.studies.run_store import Store
from cen.studies.scheduler import Scheduler
from cen.studies.spec import Study


class Listing(Store):
    """Every run asks for a list of the configurations, which makes no run."""

    def command(self, run: Run) -> list[str]:
        return ["configs", "ls"]


def test_a_command_is_a_process_with_a_log_that_must_bring_the_run_further(
    mini: Path, tmp_path: Path
) -> None:
    study = Study.load(mini)
    runs = expand(study, Choice(only=["rgb"]), {"parts": tmp_path}, sources.load_config)
    store = Listing(tmp_path, {})
    outcomes = Scheduler(store, runs, [Slot(1), Slot(1)]).run()
    assert [outcome.status for outcome in outcomes] == ["failed"] * len(runs)
    assert all(o.message == "cen configs ended well, but its files are not there" for o in outcomes)
    log = store.log(runs[0]).read_text()
    assert log.startswith("$ cen configs ls\n")
    assert "rooms-small" in log
