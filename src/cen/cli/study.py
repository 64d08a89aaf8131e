"""Run a study: a table of rows trained alike, with seeds, intervals and a page of results.

Runs that are there already, of this study or of another in the same folder, are not made again;
interrupted ones go on. Without a name, the shipped studies are listed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError, TrainingError
from cen.files import write_text

if TYPE_CHECKING:
    from cen.studies import Choice, Outcome, Run, Store, Study


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
    parser.add_argument(
        "--data",
        metavar="DATA",
        nargs="+",
        default=[],
        help="data sets of the study by name, or LAYOUT:ROOT for other data; default: all",
    )
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=words.whole(1, 10_000),
        help="seeds per row; default: what the study says",
    )
    parser.add_argument(
        "--budget",
        metavar="F",
        type=words.factor(1e-6, 1e6),
        nargs="+",
        default=[],
        help="factors on the steps; default: what the study says",
    )
    parser.add_argument(
        "--only", metavar="ROW", nargs="+", default=[], help="rows or sweeps to run; default: all"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=words.whole(1, 10_000),
        help="runs at a time; default: one per GPU, else per core",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=words.path,
        default=Path("studies"),
        help="folder of studies; runs in it are shared by all of them; default: studies",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and stop")
    parser.add_argument(
        "--table", action="store_true", help="print the tables of what is there; train nothing"
    )
    parser.add_argument(
        "--copy",
        metavar="FILE",
        type=words.path,
        help="copy the study file, to make an own one of it, and stop",
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs what is missing, and prints and writes the tables."""
    from cen.studies import shipped
    from cen.studies.spec import find_study

    if args.study is None:
        texts = {name: file.read_text("utf-8") for name, file in shipped().items()}
        summaries = {name: _summary(text) for name, text in texts.items()}
        shown = printing.table(("name", "what it asks"), summaries.items())
        printing.emit(args, {"studies": summaries}, shown)
        return 0
    name, file = find_study(args.study)
    if args.copy:
        return _copy(file, args.copy)
    _check(args)
    return _run(args, name, file)


def _copy(file: Path, target: Path) -> int:
    words.out_file("--copy", target)
    if target.exists():
        raise ConfigError(f"{target}: exists; give another name")
    write_text(target, file.read_text("utf-8"), ConfigError)
    print(f"{target}: edit it, then run cen study {target}")
    return 0


def _run(args: argparse.Namespace, name: str, file: Path) -> int:
    from cen.studies import (
        Choice,
        Store,
        Study,
        choose_data,
        evaluation_options,
        expand,
        make_missing,
        output_folder,
        roots_of,
        usable_cores,
    )

    out, overrides = args.out, dict(args.free)
    whole = Study.load(file)
    study = choose_data(whole, args.data, overrides.pop("data.root", None))
    only = [row.strip() for text in args.only for row in text.split(",")]
    choice = Choice(overrides, only, tuple(args.budget), args.seeds)
    default = sources.load_config(study.config, overrides).data.root
    roots = roots_of(study, out, default)
    trains = not (args.dry_run or args.table)
    store = Store(out, evaluation_options(study))
    if trains:
        made = {name for name, variant in study.data.items() if variant.make}
        _refuse(store, expand(study, choice, roots, sources.load_config, made))
        for command in make_missing(study, roots, usable_cores(), os.environ):
            print(command, file=sys.stderr)
    runs = expand(study, choice, roots, sources.load_config, may_miss=not trains)
    if args.dry_run:
        return _plan(args, store, runs)
    folder = output_folder(out, name, whole, study, choice)
    # Tables show the whole study, whatever part of it this call is about.
    shown = whole if set(study.data) <= set(whole.data) else study
    outcomes: list[Outcome] = []
    try:
        if trains:
            outcomes = _train(args, store, runs)
    finally:
        if trains:
            _count(store, runs, roots)
        known = _known(shown, choice, store, folder, roots_of(shown, out, default), runs)
        _write(args, folder, shown, store, known, choice)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        lines = [f"{o.run.title}: {o.message} (log: {o.log})" for o in failed]
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} runs failed"
            + ("; the others are done" if len(failed) < len(outcomes) else "")
            + ". The same command tries them again.\n  "
            + "\n  ".join(lines)
        )
    return 0


def _refuse(store: Store, runs: Sequence[Run]) -> None:
    """Refuses what no run could do, before data are rendered or a process is started.

    Raises:
        ConfigError: A batch cannot be dealt out to the devices, or these are not there.
    """
    from cen.studies import needs_work

    asked: set[tuple[str, int]] = set()
    for run in runs:
        how = run.config.train
        if needs_work(store, run):
            how.check_devices()
            asked.add((how.accelerator, how.devices))
    # The import takes seconds, which the usual study need not wait for.
    for accelerator, devices in sorted(asked):
        if accelerator == "gpu" or devices > 1:
            from cen.training.machine import check_machine

            check_machine(accelerator, devices)


def _train(args: argparse.Namespace, store: Store, runs: Sequence[Run]) -> list[Outcome]:
    from rich.console import Console

    from cen.studies import (
        Board,
        Scheduler,
        chosen_threads,
        make_slots,
        needs_work,
        usable_cores,
        visible_gpus,
    )

    unique = list({run.hash: run for run in runs}.values())
    left = [run for run in unique if needs_work(store, run)]
    on_cpu = all(run.config.train.accelerator == "cpu" for run in left)
    gpus = [] if on_cpu else visible_gpus(os.environ)
    slots = make_slots(args.jobs, len(left), usable_cores(), gpus, chosen_threads(os.environ))
    with Board(store, unique, len(slots), Console(stderr=True)) as board:
        return Scheduler(store, unique, slots, board.end, board.look).run()


def _count(store: Store, runs: Sequence[Run], roots: dict[str, Path]) -> None:
    """Counts parameters and multiply-adds of the runs that are done, once for each."""
    from cen.studies import collect, note_figures

    for entry in collect(store, runs):
        try:
            note_figures(entry.folder, roots[entry.run.data])
        except Exception as error:  # hours of runs are not lost for a figure beside them
            print(f"cen: warning: {entry.run.title}: costs unknown, {error}", file=sys.stderr)


def _known(
    study: Study,
    choice: Choice,
    store: Store,
    folder: Path,
    roots: dict[str, Path],
    runs: Sequence[Run],
) -> list[Run]:
    """The runs that tables speak of: of the study file, of this call, and made by earlier calls."""
    from cen.studies import everything, in_grid, needs_work
    from cen.studies.run_store import read_json

    earlier = read_json(folder / "study.json").get("asked", {})
    asked = {run.hash for run in runs}
    return [
        run
        for run in everything(study, choice, roots, sources.load_config, earlier)
        if run.hash in asked or in_grid(study, run) or not needs_work(store, run)
    ]


def _write(
    args: argparse.Namespace,
    folder: Path,
    study: Study,
    store: Store,
    runs: Sequence[Run],
    choice: Choice,
) -> None:
    from rich.text import Text

    from cen.studies import all_tables, collect, write_outputs

    records = collect(store, runs)
    command = [] if args.table else _command(args)
    count = len({run.hash for run in runs})
    files = write_outputs(folder, study, records, count, command, choice)
    tables = all_tables(study, records)
    if args.json:
        printing.emit(
            args,
            {
                "runs": count,
                "finished": len({record.run.hash for record in records}),
                "files": {key: str(path) for key, path in files.items()},
                "tables": [{"title": t.title, "head": t.head, "rows": t.rows} for t in tables],
            },
        )
    elif sys.stdout.isatty():
        # Markdown is for files and pipes; its lines are longer than a terminal's.
        for made in tables:
            shown = printing.table(made.head, made.rows)
            printing.emit(args, {}, Text(made.title), shown, Text(made.note))
        print(f"page: {files['page']}\nfigures: {files['csv']}")
    elif args.table:
        print(files["tables"].read_text("utf-8"), end="")
    else:
        for table in tables:
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


def _check(args: argparse.Namespace) -> None:
    words.out_folder("--out", args.out)
    if args.table and args.dry_run:
        raise ConfigError("--table and --dry-run each print something else; give one of them")
    if "seed" in args.free:
        raise ConfigError("--seed: a study runs seeds 0, 1, …; say how many with --seeds N")


def _command(args: argparse.Namespace) -> list[str]:
    """The words of this call, for the record."""
    words = ["study", args.study]
    for name in ("data", "budget", "only"):
        values = getattr(args, name)
        words += (
            [f"--{name}", *(f"{v:g}" if name == "budget" else v for v in values)] if values else []
        )
    words += ["--seeds", str(args.seeds)] if args.seeds else []
    return words + [f"--{key}={value}" for key, value in args.free.items()]


def _summary(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ").rstrip(".")
