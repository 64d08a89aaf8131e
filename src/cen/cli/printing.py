"""What commands print: the ``--json`` switch, texts, and tables as wide as the terminal."""

import argparse
import contextlib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table


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
