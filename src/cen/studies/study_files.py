"""Writes what a study says: results.csv, tables.md, study.json and index.html."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cen.config import MOVABLE
from cen.errors import DataError
from cen.files import contained, write_json, write_text
from cen.runfiles import read_if_there
from cen.studies.grid import Choice
from cen.studies.identity import short_digest
from cen.studies.results import Record, csv_text
from cen.studies.spec import Study
from cen.studies.study_tables import all_tables, run_table, short_code


def output_folder(out: Path, name: str, study: Study, of_call: Study, choice: Choice) -> Path:
    """Where the tables go: OUT/NAME, and a folder of their own where a call changes all rows."""
    changed = _changed(choice)
    if not set(of_call.data) <= set(study.data):
        changed |= {name: str(data.set) for name, data in of_call.data.items()}
    return out / (f"{name}-{short_digest(changed)}" if changed else name)


def write_outputs(
    folder: Path,
    study: Study,
    records: Sequence[Record],
    runs: int,
    command: Sequence[str],
    asked: Choice | None = None,
) -> dict[str, Path]:
    """Writes the files of a study, each in one step; the files by name.

    ``runs`` are all that there are, ``command`` the words of the call (none of one that only prints
    tables), and ``asked`` its choice, kept for later calls.
    """
    from cen.studies.study_page import render  # matplotlib is slow to import

    contained(folder.parent, folder, DataError)
    earlier = read_if_there(folder / "study.json", {})
    facts = _facts(records, runs, earlier, command, asked or Choice())
    summary = _summary(study, facts)
    texts = {
        "csv": ("results.csv", csv_text(records)),
        "tables": ("tables.md", _markdown(study, records, summary)),
        "page": ("index.html", render(study, records, facts, summary)),
    }
    files = {key: write_text(folder / name, text, DataError) for key, (name, text) in texts.items()}
    write_json(folder / "study.json", facts)
    return files | {"facts": folder / "study.json"}


def _facts(
    records: Sequence[Record],
    runs: int,
    earlier: Mapping[str, Any],
    command: Sequence[str],
    choice: Choice,
) -> dict[str, Any]:
    """What study.json holds; commands, budgets and seeds of earlier calls are kept."""

    def distinct(key: str) -> list[str]:
        return list(dict.fromkeys(str(r.facts[key]) for r in records if r.facts[key]))

    times = sorted([*distinct("started"), *distinct("finished")])
    commands = [*earlier.get("commands", []), *([f"cen {shlex.join(command)}"] if command else [])]
    # Two rows with one configuration share a run.
    seconds = {record.run.hash: _core_seconds(record) for record in records}
    before = earlier.get("asked", {})
    return {
        "runs": runs,
        "finished": len(seconds),
        "seeds": sorted({r.run.seed for r in records}),
        "core_hours": round(sum(seconds.values()) / 3600, 3),
        "dates": [times[0][:10], times[-1][:10]] if times else ["", ""],
        "machines": distinct("machine"),
        "code": distinct("git"),
        "commands": list(dict.fromkeys(commands)),
        "changed": _changed(choice),
        "asked": {
            "budgets": sorted({*before.get("budgets", []), *choice.budgets}),
            "seeds": max(before.get("seeds", 1), choice.seeds or 1),
        },
        "python": sys.version.split()[0],
    }


def _summary(study: Study, facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """What tables.md and the page say of a study as a whole, term by term."""
    terms = {
        "base configuration": [study.config],
        "changed in all rows": [f"{key}: {value}" for key, value in facts["changed"].items()],
        "runs": [f"{facts['finished']} of {facts['runs']}"],
        "seeds": [", ".join(map(str, facts["seeds"]))],
        "core-hours": [f"{facts['core_hours']:.2f}"],
        "dates": [" to ".join(dict.fromkeys(filter(None, facts["dates"])))],
        "machine": facts["machines"],
        "code": [", ".join(map(short_code, facts["code"]))],
        "command": facts["commands"],
    }
    return {term: texts for term, texts in terms.items() if any(texts)}


def _markdown(study: Study, records: Sequence[Record], summary: Mapping[str, list[str]]) -> str:
    """tables.md: the question, how it was answered, and the tables."""
    lines = [f"## {study.title}", "", study.question, "", "| | |", "|---|---|"]
    for term, texts in summary.items():
        typed = term in ("base configuration", "changed in all rows", "command")
        cell = "<br>".join(f"`{text}`" for text in texts) if typed else "; ".join(texts)
        lines.append(f"| {term} | {cell} |")
    tables = [*all_tables(study, records), *([run_table(study, records)] if records else [])]
    return "\n".join([*lines, "", *(table.markdown() for table in tables)])


def _changed(choice: Choice) -> dict[str, str]:
    """The keys that a call changes in all rows; where a run computes does not count."""
    return {key: value for key, value in choice.overrides.items() if key not in MOVABLE}


def _core_seconds(record: Record) -> float:
    seconds = (record.facts["seconds"] or 0.0) + (record.facts["evaluate_seconds"] or 0.0)
    return float(seconds) * int(record.facts["threads"] or 1)
