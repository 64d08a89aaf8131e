"""Writes what a study says: results.csv, tables.md, study.json and index.html."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cen.config import MOVABLE
from cen.errors import DataError
from cen.files import contained, write_text
from cen.studies.grid import Choice
from cen.studies.results import Record, write_csv
from cen.studies.run_store import read_json, write_json
from cen.studies.spec import Study
from cen.studies.study_tables import (
    Table,
    comparison_tables,
    published_table,
    run_table,
    score_tables,
    short_code,
)


def study_facts(
    records: Sequence[Record],
    runs: int,
    earlier: dict[str, Any],
    command: Sequence[str],
    asked: Choice,
) -> dict[str, Any]:
    """What study.json holds: runs, hours, dates, machines, code, commands and changed keys.

    Args:
        records: The finished runs.
        runs: How many there are in all.
        earlier: What study.json held before; its commands are kept.
        command: The words after ``cen`` of this call; empty: a call that only prints tables.
        asked: What this call chose; its budgets and seeds are kept for later calls.
    """

    def distinct(key: str) -> list[str]:
        return list(dict.fromkeys(str(r.facts[key]) for r in records if r.facts[key]))

    stamps = [r.facts[key] for r in records for key in ("started", "finished")]
    times = sorted(str(stamp) for stamp in stamps if stamp)
    commands = [*earlier.get("commands", []), *([f"cen {shlex.join(command)}"] if command else [])]
    seconds = {
        r.run.hash: _core_seconds(r) for r in records
    }  # two rows with one configuration share a run
    return {
        "runs": runs,
        "finished": len(seconds),
        "seeds": sorted({r.run.seed for r in records}),
        "core_hours": round(sum(seconds.values()) / 3600, 3),
        "dates": [times[0][:10], times[-1][:10]] if times else ["", ""],
        "machines": distinct("machine"),
        "code": distinct("git"),
        "commands": list(dict.fromkeys(commands)),
        "changed": changed_keys(asked),
        "asked": _asked(earlier.get("asked", {}), asked),
        "python": sys.version.split()[0],
    }


def all_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Every table of a study in the order in which it is printed."""
    published = published_table(study)
    return [
        *score_tables(study, records),
        *comparison_tables(study, records),
        *([published] if published else []),
    ]


def markdown(study: Study, records: Sequence[Record], facts: dict[str, Any]) -> str:
    """tables.md: the question, how it was answered, and the tables."""
    how = {
        "base configuration": f"`{study.config}`",
        "changed in all rows": "<br>".join(f"`{k}: {v}`" for k, v in facts["changed"].items()),
        "runs": f"{facts['finished']} of {facts['runs']}",
        "seeds": ", ".join(map(str, facts["seeds"])),
        "core-hours": f"{facts['core_hours']:.2f}",
        "dates": " to ".join(dict.fromkeys(filter(None, facts["dates"]))),
        "machine": "; ".join(facts["machines"]),
        "code": ", ".join(map(short_code, facts["code"])),
        "command": "<br>".join(f"`{command}`" for command in facts["commands"]),
    }
    lines = [f"## {study.title}", "", study.question, "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in how.items() if value]
    tables = [*all_tables(study, records), *([run_table(study, records)] if records else [])]
    return "\n".join([*lines, "", *(table.markdown() for table in tables)])


def changed_keys(choice: Choice) -> dict[str, str]:
    """The keys that a call changes in all rows; where a run computes does not count."""
    return {key: value for key, value in choice.overrides.items() if key not in MOVABLE}


def output_folder(out: Path, name: str, study: Study, given: Study, choice: Choice) -> Path:
    """Where the tables go: OUT/NAME, and a folder of their own where a call changes all rows.

    Args:
        out: The folder of studies.
        name: Name of the study.
        study: The study as its file has it.
        given: The study on the data of the call.
        choice: What the call chooses.
    """
    changed = changed_keys(choice)
    if not set(given.data) <= set(study.data):
        changed |= {name: str(data.set) for name, data in given.data.items()}
    if not changed:
        return out / name
    text = json.dumps(changed, sort_keys=True)
    return out / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def write_outputs(
    folder: Path,
    study: Study,
    records: Sequence[Record],
    runs: int,
    command: Sequence[str],
    asked: Choice | None = None,
) -> dict[str, Path]:
    """Writes the files of a study, each in one step.

    Args:
        folder: Where they go.
        study: The study.
        records: Its finished runs.
        runs: How many there are in all.
        command: The words after ``cen`` of this call; empty: a call that only prints tables.
        asked: What this call chose, kept for later ones (:func:`cen.studies.grid.everything`).

    Returns:
        The files by name: ``csv``, ``tables``, ``facts`` and ``page``.
    """
    from cen.studies.study_page import render  # matplotlib is slow to import

    contained(folder.parent, folder, DataError)
    earlier = read_json(folder / "study.json")
    facts = study_facts(records, runs, earlier, command, asked or Choice())
    files = {
        "csv": write_csv(folder / "results.csv", records),
        "tables": write_text(folder / "tables.md", markdown(study, records, facts), DataError),
        "facts": folder / "study.json",
        "page": write_text(folder / "index.html", render(study, records, facts), DataError),
    }
    write_json(files["facts"], facts)
    return files


def _asked(earlier: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Budgets and seeds that any call asked for beyond the study file."""
    budgets = {*earlier.get("budgets", []), *choice.budgets}
    seeds = max(earlier.get("seeds", 1), choice.seeds or 1)
    return {"budgets": sorted(budgets), "seeds": seeds}


def _core_seconds(record: Record) -> float:
    seconds = (record.facts["seconds"] or 0.0) + (record.facts["evaluate_seconds"] or 0.0)
    return float(seconds) * int(record.facts["threads"] or 1)
