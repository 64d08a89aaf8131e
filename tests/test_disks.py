"""Disks that are full, folders that vanish or are only read, outputs that take nothing."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cen import cli
from cen.errors import CenError, CheckpointError, DataError
from cen.files import remove_unfinished, write_atomically, write_text
from cen.training import run_checkpoint

TINY = ["--train.steps=4", "--train.validate_every=2", "--train.checkpoint_every=2"]
TINY += ["--train.batch_size=2", "--train.accelerator=cpu"]
TINY += ["--model.name=fpn", "--model.width=4", "--model.decoder_channels=8"]


def full(*ignored: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def drafts(folder: Path) -> list[Path]:
    """Files that were not written to the end."""
    return list(folder.rglob("*.part*"))


@pytest.mark.parametrize("library", ["safetensors", "torch", "text"])
def test_what_a_library_makes_of_a_disk_without_space_is_told(library: str, tmp_path: Path) -> None:
    """Each reports it by an exception of its own; here no file may grow beyond 4 KiB."""
    tensors = {"a": torch.zeros(100_000)}
    writers: dict[str, Callable[[Path], Any]] = {
        "safetensors": lambda path: save_file(tensors, path),
        "torch": lambda path: torch.save(tensors, path),
        "text": lambda path: path.write_text("x" * 100_000),
    }
    target = tmp_path / "file"
    target.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"file cannot be written: (File too|No space)"):
            write_atomically(target, writers[library], CheckpointError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, former)
    assert target.read_text() == "old"
    assert drafts(tmp_path) == []


def test_other_exceptions_are_not_taken_for_those_of_a_disk(tmp_path: Path) -> None:
    def wrong(path: Path) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        write_atomically(tmp_path / "file", wrong)
    assert drafts(tmp_path) == []


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path / "below" / f".a.png.{ended.pid}.x1y2.part"
    alive = tmp_path / f".a.png.{os.getpid()}.x1y2.part"
    mine = [tmp_path / "movie.part", tmp_path / ".a.part", tmp_path / "a.1.b.part"]
    dead.parent.mkdir()
    elsewhere = tmp_path.parent / f".b.{ended.pid}.z.part"
    for path in (dead, alive, elsewhere, *mine):
        path.write_text("half")
    (tmp_path / "link").symlink_to(tmp_path.parent, target_is_directory=True)
    remove_unfinished(tmp_path)
    assert not dead.exists()
    assert all(path.exists() for path in (alive, elsewhere, *mine))
    elsewhere.unlink()


def test_an_empty_configuration_is_never_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "write_bytes", full)
    target = tmp_path / "mine.yaml"
    assert cli.main(["configs", "cp", "rooms-small", str(target)]) == 2
    assert capsys.readouterr().err == f"cen: {target} cannot be written: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_disk_that_fills_up_ends_a_run_as_failed(
    small_rooms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The resumable checkpoint does not fit any more; what was there before stays."""
    run = tmp_path / "run"
    real = run_checkpoint.Trainer.save_checkpoint

    def fills(trainer: Any, path: Path, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step > 2:
            Path(path).write_text("half")
            full()
        real(trainer, path, *args, **kwargs)

    monkeypatch.setattr(run_checkpoint.Trainer, "save_checkpoint", fills)
    words = ["train", "rooms-small", "--data.root", str(small_rooms), "--out", str(run), *TINY]
    assert cli.main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == f"cen: {run}/checkpoints/last.ckpt cannot be written: No space left on device"
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert (run / "checkpoints" / "last.ckpt").stat().st_size > 1000
    assert drafts(run) == []
    monkeypatch.undo()
    assert cli.main(["train", "--resume", str(run)]) == 0


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_run_folder_that_vanishes_ends_the_run(
    small_rooms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, kept = tmp_path / "run", tmp_path / "elsewhere"
    real = run_checkpoint.RunCheckpoint.on_train_batch_end

    def moved(self: Any, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 3:
            run.rename(kept)
        real(self, trainer, *args)

    monkeypatch.setattr(run_checkpoint.RunCheckpoint, "on_train_batch_end", moved)
    words = ["train", "rooms-small", "--data.root", str(small_rooms), "--out", str(run), *TINY]
    assert cli.main(words) == 2
    assert f"{run} is gone: the run folder was removed or renamed" in capsys.readouterr().err
    assert not run.exists()


def process(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cen", *words]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["configs", "ls"], ["configs", "ls", "--json"], ["--help"]])
def test_a_full_output_is_told(words: list[str]) -> None:
    with Path("/dev/full").open("w") as output:
        done = process(words, stdout=output)
    assert done.returncode == 2
    assert "standard output does not take any more (No space left on device)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_went_away_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        done = process(["configs", "ls"], stdout=output)
    assert done.returncode == 2
    assert "(Broken pipe); not everything was printed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_output_is_told() -> None:
    done = process(["configs", "ls"], preexec_fn=lambda: os.close(1))
    assert done.returncode == 2
    assert done.stderr.startswith("cen: standard output is closed")
    assert done.stderr.count("\n") == 1


def test_a_file_in_place_of_a_folder_is_told_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "below", "x", DataError)
    with pytest.raises(CenError):
        write_text(Path("/proc/nothing/here"), "x")
