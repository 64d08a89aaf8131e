"""Tables for the terminal that are as wide as it is at most."""

import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

_WORD = 10
"""Characters to which a column of words is narrowed before columns go to a further table."""
_EXPONENT = re.compile(r"(?<=\d)e[+-]?\d+|\b(nan|inf)\b")


class FittedTable:
    """A table that fits the width at hand.

    Where that is narrow words are folded, figures never; columns that find no room beside the
    first ones, which name the rows, follow in further tables.

    Args:
        head: Heads of the columns.
        rows: Cells of every row.
        names: How many columns name the rows; None: those of words at the front, at most two.
        groups: Rows whose first cells, so many, are the same stand together, named once; 0: none.
        styles: Style of every row, such as ``bold``.
        title: What stands above.
        caption: What stands below.
    """

    def __init__(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        names: int | None = None,
        groups: int = 0,
        styles: Sequence[str] = (),
        title: str = "",
        caption: str = "",
    ) -> None:
        self.head, self.rows, self.groups = head, rows, groups
        self.styles = styles or [""] * len(rows)
        self.title, self.caption = title, caption
        columns = range(len(head))
        self.figures = [i for i in columns if i > 0 and all(map(_is_figure, self._cells(i)))]
        words = next((i for i in columns if i in self.figures), len(head))
        self.names = list(columns[: max(1, min(words, 2)) if names is None else names])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or where it is too wide one for each part of its columns."""
        parts: list[list[int]] = [[]]
        for index in range(len(self.names), len(self.head)):
            if parts[-1] and self._width([*self.names, *parts[-1], index]) > options.max_width:
                parts.append([])
            parts[-1].append(index)
        for number, part in enumerate(parts):
            table = self._table([*self.names, *part])
            table.title = None if number else self.title or None
            table.caption = (self.caption or None) if number == len(parts) - 1 else None
            yield table

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

    def _table(self, columns: Sequence[int]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            title_justify="left",
            caption_justify="left",
        )
        for index in columns:
            figures = index in self.figures
            table.add_column(
                self.head[index],
                justify="right" if figures else "left",
                overflow="fold",
                min_width=self._least(index) if figures else None,
            )
        group: tuple[str, ...] | None = None
        for row, style in zip(self.rows, self.styles, strict=True):
            cells = [row[index] for index in columns]
            if self.groups:
                place = tuple(row[: self.groups])
                if place == group:
                    cells[0] = ""
                elif group is not None:
                    table.add_section()
                group = place
            table.add_row(*cells, style=style)
        return table


def _is_figure(cell: str) -> bool:
    return not any(map(str.isalpha, _EXPONENT.sub("", cell)))
