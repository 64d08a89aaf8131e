"""What commands print: the ``--json`` switch, texts, and tables as wide as the terminal."""

import argparse
import contextlib
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from cen.errors import CenWarning
from cen.report.fitted_table import FittedTable


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
    """A table as wide as the terminal at most."""
    return FittedTable(head, [tuple(row) for row in rows])


@contextlib.contextmanager
def progress(*parts: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr, where that is a terminal; called with a part, what is done, all."""
    from rich.progress import MofNCompleteColumn, Progress

    console, columns = Console(stderr=True), Progress.get_default_columns()
    off = not console.is_terminal
    with Progress(
        *columns, MofNCompleteColumn(), console=console, transient=True, disable=off
    ) as bars:
        tasks = {part: bars.add_task(part, total=None) for part in parts}
        yield lambda part, done, total: bars.update(tasks[part], completed=done, total=total)


@contextlib.contextmanager
def telling_replaced(out: Path, what: str) -> Iterator[None]:
    """Warns of files of a folder, which held ``what``, that were written anew meanwhile."""

    def files() -> dict[str, tuple[int, int]]:
        states = {file.name: file.stat() for file in out.glob("*") if file.is_file()}
        return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}

    before = files()
    yield
    replaced = [name for name, state in files().items() if before.get(name, state) != state]
    if replaced:
        warnings.warn(
            f"--out {out}: held {what}, of which {', '.join(sorted(replaced))} were replaced",
            CenWarning,
            stacklevel=1,
        )
