"""Works through parts of studies on one lent GPU for a limited time, and packs what is finished.

`cen study` starts a process per command, and each imports everything anew: with runs of a minute,
that is a third of the time. Here one process imports and forks, so that many small trainings share
a GPU at once. Each run executes the same two commands as in `cen study`, in the same folders: what
is finished here is finished there.

    python experiments/warm_study.py --out studies --jobs 18 --seconds 540 --pack runs.tar.xz \
        --part "fusion --data functions --budget 1" --part "ablation --seeds 1"
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
import traceback
from pathlib import Path

from study_archive import pack

from cen.cli.sources import load_config
from cen.studies.calling import Call
from cen.studies.grid import Choice, Root, Run
from cen.studies.results import note_figures
from cen.studies.run_store import Store
from cen.studies.spec import Study, find_study

Item = tuple[Store, Run, Root]
"""A run, the store that it lies in, and the folder of its data."""


def main() -> None:
    """Runs the parts in their order; runs with many steps go first within a part."""
    args = _arguments()
    end = time.monotonic() + args.seconds
    _import_all()
    work = {item[1].hash: item for part in args.part for item in _runs(args.out, part)}
    queue = [item for item in work.values() if item[0].needs_work(item[1])]
    print(f"{len(queue)} runs to do, {sum(r.config.train.max_steps for _, r, _ in queue)} steps")
    try:
        _work_off(queue, args.jobs, end)
    finally:
        if args.pack:
            print(f"{pack(args.out, args.pack)} runs packed")


def _work_off(queue: list[Item], jobs: int, end: float) -> None:
    """Runs ``queue`` until it is empty or the time has come; what is not finished is cut off."""
    begin = time.monotonic()
    children: dict[int, Item] = {}
    steps = 0
    try:
        while (queue or children) and time.monotonic() < end:
            while queue and len(children) < jobs:
                item = queue.pop(0)
                children[_fork(*item)] = item
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.05)
                continue
            run = children.pop(pid)[1]
            good = os.waitstatus_to_exitcode(status) == 0
            steps += run.config.train.max_steps * good
            seconds = time.monotonic() - begin
            word = "done" if good else "FAILED"
            print(f"{seconds:5.0f} s  {word}  {run.title}  ({steps / seconds:.0f} steps/s)")
            sys.stdout.flush()
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        cut = sum(store.step(run) for store, run, _ in children.values())
        print(f"{steps} steps finished, {len(queue)} runs left, {len(children)} cut off with {cut}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of studies")
    parser.add_argument("--part", action="append", required=True, metavar="'STUDY OPTIONS'")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--pack", type=Path, help="archive of the finished runs, without weights")
    return parser.parse_args()


def _import_all() -> None:
    import cen.models.costs
    import cen.training
    import cen.training.evaluation  # noqa: F401


def _runs(out: Path, part: str) -> list[Item]:
    """What of a study a part asks for, in the words of `cen study`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study")
    parser.add_argument("--data", nargs="+", default=[])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--budget", nargs="+", type=float, default=[])
    parser.add_argument("--seeds", type=int)
    asked = parser.parse_args(shlex.split(part))
    name, file = find_study(asked.study)
    choice = Choice({}, asked.only, tuple(asked.budget), asked.seeds)
    call = Call(name, Study.load(file), choice, asked.data, out, load_config)
    for command in call.prepare():
        print(command, flush=True)
    runs = sorted(call.runs(), key=lambda run: -run.config.train.max_steps)
    return [(call.store, run, call.roots[run.data]) for run in runs]


def _fork(store: Store, run: Run, root: Root) -> int:
    """Starts a process that brings one run to its end; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = _complete(store, run, root)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _complete(store: Store, run: Run, root: Root) -> int:
    from cen.cli import main as cen

    log = store.log(run)
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    while (words := store.command(run)) is not None:
        begin = time.monotonic()
        sys.argv = ["cen", *words]  # what run.json tells
        code = cen(words)
        store.note(run, words[0], time.monotonic() - begin, 1)
        if code:
            return code
    note_figures(store.folder(run), root)
    return 0


if __name__ == "__main__":
    main()
