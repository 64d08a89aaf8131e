"""Bad command lines: each is refused in one line that tells its cause, and changes nothing."""

import json
import multiprocessing.process
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from tests.cli.bad_lines import bad_lines

from cen import cli

LINES = tuple(bad_lines())

TINY = """\
data: {root: data, workers: 0}
model: {name: fpn, encoder: resnet18, width: 4, decoder_channels: 8}
train: {steps: 1, batch_size: 4, validate_every: 1, checkpoint_every: 1, accelerator: cpu}
"""
FILES = {
    "tiny.yaml": TINY,
    "tiny-study.yaml": "title: t\nconfig: tiny.yaml\ndata: {d: {}}\nrows: {cen: {}, other: {}}\n",
    # Data that a study would render, before or beside data that are not there.
    "made-study.yaml": "title: t\nconfig: tiny.yaml\ndata: {d: {make: {size: [64, 96]}}}\n"
    "rows: {cen: {}}\n",
    "lost-study.yaml": "title: t\nconfig: tiny.yaml\ndata: {d: {make: {size: [64, 96]}}, "
    "e: {set: {data.root: lost}}}\nrows: {cen: {}}\n",
    "plain.txt": "plain",
    "list.yaml": "- a\n- b\n",
    "scalar.yaml": "3\n",
    "broken.yaml": "a: [1\n",
    "wrong-nesting.yaml": "train: 3\n",
    "wrong-inputs.yaml": "model: {inputs: [rgb, depth]}\n",
    "wrong-encoder.yaml": "model: {encoder: {name: resnet18}}\n",
    "wrong-stages.yaml": "train: {stages: {a: 1}}\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data, a run, half a run, a run that a process trains, and some files."""
    folder = tmp_path_factory.mktemp("place")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name, text in FILES.items():
            Path(name).write_text(text)
        words = ["data", "rooms", "data", "--size", "64", "96", "--train", "10", "--test", "3"]
        assert cli.main(words) == 0
        assert cli.main(["train", "tiny.yaml", "--out", "run"]) == 0
        for name, target in (("rgb", "rgb.png"), ("depth", "depth.png")):
            shutil.copy(next(Path("data", name).glob("*.png")), target)
        Path("empty").mkdir()
        for name in ("half", "running"):
            Path(name).mkdir()
            shutil.copy("run/config.yaml", name)
        facts = Path("run/run.json").read_text()
        Path("running/run.json").write_text(facts.replace('"finished",', '"running",'))
        with FileLock("running/.lock"):
            yield folder
    finally:
        os.chdir(before)


def words_of(line: str) -> list[str]:
    names = {"@NUL": "a\0b", "@LONG": "x" * 300}
    words = []
    for word in shlex.split(line):
        for name, meant in names.items():
            word = word.replace(name, meant)
        words.append(word)
    return words


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file and folder, but for the lock that is tried."""
    paths = [folder, *(path for path in folder.rglob("*") if path.name != ".lock")]
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in paths if p != folder}


def told_well(message: str, told: tuple[str, ...]) -> None:
    assert message.startswith("cen: ")
    assert message.count("\n") == 1
    assert not any(word in message for word in ("Traceback", "<class", "PosixPath", "NoneType"))
    assert any(words in message for words in told)


def test_there_are_enough() -> None:
    assert len({line for line, _ in LINES}) == len(LINES) >= 200


@pytest.mark.parametrize(("line", "told"), LINES, ids=[line for line, _ in LINES])
def test_refused_in_one_line(
    line: str,
    told: tuple[str, ...],
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(*args: object, **_: object) -> None:
        raise AssertionError(f"a process was started: {args}")

    monkeypatch.chdir(place)
    monkeypatch.setattr(subprocess.Popen, "__init__", started)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", started)
    before, start = everything(place), time.monotonic()
    assert cli.main(words_of(line)) == 2
    took = time.monotonic() - start
    captured = capsys.readouterr()
    told_well(captured.err, told)
    assert captured.out == ""
    assert everything(place) == before
    # A limit on hanging; the first command imports PyTorch, and the machine may be busy.
    assert took < 30


@pytest.mark.parametrize(
    "line",
    [
        "train rooms-smal --out o",
        "train tiny.yaml --out o --data.transforms.crop [100000000,100000000]",
        pytest.param("train tiny.yaml --out o --train.devices 3", marks=pytest.mark.slow),
        "predict run --rgb rgb.png -o plain.txt",
        "evaluate run --scales nan",
    ],
)
def test_refused_as_a_process(line: str, place: Path) -> None:
    before = everything(place)
    done = subprocess.run(
        [sys.executable, "-m", "cen", *shlex.split(line)],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    told_well(done.stderr, ("",))
    assert done.stdout == ""
    assert everything(place) == before


def test_what_a_run_that_still_trains_has_saved_is_used_with_a_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    run = place / "training"
    shutil.copytree("run", run)
    facts = (run / "run.json").read_text()
    (run / "run.json").write_text(facts.replace('"finished",', '"running",'))
    # Killed: its status was never changed, but nobody holds its lock.
    assert cli.main(["inspect", "training"]) == 0
    assert capsys.readouterr().err == ""
    with FileLock(run / ".lock"):
        assert cli.main(["inspect", "training"]) == 0
    told = capsys.readouterr().err
    assert "training: is still training (step 1)" in told
    shutil.rmtree(run)


def test_a_run_that_still_trains_or_was_killed_has_a_page(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    shutil.copytree("running", "going")
    facts = json.loads(Path("going/run.json").read_text())
    Path("going/run.json").write_text(json.dumps(facts | {"finished": None}))
    assert cli.main(["report", "going"]) == 0  # killed before its first checkpoint
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("going/report.html\n", "")
    assert "This run is not finished" in Path("going/report.html").read_text("utf-8")
    Path("going/report.html").unlink()
    with FileLock("going/.lock"):
        assert cli.main(["report", "going"]) == 0
    assert "going: is still training (step 0)" in capsys.readouterr().err
    assert Path("going/report.html").is_file()
    shutil.rmtree("going")
