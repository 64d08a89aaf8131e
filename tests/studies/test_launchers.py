"""Commands of a study on submitit's local executor and on a Ray that is started here."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from cen import cli
from cen.errors import ConfigError
from cen.studies.launchers import Where, launch_here, launch_on, run_command
from cen.studies.resources import Slot

PACKAGES: dict[Where, str] = {"slurm": "submitit", "ray": "ray"}
OPTIONS: dict[Where, dict[str, int | str]] = {"slurm": {"cluster": "local"}, "ray": {"num_cpus": 1}}


def test_a_command_runs_in_its_folder_and_gives_its_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run_command(["configs", "nothing"], str(log), str(tmp_path)) == 2
    assert "nothing" in log.read_text()


def test_options_are_of_clusters(tmp_path: Path) -> None:
    assert launch_on("here", tmp_path, {}) is launch_here
    with pytest.raises(ConfigError, match="--job: is of --on slurm"):
        launch_on("here", tmp_path, {"num_cpus": 1})


def test_an_option_that_submitit_does_not_have_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(ConfigError, match=r"--on slurm: .*minutes"):
        launch_on("slurm", tmp_path, {"cluster": "local", "minutes": 3})


@pytest.mark.slow
@pytest.mark.parametrize("where", PACKAGES)
def test_a_study_is_made_elsewhere_with_the_same_cache(
    where: Where, mini: Path, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES[where])
    words = ["study", str(mini), "--out", str(tmp_path), "--only", "rgb", "--seeds", "1"]
    options = [f"{key}={value}" for key, value in OPTIONS[where].items()]
    assert cli.main([*words, "--on", where, "--job", *options]) == 0
    runs = sorted((tmp_path / "runs").iterdir())
    made = {run: (run / "evaluation.json").stat().st_mtime for run in runs}
    assert len(runs) == 1
    assert cli.main(words) == 0  # here: nothing is left to do
    assert {run: (run / "evaluation.json").stat().st_mtime for run in made} == made


@pytest.mark.slow
@pytest.mark.parametrize("where", PACKAGES)
def test_a_command_that_is_stopped_ends(where: Where, small_rooms: Path, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[where])
    out, log = tmp_path / "run", tmp_path / "log"
    log.touch()
    words = ["train", "rooms-small", "--data.root", str(small_rooms), "--out", str(out)]
    work = launch_on(where, tmp_path / "jobs", OPTIONS[where])(words, log, Slot(1))
    until = time.monotonic() + 240
    while not (out / "metrics.csv").exists() and time.monotonic() < until:
        assert work.poll() is None, log.read_text()
        time.sleep(0.2)
    work.send_signal(signal.SIGINT)
    while work.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    assert work.poll() not in (None, 0)
