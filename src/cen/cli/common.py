"""What several verbs share: the ``--json`` switch, tables, run folders and named configurations."""

import argparse
import contextlib
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table

from cen.config import MOVABLE, Config
from cen.errors import CenWarning, ConfigError, shown
from cen.files import path_problem, remove_unfinished
from cen.parsing import nearest


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declares ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print the figures as one JSON object and nothing else"
    )


def emit(args: argparse.Namespace, figures: Mapping[str, Any], *shown: RenderableType) -> None:
    """Prints figures as JSON where ``--json`` is given, else texts and tables."""
    if args.json:
        print(json.dumps(_finite(figures), indent=1))
        return
    # A file or a pipe has no width: nothing may be cut there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for item in shown:
        # Text goes on one line as it is, so that it can be copied; the terminal wraps it.
        console.print(item, markup=False, soft_wrap=isinstance(item, str))


def _finite(value: Any) -> Any:
    """Nested values with NaN and infinities, which JSON does not know, as null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def quiet_stdout(args: argparse.Namespace) -> Iterator[None]:
    """With ``--json``, sends what libraries print meanwhile to stderr."""
    if not args.json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """A table in the looks of those of :mod:`cen.report.tables`, as wide as the terminal at most.

    Where that is narrow words are folded, figures never; columns that find no room beside the
    first ones (at most two), which name the rows, follow in further tables.
    """
    return _Fitting(head, [tuple(row) for row in rows])


_WORD = 14
"""Characters to which a column of words is narrowed before columns go to a further table."""
_EXPONENT = re.compile(r"(?<=\d)e[+-]?\d+|\b(nan|inf)\b")


class _Fitting:
    def __init__(self, head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
        self.head, self.rows = head, rows
        self.columns = range(len(head))
        self.figures = [i for i in self.columns if i > 0 and all(map(_is_figure, self._cells(i)))]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or where it is too wide one for each part of its columns."""
        named = next((i for i in self.columns if i in self.figures), len(self.head))
        first = list(self.columns[: max(1, min(named, 2))])
        parts: list[list[int]] = [[]]
        for index in self.columns[len(first) :]:
            if parts[-1] and self._width([*first, *parts[-1], index]) > options.max_width:
                parts.append([])
            parts[-1].append(index)
        for part in parts:
            yield self._some([*first, *part])

    def _cells(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def _least(self, index: int) -> int:
        """Characters that a column takes at least."""
        word = min(_WORD, max(map(cell_len, self.head[index].split()), default=0))
        widest = max(map(cell_len, self._cells(index)), default=0)
        return max(word, widest if index in self.figures else min(_WORD, widest))

    def _width(self, columns: Sequence[int]) -> int:
        """Characters that a table takes at least: a space and a divider follow each column."""
        return sum(self._least(index) + 2 for index in columns) + 1

    def _some(self, columns: Sequence[int]) -> Table:
        made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for index in columns:
            least = self._least(index) if index in self.figures else None
            made.add_column(self.head[index], overflow="fold", min_width=least)
        for row in self.rows:
            made.add_row(*(row[index] for index in columns))
        return made


def _is_figure(cell: str) -> bool:
    return not any(map(str.isalpha, _EXPONENT.sub("", cell)))


def run_folder(run: Path) -> Path:
    """A folder that holds a run.

    Raises:
        ConfigError: There is none at the path.
    """
    if run.is_file():
        raise ConfigError(f"{run}: is a file, not the folder of a run that cen train has made")
    if not run.is_dir():
        raise ConfigError(f"{run}: no such run folder; cen train CONFIG --out {run} makes one")
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"{run}: holds no config.yaml, so it is no run folder of cen train")
    remove_unfinished(run)
    return run


def trained_run(run: Path) -> Path:
    """A run folder with a network in it; of a run that still trains, a warning says how far it is.

    Raises:
        ConfigError: There is no run, or it has saved no network yet.
    """
    run_folder(run)
    saved = any((run / name).is_file() for name in ("best.safetensors", "last.safetensors"))
    step = _training_step(run)
    if step is not None and saved:
        _warn_of_training(run, step, "what follows is of the network that it has saved last")
    if saved:
        return run
    if step is not None:
        raise ConfigError(
            f"{run}: is still training and has saved no network yet; wait for its first checkpoint "
            "(train.checkpoint_every, train.validate_every)"
        )
    raise ConfigError(
        f"{run}: holds no network, as the run ended before its first checkpoint; go on with: "
        f"cen train --resume {run}"
    )


def begun_run(run: Path) -> Path:
    """A run folder as far as it has got; of a run that still trains, a warning says how far it is.

    Raises:
        ConfigError: There is no run, or nothing of it but its configuration.
    """
    run_folder(run)
    if not any((run / name).exists() for name in _TRACES):
        raise ConfigError(
            f"{run}: holds a configuration and nothing of a run yet, so there is nothing to show; "
            f"train it with: cen train --resume {run}"
        )
    step = _training_step(run)
    if step is not None:
        _warn_of_training(run, step, "what follows shows it as far as it has got")
    return run


_TRACES = ("run.json", "metrics.csv", "exchange.json", "evaluation.json", "panels")


def _warn_of_training(run: Path, step: int, what: str) -> None:
    told = f"{run}: is still training (step {step}); {what}"
    warnings.warn(told, CenWarning, stacklevel=3)


def network_source(path: Path) -> Path:
    """A ``.safetensors`` file or the folder of a run, from which a network is loaded.

    Raises:
        ConfigError: It is neither.
    """
    if path.is_file():
        return path
    if path.suffix == ".safetensors":
        raise ConfigError(f"{path}: no such file")
    return trained_run(path)


def _training_step(run: Path) -> int | None:
    """The step that a run has reached which a process trains at present; None for others."""
    from filelock import FileLock, Timeout

    from cen.report.runfolder import read_run

    found, lock = read_run(run, panels=False), run / ".lock"
    if found.info.get("status") != "running" or not lock.is_file():
        return None
    try:
        # A run that was killed says so, too, but nobody holds its lock.
        with FileLock(lock, timeout=0):
            return None
    except Timeout:
        return found.last_step or 0
    except OSError:
        return None


def config_of(run: Path, overrides: Mapping[str, str]) -> Config:
    """The configuration of a run, moved to another place or machine.

    Raises:
        ConfigError: A key would change what the run computes.
    """
    for key in overrides:
        if key not in MOVABLE:
            raise ConfigError(
                f"--{key}: a run keeps what it was configured with, but for {', '.join(MOVABLE)}"
            )
    return Config.load(run / "config.yaml", overrides, of_run=True)


def shipped() -> dict[str, Any]:
    """The shipped configurations: name to a readable resource."""
    files = (resources.files("cen") / "configs").iterdir()
    return {
        f.name.removesuffix(".yaml"): f
        for f in sorted(files, key=lambda f: f.name)
        if f.name.endswith(".yaml")
    }


def shipped_one(name: str) -> Any:
    """One shipped configuration.

    Raises:
        ConfigError: There is none of that name.
    """
    known = shipped()
    if name not in known:
        raise ConfigError(f"{name}: no file and no shipped configuration{nearest(name, known)}")
    return known[name]


def load_config(name: str, overrides: Mapping[str, str]) -> Config:
    """Loads a configuration file, or a shipped one by name, with overrides."""
    if Path(name).is_dir():
        raise ConfigError(
            f"{name}: is a folder; give a YAML file, or a name that cen configs ls prints"
        )
    if Path(name).is_file():
        return Config.load(name, overrides)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        raise ConfigError(f"{name}: no such file; cen configs cp NAME {name} makes one")
    with resources.as_file(shipped_one(name)) as path:
        return Config.load(path, overrides)


def need_data(config: Config) -> None:
    """Refuses a configuration whose data folder is not there, saying how to make it.

    Raises:
        ConfigError: ``data.root`` is no folder.
    """
    root = Path(config.data.root)
    # A container is a file, Rooms rendered while it is read needs neither, and what is elsewhere
    # is for its reader to find.
    if "://" in config.data.root or config.data.layout == "rooms":
        return
    if problem := path_problem(config.data.root):
        raise ConfigError(f"data.root {shown(config.data.root)}: {problem}")
    if not root.exists():
        raise ConfigError(
            f"data.root: there is no folder {root}; give --data.root FOLDER of your data, "
            f"or make one with: cen data rooms {root}"
        )


def is_helper_process() -> bool:
    """Whether this process was started by Lightning for a further device: it prints nothing."""
    return os.environ.get("LOCAL_RANK", "0") != "0"
