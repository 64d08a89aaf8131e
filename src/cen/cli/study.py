"""Run a study: a table of rows trained alike, with seeds, intervals and a page of results.

Runs that are there already, of this study or of another in the same folder, are not made again;
interrupted ones go on. Without a name, the shipped studies are listed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import CenWarning, ConfigError, TrainingError
from cen.files import write_text

if TYPE_CHECKING:
    from cen.studies.calling import Call
    from cen.studies.grid import Run
    from cen.studies.run_store import Store
    from cen.studies.scheduler import Outcome


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.free = "keys"
    parser.epilog = (
        "Any key of a configuration is an option, too (--train.batch_size 4), for all rows; a "
        "budget then counts from --train.steps."
    )
    parser.add_argument(
        "study",
        metavar="NAME|FILE",
        nargs="?",
        type=words.path_text,
        help="a shipped study, or a YAML file",
    )
    parser.option(
        "--data DATA...",
        str,
        "data sets of the study by name, or LAYOUT:ROOT for other data; default: all",
        [],
    )
    parser.option("--seeds N", words.whole(1, 10_000), "seeds per row; default: those of the study")
    factors = words.factor(1e-6, 1e6)
    parser.option("--budget F...", factors, "factors on the steps; default: those of the study", [])
    parser.option("--only ROW...", str, "rows or sweeps to run; default: all", [])
    parser.option(
        "--jobs N", words.whole(1, 10_000), "runs at a time; default: one per GPU, else per core"
    )
    parser.option(
        "--on where",
        ["here", "slurm", "ray"],
        "where runs are made: by this machine, as jobs of SLURM, or as tasks of Ray",
        "here",
    )
    parser.option(
        "--job KEY=VALUE...",
        _key_value,
        "options of a job (timeout_min, slurm_partition, ...) or of a task (num_cpus, num_gpus)",
        [],
    )
    parser.option(
        "--out DIR",
        words.path,
        "folder of studies; runs in it are shared by all of them",
        Path("studies"),
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and stop")
    parser.add_argument(
        "--table", action="store_true", help="print the tables of what is there; train nothing"
    )
    parser.option(
        "--copy FILE", words.path, "copy the study file, to make one of your own, and stop"
    )
    printing.add_json(parser)


def _key_value(text: str) -> tuple[str, int | str]:
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals and value):
        raise argparse.ArgumentTypeError("is no KEY=VALUE, as in timeout_min=600")
    return key, int(value) if value.isdecimal() else value


def run(args: argparse.Namespace) -> int:
    """Runs what is missing, and prints and writes the tables."""
    from cen.studies.calling import Call
    from cen.studies.grid import Choice
    from cen.studies.spec import Study, find_study, shipped

    if args.study is None:
        return sources.list_shipped(args, "studies", "what it asks", shipped())
    name, file = find_study(args.study)
    if args.copy:
        words.new_file("--copy", args.copy, force=None)
        write_text(args.copy, file.read_text("utf-8"), ConfigError)
        print(f"{args.copy}: edit it, then run cen study {args.copy}")
        return 0
    words.out_folder("--out", args.out)
    if args.table and args.dry_run:
        raise ConfigError("--table and --dry-run each print something else; give one of them")
    if "seed" in args.free:
        raise ConfigError("--seed: a study runs seeds 0, 1, …; say how many with --seeds N")
    only = [row.strip() for text in args.only for row in text.split(",")]
    choice = Choice(args.free, only, tuple(args.budget), args.seeds)
    call = Call(name, Study.load(file), choice, args.data, args.out, sources.load_config)
    for text in call.unrecognised() if args.dry_run or args.table else ():
        warnings.warn(text, CenWarning, stacklevel=1)
    if args.dry_run:
        return _plan(args, call.store, call.runs(data_may_miss=True))
    if args.table:
        _write(args, call, call.runs(data_may_miss=True))
        return 0
    for command in call.prepare(args.on):
        print(command, file=sys.stderr)
    return _train(args, call)


def _train(args: argparse.Namespace, call: Call) -> int:
    runs = call.runs()
    outcomes: list[Outcome] = []
    try:
        outcomes = call.train(runs, args.jobs, args.on, dict(args.job))
    finally:
        call.count_costs(runs)
        _write(args, call, runs)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        lines = [f"{o.run.title}: {o.message} (log: {o.log})" for o in failed]
        others = "; the others are done" if len(failed) < len(outcomes) else ""
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} runs failed{others}. The same command tries them "
            "again.\n  " + "\n  ".join(lines)
        )
    return 0


def _write(args: argparse.Namespace, call: Call, asked: Sequence[Run]) -> None:
    """Writes the files of a study and prints its tables."""
    from cen.studies.results import collect
    from cen.studies.study_files import write_outputs
    from cen.studies.study_tables import all_tables

    runs = call.tabled(asked)
    command = [] if args.table else _command(args)
    count = len({run.hash for run in runs})
    with call.store.writing(call.folder.name):
        records = collect(call.store, runs)
        files = write_outputs(call.folder, call.shown, records, count, command, call.choice)
    if args.table and not args.json and not sys.stdout.isatty():
        print(files["tables"].read_text("utf-8"), end="")
        return
    tables = all_tables(call.shown, records)
    if args.json:
        figures = {
            "runs": count,
            "finished": len({record.run.hash for record in records}),
            "files": {key: str(path) for key, path in files.items()},
            "tables": [{"title": t.title, "head": t.head, "rows": t.rows} for t in tables],
        }
        printing.emit(args, figures)
        return
    for table in tables:
        if sys.stdout.isatty():
            # Markdown is for files and pipes; its lines are longer than a terminal's.
            shown = printing.table(table.head, table.rows)
            printing.emit(args, {}, Text(table.title), shown, Text(table.note))
        else:
            print(table.markdown())
    print(f"page: {files['page']}\nfigures: {files['csv']}")


def _plan(args: argparse.Namespace, store: Store, runs: Sequence[Run]) -> int:
    """What would be run."""
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    for entry in runs:
        command = store.command(entry)
        entries.append(
            {
                "run": entry.title,
                "hash": entry.hash,
                "state": "shared" if entry.hash in seen else store.state(entry),
                "steps": entry.config.train.max_steps,
                "command": f"cen {shlex.join(command)}" if command else None,
            }
        )
        seen.add(entry.hash)
    left = [e for e in entries if e["state"] in ("new", "started")]
    steps = sum(e["steps"] for e in left)
    rows = [(e["run"], e["state"], f"{e['steps']:,}", e["hash"]) for e in entries]
    shown = printing.table(("run", "state", "steps", "hash"), rows)
    text = f"{len(left)} of {len(seen)} runs to train, {steps:,} steps at most"
    printing.emit(args, {"runs": entries, "steps": steps}, shown, text)
    return 0


def _command(args: argparse.Namespace) -> list[str]:
    """The words of this call, for the record."""
    from cen.studies.spec import exact

    budgets = [exact(budget) for budget in args.budget]
    seeds = [str(args.seeds)] if args.seeds else []
    options = {"data": args.data, "budget": budgets, "only": args.only, "seeds": seeds}
    typed = ["study", args.study]
    for name, values in options.items():
        typed += [f"--{name}", *values] if values else []
    return typed + [f"--{key}={value}" for key, value in args.free.items()]
