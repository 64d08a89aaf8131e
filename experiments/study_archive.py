"""Packs finished runs of studies without weights, and unpacks them, to go on somewhere else.

What tables need of a run are a few small files; the weights of hundreds of runs are gigabytes.

    python experiments/study_archive.py pack studies results/studies/runs.tar.xz
    python experiments/study_archive.py unpack studies results/studies/runs.tar.xz
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
from pathlib import Path

import yaml

from cen.studies.results import note_figures

FILES = ("config.yaml", "run.json", "evaluation.json", "study.json")


def pack(studies: Path, archive: Path) -> int:
    """Writes every finished run of a folder of studies into an archive; their number."""
    runs = sorted(path.parent for path in (studies / "runs").glob("*/evaluation.json"))
    draft = archive.with_name(archive.name + ".part")
    draft.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(draft, "w:xz") as tar:
        for run in runs:
            if (run / "best.safetensors").exists():
                data = yaml.safe_load((run / "config.yaml").read_text())["data"]["root"]
                note_figures(run, data)
            for name in FILES:
                _add(tar, f"{run.name}/{name}", (run / name).read_bytes())
            _add(tar, f"{run.name}/metrics.csv", validated(run / "metrics.csv"))
    draft.replace(archive)
    return len(runs)


def unpack(studies: Path, archive: Path) -> int:
    """Brings the runs of an archive back; those that are there stay as they are. Their number."""
    count = 0
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        there = {path.name for path in (studies / "runs").glob("*")}
        new = [member for member in members if member.name.partition("/")[0] not in there]
        tar.extractall(studies / "runs", new, filter="data")
        count = len({member.name.partition("/")[0] for member in new})
    return count


def validated(metrics: Path) -> bytes:
    """The lines of a metrics.csv that hold validation scores, and its columns that they fill."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    scores = [name for name in names if name.startswith("val/")]
    kept = [row for row in rows if any(row[name] for name in scores)]
    used = [name for name in names if any(row[name] for row in kept)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    return text.getvalue().encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    verb, folder, file = sys.argv[1:]
    done = {"pack": pack, "unpack": unpack}[verb](Path(folder), Path(file))
    print(f"{done} runs")
