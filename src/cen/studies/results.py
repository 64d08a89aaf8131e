"""What finished runs gave: one record per run, and the CSV file with all of them."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cen import schema
from cen.errors import CenError, CheckpointError
from cen.files import network_of, write_json
from cen.report.facts import joined
from cen.report.summary import evaluation_dict
from cen.runfiles import Judged, read_if_there
from cen.scores import mean_headline
from cen.studies.columns import Column
from cen.studies.grid import Run
from cen.studies.run_store import Store
from cen.weightfiles import read_header

_FACTS = (
    *("hash", "data", "row", "budget", "seed", "steps", "samples_seen", "seconds"),
    *("evaluate_seconds", "threads", "parameters", "macs", "folded_macs", "compute"),
    *("exchange_rate", "validation", "best_step", "split", "test_samples", "started", "finished"),
    *("git", "machine"),
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
            fact = self.facts.get(column.prediction)
            return None if fact is None else float(fact)
        inputs = self.inputs(column)
        if inputs is None:
            return None
        output, given = self.output(column), "+".join(inputs)
        return self.scores.get(f"{output}/{given}/{column.prediction}/{column.score}")

    def output(self, column: Column) -> str:
        """The output that a column is of: the run's first where it names none."""
        return column.output or next(iter(self.scores), "").partition("/")[0]

    def inputs(self, column: Column) -> list[str] | None:
        """The modalities at hand in a column, in the run's order; None: the run lacks one."""
        inputs = list(self.run.config.model.inputs)
        if column.inputs is None:
            return inputs
        column_inputs = set(column.inputs.split("+"))
        inputs = [name for name in inputs if name in column_inputs]
        return inputs if set(inputs) == column_inputs else None


def collect(store: Store, runs: Sequence[Run]) -> list[Record]:
    """The records of the runs that are done, in the order of the runs.

    Folders that hold another run than their name says, or whose files are damaged, are left out
    with a warning that names the run.
    """
    records = []
    for run in runs:
        try:
            if store.state(run) == "done":
                records.append(_record(store, run))
        except CenError as error:
            warnings.warn(f"{run.title} is left out: {error}", stacklevel=2)
    return records


def _record(store: Store, run: Run) -> Record:
    folder = store.folder(run)
    evaluation = read_if_there(folder / "evaluation.json", {})
    info, study = read_if_there(folder / "run.json", {}), read_if_there(folder / "study.json", {})
    costs, seconds = study.get("costs", {}), study.get("seconds", {})
    train, macs = run.config.train, costs.get("macs")
    steps = info.get("step") or train.max_steps  # train.patience may have ended it early
    samples = steps * train.samples_per_step
    passes = train.passes(len(run.config.model.inputs))
    facts = {
        "hash": run.hash,
        "data": run.data,
        "row": run.row.name,
        "budget": run.budget,
        "seed": run.seed,
        "steps": steps,
        "samples_seen": samples,
        # 0 is what is noted of a training that outlived its study: unknown, and not quick.
        "seconds": seconds.get("train") or None,
        "evaluate_seconds": seconds.get("evaluate"),
        "threads": study.get("threads"),
        "parameters": costs.get("parameters"),
        "macs": macs,
        "folded_macs": costs.get("folded_macs"),
        "compute": None if macs is None else round(macs * samples * passes),
        "exchange_rate": evaluation.get("exchange_rate", _exchange_rate(folder)),
        "validation": study["validation"] if "validation" in study else _validation(folder),
        "best_step": evaluation.get("step"),
        "split": evaluation.get("split"),
        "test_samples": evaluation.get("samples"),
        "started": info.get("started"),
        "finished": info.get("finished"),
        "git": info.get("git"),
        "machine": joined(info.get("machine")) or None,
    }
    return Record(run, folder, facts, _scores(evaluation))


def _scores(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """Every score of an evaluation as ``OUTPUT/INPUTS/PREDICTION/SCORE``."""
    scores: dict[str, float | None] = {}
    for row in evaluation_dict(evaluation)["rows"]:
        output, inputs, prediction = row.pop("output"), row.pop("inputs"), row.pop("prediction")
        for name, value in row.items():
            if name != "alpha" or value is not None:
                scores[f"{output}/{'+'.join(inputs)}/{prediction}/{name}"] = value
    return scores


def note_figures(folder: Path, root: str | Path) -> None:
    """Keeps in study.json what tables need of the weights, which may then be deleted.

    ``costs`` are parameters and multiply-adds, folded as well, at the ``size`` (height, width) of a
    sample.
    """
    facts = read_if_there(folder / "study.json", {})
    validation = None if "validation" in facts else _validation(folder)
    noted: dict[str, Any] = {} if validation is None else {"validation": validation}
    if not _counted(folder, facts.get("costs")):
        noted |= {"costs": _costs(folder, root)}
    if noted:
        # Counting takes seconds, in which another study may have noted times.
        write_json(folder / "study.json", {**read_if_there(folder / "study.json", {}), **noted})


def _counted(folder: Path, costs: Mapping[str, Any] | None) -> bool:
    """Whether costs are noted, or as far as they can be where the weights are gone.

    Earlier versions did not count what folding leaves.
    """
    return costs is not None and ("folded_macs" in costs or network_of(folder) is None)


def _costs(folder: Path, root: str | Path) -> dict[str, Any]:
    from cen.config import Config  # only here: torch is slow to import
    from cen.models import load
    from cen.models.costs import costs, folded_multiply_adds
    from cen.training.setup import open_dataset

    config = Config.load(folder / "config.yaml", {"data.root": str(root)}, of_run=True)
    net = load(folder)
    height, width = open_dataset(config, "train")[0][next(iter(net.inputs))].shape[-2:]
    cost = costs(net, (height, width))
    return {
        "parameters": cost.parameters,
        "macs": cost.multiply_adds,
        "folded_macs": folded_multiply_adds(net, (height, width), cost.multiply_adds),
        "size": [height, width],
    }


def csv_text(records: Sequence[Record]) -> str:
    """results.csv: one line per run, facts first, then every score as a share or in its unit."""
    names = list(dict.fromkeys(name for record in records for name in record.scores))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*_FACTS, *names], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**record.facts, **record.scores} for record in records)
    return buffer.getvalue()


def by_seed(records: Sequence[Record], column: Column) -> dict[int, float]:
    """The figures of a row by seed, of those records that have one."""
    values = {record.run.seed: record.value(column) for record in records}
    return {seed: value for seed, value in values.items() if value is not None}


def by_place(records: Sequence[Record]) -> list[tuple[str, float, list[Record]]]:
    """Records by data set, in the order of the study, and budget, rising."""
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        groups.setdefault((record.run.data, record.run.budget), []).append(record)
    data = list(dict.fromkeys(record.run.data for record in records))
    places = sorted(groups, key=lambda place: (data.index(place[0]), place[1]))
    return [(*place, groups[place]) for place in places]


def _exchange_rate(folder: Path) -> float | None:
    """The share of own channels that are replaced, at the end of training.

    For evaluations of earlier versions, which do not tell that of the network they scored.
    """
    history = read_if_there(folder / "exchange.json", [])
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
    metrics = header["metadata"].get("metrics") or {}
    place = f"{file}: its header: metadata.metrics"
    schema.check(metrics, dict[str, Judged], place, CheckpointError, finite=False)
    return mean_headline(metrics)
