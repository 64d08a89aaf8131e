"""Damaged data sets end in typed errors or findings that name the file, and stay as they are."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.corruptions import FINE, SIZE, VARIANTS, Variant

from cen.data import write_rooms
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.splitting import SPLITS
from cen.data.tools.checking import check_data
from cen.data.tools.sharding import write_shards
from cen.errors import CenError

# Nothing here takes a second; a pipe that is waited for would take for ever.
PATIENCE = 20


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data set without faults in every layout."""
    root = tmp_path_factory.mktemp("sound")
    names = ("nyudv2", "nyudv2-mat", "sunrgbd", "taskonomy", "folder")
    made = {
        name: write_rooms(root / name, name, size=SIZE, train=6, test=2, seed=5) for name in names
    }
    write_shards(DatasetRecipe("nyudv2", str(made["nyudv2"])), root / "shards", per_shard=3)
    return {**made, "shards": root / "shards"}


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Ends what hangs."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"hangs for more than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def source(layout: str, root: Path) -> DatasetRecipe:
    fields = {"folder": ("rgb", "depth", "segmentation")}.get(layout, ())
    return DatasetRecipe(layout, str(root), fields=fields, common={"validation": 0.25})


def fingerprint(root: Path) -> str:
    """Of names, kinds, times and contents of all that is below a folder."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found.update(f"{path} {status.st_mode} {status.st_size} {status.st_mtime_ns}".encode())
        if path.is_symlink():
            found.update(str(path.readlink()).encode())
        elif stat.S_ISREG(status.st_mode):
            found.update(path.read_bytes())
    return found.hexdigest()


def read_all(data: DatasetRecipe) -> list[CenError]:
    """Reads as training does; anything but a typed error is a defect and raised."""
    errors = []
    for split in SPLITS:
        try:
            dataset = data.open(split)
            for index in range(len(dataset)):
                dataset.raw(index)
        except CenError as error:
            errors.append(error)
    return errors


def test_there_are_enough_and_all_differ() -> None:
    names = [str(variant) for variant in VARIANTS]
    assert len(set(names)) == len(names) >= 200
    assert len({variant.layout for variant in VARIANTS}) == 6


@pytest.mark.parametrize("layout", ["nyudv2", "nyudv2-mat", "sunrgbd", "taskonomy", "folder"])
def test_nothing_is_said_of_sound_data(layout: str, sound: dict[str, Path]) -> None:
    # Of a few samples by chance none may be for validation.
    report = check_data(source(layout, sound[layout]), ("train", "test"))
    # That its splits are small is true of a folder made for a test.
    assert [finding for finding in report.findings if finding.kind != "split"] == []


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_damage_is_named(variant: Variant, sound: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(sound[variant.layout], root, symlinks=True)
    variant.spoil(root)
    before = fingerprint(root)
    report = check_data(source(variant.layout, root), ("train", "test"))
    errors = read_all(source(variant.layout, root))
    assert fingerprint(root) == before
    if variant.kinds == (FINE,):
        assert [f for f in report.findings if f.severity != "note"] == []
        return
    kinds = {finding.kind for finding in report.findings}
    assert kinds & set(variant.kinds), report.findings
    said = [
        " ".join((*finding.files, finding.place, finding.text))
        for finding in report.findings
        if finding.kind in variant.kinds
    ]
    assert any(variant.tells in text for text in said), said
    if kinds & {"unreadable", "missing", "layout"}:
        assert errors
        assert any(variant.tells in str(error) for error in errors), errors


LIMITED = """
import resource, sys
from pathlib import Path
import cen.data.readers.nyudv2_mat, cen.data.readers.sunrgbd, cen.data.readers.shards
from cen.data.tools.checking import check_data
from cen.data.readers.opening import DatasetRecipe
# What is imported already counts; a bomb would need 800 million bytes and more for one picture.
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)
for layout, root in zip(sys.argv[1::2], sys.argv[2::2]):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = check_data(DatasetRecipe(layout, root, common={"validation": 0.25}), ("train",))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    texts = [finding.text for finding in report.errors]
    assert texts, layout
    assert not any("MemoryError" in text for text in texts), texts
    assert grown < 200_000, (layout, grown)
    print(layout, grown)
"""


def test_bombs_take_no_memory(sound: dict[str, Path], tmp_path: Path) -> None:
    signal.alarm(200)  # starts Python anew and imports torch
    words = []
    for variant in VARIANTS:
        if variant.name.endswith(("bomb", "laughs")):
            root = tmp_path / str(variant)
            shutil.copytree(sound[variant.layout], root)
            variant.spoil(root)
            words += [variant.layout, str(root)]
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == len(words) // 2 >= 10
