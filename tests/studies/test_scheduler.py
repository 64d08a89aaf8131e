"""The scheduler starts commands in processes of their own; whole studies: test_study."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

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


class Ended:
    """A command that has ended."""

    def poll(self) -> int:
        return 1

    def send_signal(self, number: int, /) -> None:
        raise AssertionError(f"told {number} after its end")

    def wait(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("handler", "stops"), [(signal.SIG_IGN, False), (signal.default_int_handler, True)]
)
def test_a_closed_terminal_stops_a_study_but_for_one_under_nohup(
    handler, stops: bool, mini: Path, tmp_path: Path
) -> None:
    study = Study.load(mini)
    runs = expand(study, Choice(only=["rgb"]), {"parts": tmp_path}, sources.load_config)
    store = Listing(tmp_path, {})

    def hang_up(_: list[Run]) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    scheduler = Scheduler(
        store, runs, [Slot(1)], looked=hang_up, launch=lambda words, log, slot: Ended()
    )
    former = signal.signal(signal.SIGHUP, handler)
    try:
        if stops:
            with pytest.raises(KeyboardInterrupt, match="study stopped"):
                scheduler.run()
        else:
            scheduler.run()
        assert signal.getsignal(signal.SIGHUP) is handler
    finally:
        signal.signal(signal.SIGHUP, former)
    assert [o.status for o in scheduler.outcomes] == (["stopped"] if stops else ["failed"] * 2)
