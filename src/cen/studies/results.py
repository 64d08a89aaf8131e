"""What finished runs gave: one record per run, and the CSV file with all of them."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cen.errors import CenError, CheckpointError, DataError
from cen.files import write_text
from cen.report.summary import evaluation_dict
from cen.runfiles import read_run_file
from cen.scores import mean_headline
from cen.studies.columns import Column
from cen.studies.grid import Run
from cen.studies.run_costs import costs_of
from cen.studies.run_store import Store, read_json, write_json
from cen.weightfiles import read_header

_FACTS = (
    "hash",
    "data",
    "row",
    "budget",
    "seed",
    "steps",
    "samples_seen",
    "seconds",
    "evaluate_seconds",
    "threads",
    "parameters",
    "macs",
    "compute",
    "exchange_rate",
    "validation",
    "best_step",
    "split",
    "test_samples",
    "started",
    "finished",
    "git",
    "machine",
)
"""The first columns of results.csv; the scores follow."""


@dataclass(frozen=True)
class Record:
    """A finished run and its figures.

    Attributes:
        run: The run.
        folder: Its folder.
        facts: What it is and what it cost; keys are the first columns of results.csv.
        scores: ``OUTPUT/INPUTS/PREDICTION/SCORE`` to values, exactly as evaluation.json has them;
            None where a score is not defined.
    """

    run: Run
    folder: Path
    facts: Mapping[str, Any]
    scores: Mapping[str, float | None]

    def value(self, column: Column) -> float | None:
        """The figure that a column shows; None where the run has none."""
        if column.score is None:
            found = self.facts.get(column.prediction)
            return None if found is None else float(found)
        output = column.output or next(iter(self.scores), "").partition("/")[0]
        inputs = "+".join(self.run.config.model.inputs)
        if column.inputs is not None:
            wanted = column.inputs.split("+")
            inputs = "+".join(name for name in inputs.split("+") if name in wanted)
            if set(inputs.split("+")) != set(wanted):
                return None
        return self.scores.get(f"{output}/{inputs}/{column.prediction}/{column.score}")


def collect(store: Store, runs: Sequence[Run]) -> list[Record]:
    """The records of the runs that are done, in the order of the runs.

    Folders that hold another run than their name says, or whose files are damaged, are left out
    with a warning that names the run.
    """
    records = []
    for run in runs:
        try:
            if store.state(run) == "done":
                records.append(record(store, run))
        except CenError as error:
            warnings.warn(f"{run.title} is left out: {error}", stacklevel=2)
    return records


def record(store: Store, run: Run) -> Record:
    """The record of a finished run."""
    folder = store.folder(run)
    evaluation = read_json(folder / "evaluation.json")
    info, study = read_json(folder / "run.json"), read_json(folder / "study.json")
    costs, seconds = study.get("costs", {}), study.get("seconds", {})
    steps, batch = run.config.train.max_steps, run.config.train.batch_size
    macs = costs.get("macs")
    facts = {
        "hash": run.hash,
        "data": run.data,
        "row": run.row.name,
        "budget": run.budget,
        "seed": run.seed,
        "steps": steps,
        "samples_seen": steps * batch,
        # 0 is what is noted of a training that outlived its study: unknown, and not quick.
        "seconds": seconds.get("train") or None,
        "evaluate_seconds": seconds.get("evaluate"),
        "threads": study.get("threads"),
        "parameters": costs.get("parameters"),
        "macs": macs,
        "compute": None if macs is None else macs * steps * batch,
        "exchange_rate": evaluation.get("exchange_rate", _exchange_rate(folder)),
        "validation": study["validation"] if "validation" in study else _validation(folder),
        "best_step": evaluation.get("step"),
        "split": evaluation.get("split"),
        "test_samples": evaluation.get("samples"),
        "started": info.get("started"),
        "finished": info.get("finished"),
        "git": info.get("git"),
        "machine": _machine(info.get("machine")),
    }
    return Record(run, folder, facts, scores_of(evaluation))


def note_figures(folder: Path, root: str | Path) -> None:
    """Keeps in study.json what tables need of the weights, which may then be deleted.

    Args:
        folder: The folder of a finished run.
        root: Where its data lie now.
    """
    costs_of(folder, root)
    facts, validation = read_json(folder / "study.json"), _validation(folder)
    if "validation" not in facts and validation is not None:
        write_json(folder / "study.json", {**facts, "validation": validation})


def scores_of(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """Every score of an evaluation as ``OUTPUT/INPUTS/PREDICTION/SCORE``."""
    scores: dict[str, float | None] = {}
    for row in evaluation_dict(evaluation)["rows"]:
        place = f"{row['output']}/{'+'.join(row['inputs'])}/{row['prediction']}"
        for name, value in row.items():
            if name not in ("inputs", "output", "prediction") and not (
                name == "alpha" and value is None
            ):
                scores[f"{place}/{name}"] = value
    return scores


def csv_text(records: Sequence[Record]) -> str:
    """results.csv: one line per run, facts first, then every score as a share or in its unit."""
    names = list(dict.fromkeys(name for record in records for name in record.scores))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_FACTS, *names])
    for entry in records:
        values = [entry.facts[name] for name in _FACTS]
        values += [entry.scores.get(name) for name in names]
        writer.writerow(["" if value is None else value for value in values])
    return buffer.getvalue()


def write_csv(path: Path, records: Sequence[Record]) -> Path:
    """Writes results.csv in one step."""
    return write_text(path, csv_text(records), DataError)


def by_seed(records: Sequence[Record], column: Column) -> dict[int, float]:
    """The figures of a row by seed, of those records that have one."""
    values = {entry.run.seed: entry.value(column) for entry in records}
    return {seed: value for seed, value in values.items() if value is not None}


def _exchange_rate(folder: Path) -> float | None:
    """The share of own channels that are replaced, at the end of training.

    For evaluations of earlier versions, which do not tell that of the network they scored.
    """
    file = folder / "exchange.json"
    history = read_run_file(file) if file.is_file() else []
    last = history[-1] if history else {}
    return last.get("rate") if last.get("layers") else None


def _validation(folder: Path) -> float | None:
    """What the checkpoint that was scored was chosen by; None for a run without validation."""
    file = folder / "best.safetensors"
    if not file.is_file():
        return None
    header = read_header(file)
    if header is None:
        raise CheckpointError(f"{file} holds weights but does not say of which network")
    return mean_headline(header["metadata"].get("metrics") or {})


def _machine(machine: Any) -> str | None:
    if not isinstance(machine, Mapping):
        return None
    return ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None)
