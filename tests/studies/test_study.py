"""cen study end to end, as a person would run it."""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.processes import ForkedCommand

from cen import cli
from cen.cli import sources
from cen.models.network_file import read_header
from cen.studies import launchers
from cen.studies.datasets import make_missing, roots_of
from cen.studies.grid import Choice, expand
from cen.studies.resources import Slot
from cen.studies.run_store import Store
from cen.studies.scheduler import Outcome, Scheduler
from cen.studies.spec import Study

# What a study starts its commands with; one that is not forked: test_scheduler.
FORKED = SimpleNamespace(Popen=ForkedCommand, DEVNULL=subprocess.DEVNULL)


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str


@dataclass
class Finished:
    """The miniature study after its first call."""

    file: Path
    out: Path
    said: Said

    def runs(self) -> dict[tuple[str, int], Path]:
        """Run folders by row and seed, as results.csv says."""
        return {(line["row"], int(line["seed"])): self.out / "runs" / line["hash"]
                for line in self.lines()}  # fmt: skip

    def lines(self) -> list[dict[str, str]]:
        with (self.out / "mini" / "results.csv").open(encoding="utf-8") as handle:
            return list(csv.DictReader(handle))

    def again(self, *words: str) -> Said:
        return call(str(self.file), "--out", str(self.out), *words)


def call(*words: str) -> Said:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["study", *words])
    return Said(code, out.getvalue(), err.getvalue())


def evaluation(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


@pytest.fixture(scope="module")
def finished(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study after one call, which trains a run and one that fails in processes of their own.

    The others are there before: their commands, as the study gives them, are run in this process.
    """
    out = tmp_path_factory.mktemp("studies")
    study = Study.load(mini)
    roots = roots_of(study, out, "data")
    list(make_missing(study, roots, 1, os.environ))
    store = Store(out, {})
    for run in expand(study, Choice(only=["cen", "rgb"]), roots, sources.load_config):
        while (run.row.name, run.seed) != ("cen", 0) and (words := store.command(run)):
            assert cli.main(words) == 0
            store.note(run, words[0], 1.0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launchers, "subprocess", FORKED)
        said = call(str(mini), "--out", str(out), "--jobs", "2")
    return Finished(mini, out, said)


def test_a_failing_row_is_reported_and_loses_nothing(finished: Finished) -> None:
    assert finished.said.code == 2
    assert "1 of 5 runs failed" in finished.said.err
    found = re.search(r"other classes · 1× · seed 0: .*\(log: (.*)\)", finished.said.err)
    assert found is not None
    log = Path(found[1]).read_text()
    assert "classes" in log.splitlines()[-1]
    # The message itself, too; of a long one the end.
    assert log.splitlines()[-1][-150:] in finished.said.err
    assert set(finished.runs()) == {(row, seed) for row in ("cen", "rgb") for seed in (0, 1)}


def test_results_are_those_of_the_evaluations(finished: Finished) -> None:
    for line in finished.lines():
        folder = finished.out / "runs" / line["hash"]
        scores = evaluation(folder)["scores"]
        assert line["split"] == "test"
        assert evaluation(folder)["split"] == "test"
        names = [name for name in line if name.count("/") == 3 and line[name]]
        assert len(names) >= 6
        for name in names:
            output, inputs, prediction, score = name.split("/")
            entry = scores[inputs][output]
            if score == "alpha":
                expected = entry["alpha"][prediction]
            elif prediction == "ensemble":
                expected = entry["ensemble"][score]
            else:
                expected = entry["streams"][prediction][score]
            assert float(line[name]) == expected
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert (int(line["seed"]), int(line["steps"])) == (config["seed"], 4)
        assert float(line["seconds"]) > 0
        assert int(line["compute"]) == int(line["macs"]) * 4 * 2
        rate = evaluation(folder).get("exchange_rate")
        assert (rate is None) == (line["row"] == "rgb")
        best = read_header(folder / "best.safetensors")["metadata"]["metrics"]
        chosen_by = best["segmentation"]["ensemble"]["mean_iou"]
        assert float(line["validation"]) == pytest.approx(chosen_by)
        assert (float(line["exchange_rate"]) if line["exchange_rate"] else None) == rate
    single = next(line for line in finished.lines() if line["row"] == "rgb")
    both = next(line for line in finished.lines() if line["row"] == "cen")
    assert int(single["parameters"]) < int(both["parameters"])
    assert int(single["macs"]) < int(both["macs"]) <= 2 * int(single["macs"]) + 1000
    assert int(single["folded_macs"]) <= int(both["folded_macs"]) < int(both["macs"])


def test_tables_hold_means_and_differences(finished: Finished) -> None:
    text = (finished.out / "mini" / "tables.md").read_text("utf-8")

    def values(row: str) -> list[float]:
        return [
            100 * evaluation(finished.runs()[row, seed])["scores"][inputs]["segmentation"][
                "streams"]["rgb"]["mean_iou"]
            for seed in (0, 1)
            for inputs in ["rgb+depth" if row == "cen" else "rgb"]
        ]  # fmt: skip

    cen, rgb = values("cen"), values("rgb")
    mean, spread = sum(cen) / 2, abs(cen[0] - cen[1]) / 2**0.5
    row = next(line for line in text.splitlines() if line.startswith("| CEN | 2 |"))
    assert f"| {mean:.1f} ± {spread:.1f} |" in row
    differences = [cen[0] - rgb[0], cen[1] - rgb[1]]
    middle = sum(differences) / 2
    half = 12.7062 * (abs(differences[0] - differences[1]) / 2**0.5) / 2**0.5
    row = next(line for line in text.splitlines() if line.startswith("| RGB alone | 1× |"))
    assert f"| {middle:+.1f} | {middle - half:+.1f} … {middle + half:+.1f} | 2 |" in row
    assert "Published figures" in text
    assert "`cen study" in text
    facts = json.loads((finished.out / "mini" / "study.json").read_text())
    assert (facts["runs"], facts["finished"], facts["seeds"]) == (5, 4, [0, 1])
    assert facts["core_hours"] > 0


def test_page_is_one_file(finished: Finished) -> None:
    page = (finished.out / "mini" / "index.html").read_text("utf-8")
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert len(sources) > 2
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "Miniature &lt;of&gt; a study" in page
    for part in ("Results", "Differences", "PUBLISHED", "Curves", "Exchange maps", "Every run"):
        assert part in page
    assert "1 of 5 runs are not finished" in page


def test_a_second_call_trains_nothing(finished: Finished) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished.out / "runs").rglob("*") if p.is_file()}
    logs = {p: p.read_text() for p in (finished.out / "logs").iterdir()}
    said = finished.again("--only", "cen,rgb")
    assert said.code == 0
    assert said.err.count("was done before") == 4
    after = {p: p.stat().st_mtime_ns for p in (finished.out / "runs").rglob("*") if p.is_file()}
    assert after == before
    assert {p: p.read_text() for p in (finished.out / "logs").iterdir()} == logs


def test_tables_keep_what_a_call_is_not_about(finished: Finished) -> None:
    """One row asked for: the others stay in the tables, and so do more seeds asked for once."""
    before = (finished.out / "mini" / "results.csv").read_text()
    said = finished.again("--only", "rgb", "--seeds", "1", "--json")
    assert said.code == 0
    assert json.loads(said.out)["finished"] == 4
    assert (finished.out / "mini" / "results.csv").read_text() == before
    assert json.loads((finished.out / "mini" / "study.json").read_text())["asked"]["seeds"] >= 1


def test_tables_outlive_the_weights(finished: Finished, tmp_path: Path) -> None:
    """Runs whose weights were deleted, or moved without them, keep every figure of the tables."""
    shutil.copytree(
        finished.out, tmp_path / "moved", ignore=shutil.ignore_patterns("*.safetensors")
    )
    tables = [
        call(str(finished.file), "--out", str(out), "--table").out
        for out in (finished.out, tmp_path / "moved")
    ]
    assert tables[0] == tables[1]
    lines = list(csv.DictReader((tmp_path / "moved" / "mini" / "results.csv").open()))
    assert len(lines) == 4
    assert all(line["validation"] and line["parameters"] for line in lines)


def test_runs_whose_data_are_gone_are_told_of(finished: Finished, tmp_path: Path) -> None:
    """As in an archive that was unpacked: not an empty table without a word."""
    moved = tmp_path / "moved"
    shutil.copytree(finished.out, moved, ignore=shutil.ignore_patterns("*.safetensors", "data"))
    for words in (["--table"], ["--dry-run"]):
        said = call(str(finished.file), "--out", str(moved), *words)
        assert said.code == 0
        assert "is not there, and without it no run" in said.err
        assert f"cen data rooms {moved}" in said.err.replace("\n", " ")


def test_another_study_shares_the_runs(finished: Finished, tmp_path: Path) -> None:
    other = yaml.safe_load(finished.file.read_text())
    other["rows"] = {"renamed": other["rows"]["cen"]}
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(other).replace("reference: cen", "reference: renamed"))
    said = call(str(file), "--out", str(finished.out), "--json")
    assert said.code == 0
    figures = json.loads(said.out)
    assert (figures["runs"], figures["finished"]) == (2, 2)
    assert figures["tables"][0]["rows"][0][0] == "CEN"
    assert Path(figures["files"]["page"]) == finished.out / "other" / "index.html"


def test_plan_and_tables_without_training(finished: Finished, tmp_path: Path) -> None:
    said = finished.again("--dry-run", "--json", "--seeds", "3")
    plan = json.loads(said.out)
    states = [entry["state"] for entry in plan["runs"]]
    assert states.count("done") == 4
    assert plan["steps"] == 4 * states.count("new") + 4 * states.count("started")
    new = next(entry for entry in plan["runs"] if entry["state"] == "new")
    assert new["command"].startswith("cen train rooms-small --out ")
    said = finished.again("--table")
    assert said.out == (finished.out / "mini" / "tables.md").read_text("utf-8")
    said = call(str(finished.file), "--out", str(tmp_path), "--dry-run")  # not even data
    assert "5 of 5 runs to train" in said.out
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "3"], "say how many with --seeds N"),
        (["--seeds", "0"], "--seeds 0: give a whole number between 1"),
        (["--budget", "0"], "give a number between"),
        (["--only", "cem"], "did you mean cen"),
        (["--data", "party"], "did you mean parts"),
        (["--train.stepz", "1"], "did you mean steps"),
        (["--data.root", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(
    words: list[str], message: str, finished: Finished
) -> None:
    said = finished.again(*words)
    assert said.code == 2
    assert message in said.err


def test_the_shipped_studies_are_listed_and_copied(tmp_path: Path) -> None:
    said = call()
    assert said.code == 0
    assert "fusion" in said.out
    copy = tmp_path / "mine.yaml"
    assert call("fusion", "--copy", str(copy)).code == 0
    assert yaml.safe_load(copy.read_text("utf-8"))["config"] == "rooms-study"
    said = call("ablation", "--copy", str(copy))
    assert said.code == 2
    assert "exists" in said.err


def test_a_stopped_study_goes_on(
    mini: Path, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a training: saved, told, and resumed by the same command."""
    words = [str(mini), "--out", str(finished.out), "--only", "cen", "--seeds", "1"]
    words += ["--train.steps", "40", "--train.validate_every", "40"]
    words += ["--train.checkpoint_every", "10"]
    runs, before = finished.out / "runs", set(finished.runs().values())
    monkeypatch.setattr(launchers, "subprocess", FORKED)  # by the study, which is forked itself
    command = [sys.executable, "-m", "cen", "study", *words]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = ForkedCommand(command, stdout=out, stderr=err)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            saved = {p.parents[1] for p in runs.glob("*/checkpoints/last.ckpt")} - before
            if saved:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    (folder,) = saved
    assert "the same command goes on" in (tmp_path / "err").read_text()
    info = json.loads((folder / "run.json").read_text())
    assert info["status"] == "interrupted"
    assert 0 < info["step"] < 40
    assert not (folder / "evaluation.json").exists()
    # The same command goes on with it: what it would start is run in this process.
    for state, command in (
        ("started", f"cen train --resume {folder}"),
        ("trained", "cen evaluate"),
    ):
        (planned,) = json.loads(call(*words, "--dry-run", "--json").out)["runs"]
        assert planned["state"] == state
        assert planned["command"].startswith(command)
        assert cli.main(shlex.split(planned["command"])[1:]) == 0
    said = call(*words)
    assert (said.code, said.err.count("was done before")) == (0, 1)
    assert json.loads((folder / "run.json").read_text())["step"] == 40
    with (folder / "metrics.csv").open() as handle:
        steps = [int(line["step"]) for line in csv.DictReader(handle) if line["train/loss"]]
    assert steps == list(range(1, 41))
    assert evaluation(folder)["split"] == "test"


def test_a_run_that_others_work_on_is_waited_for(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a run is held; it is released while the scheduler looks again and again."""
    monkeypatch.setattr("cen.studies.scheduler._RETRY", 0.1)
    store, runs = store_of(finished)
    held = store.claim(runs[0])
    assert held.__enter__()
    with store.claim(runs[0]) as second:
        assert not second
    order: list[str] = []

    def looked(active: list[Any]) -> None:
        order.append("look")
        if order.count("look") == 5:
            order.append("release")
            held.__exit__(None, None, None)

    def ended(outcome: Outcome) -> None:
        order.append(outcome.run.hash)

    outcomes = Scheduler(store, runs[:2], [Slot(1)], ended, looked).run()
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert order.index(runs[1].hash) < order.index("release") < order.index(runs[0].hash)


def test_a_run_of_another_configuration_is_refused(finished: Finished) -> None:
    """As if a default of the program had changed since: told, and nothing is overwritten."""
    store, runs = store_of(finished)
    file = store.folder(runs[0]) / "config.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("momentum: 0.9", "momentum: 0.8"))
        (outcome,) = Scheduler(store, runs[:1], [Slot(1)]).run()
    finally:
        file.write_text(text)
    assert outcome.status == "failed"
    assert "was made with train.momentum = 0.8, the study asks for 0.9" in outcome.message


def store_of(finished: Finished) -> tuple[Store, list[Any]]:
    """The store, and its finished runs."""
    study = Study.load(finished.file)
    (root,) = [p for p in (finished.out / "data").iterdir() if p.is_dir()]
    runs = expand(
        study, Choice(only=["cen", "rgb"]), {"parts": root.resolve()}, sources.load_config
    )
    store = Store(finished.out, {})
    assert [store.state(run) for run in runs] == ["done"] * 4
    return store, runs
