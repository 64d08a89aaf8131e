"""The tables of a study as plain rows of text: Markdown, the terminal and the page show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cen.studies.columns import Column
from cen.studies.grid import Row, rows_of
from cen.studies.intervals import Difference, paired_difference, summarise
from cen.studies.results import Record, by_seed
from cen.studies.spec import Comparison, Study

NONE = "–"
_MACS = " MACs: multiply-adds of a sample's forward pass; for “training”, times the samples seen."


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: What stands above it.
        head: Heads of the columns.
        rows: Cells as text.
        note: What a reader needs to know, below it; empty: nothing.
        published: Whether the figures are other people's.
        words: Indices of the columns that hold words; the others hold numbers.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    published: bool = False
    words: Sequence[int] = (0,)

    def markdown(self) -> str:
        """The table as Markdown."""
        align = ["---" if i in self.words else "---:" for i in range(len(self.head))]
        lines = ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in self.rows]
        parts = [f"### {self.title}", ""]
        parts += ["| " + " | ".join(map(_escape, self.head)) + " |", "|" + "|".join(align) + "|"]
        return "\n".join([*parts, *lines, *(["", self.note] if self.note else []), ""])


def score_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Mean ± standard deviation over seeds: a table per data set and budget."""
    columns = [study.column(text) for text in study.columns]
    tables = []
    for data, budget in _places(records):
        here = [r for r in records if (r.run.data, r.run.budget) == (data, budget)]
        rows = []
        for row, mine in grouped(study, here):
            cells = [mean_cell(mine, column) for column in columns]
            rows.append([row.label, str(len(mine)), *cells])
        percents = " (percent)" if any(column.share for column in columns) else ""
        facts = {column.prediction for column in columns if column.score is None}
        macs = _MACS if facts & {"macs", "compute"} else ""
        tables.append(
            Table(
                f"{_data_label(study, data)}, {budget:g}× steps",
                ["row", "seeds", *(column.head for column in columns)],
                rows,
                f"Mean ± sample standard deviation over seeds{percents}, test split.{macs}",
            )
        )
    return tables


def comparison_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Paired differences over seeds with 95 % intervals: a table per comparison."""
    return [table for compare in study.compare for table in _compared(study, compare, records)]


def published_table(study: Study) -> Table | None:
    """The figures of others, with their sources; None where the study names none."""
    if not study.published:
        return None
    names = list(dict.fromkeys(name for entry in study.published for name in entry.values))
    rows = [
        [
            entry.label,
            entry.data,
            *(str(entry.values[name]) if name in entry.values else NONE for name in names),
            entry.source,
        ]
        for entry in study.published
    ]
    return Table(
        "Published figures",
        ["method", "data", *names, "source"],
        rows,
        "Printed by others, who chose and evaluated in other ways, most on other data and with "
        "other networks: to be set beside the order of the rows above, not beside their values.",
        published=True,
        words=(0, 1, len(names) + 2),
    )


def run_table(study: Study, records: Sequence[Record]) -> Table:
    """Every run with its first columns, for the record."""
    columns = [study.column(text) for text in study.columns]
    rows = []
    for entry in records:
        values = [entry.value(column) for column in columns]
        cells = [NONE if v is None else c.format(v) for v, c in zip(values, columns, strict=True)]
        facts, run = entry.facts, entry.run
        seconds = NONE if facts["seconds"] is None else f"{facts['seconds']:.0f}"
        start = [run.row.label, run.data, f"{run.budget:g}×", str(run.seed), *cells]
        rows.append([*start, seconds, short_code(facts["git"]), run.hash])
    head = ["row", "data", "steps", "seed", *(column.head for column in columns)]
    return Table(
        "Every run",
        [*head, "training s", "code", "run"],
        rows,
        "“code” is the revision of the program; + marks a working copy with changes.",
        words=(0, 1, len(head) + 1, len(head) + 2),
    )


def short_code(revision: str | None) -> str:
    """A revision as tables show it; + marks a working copy with changes."""
    number, _, changed = str(revision or NONE).partition(" ")
    return number[:9] + ("+" if changed else "")


def grouped(study: Study, records: Sequence[Record]) -> list[tuple[Row, list[Record]]]:
    """Records by row, in the order of the study; rows without records are left out."""
    found: dict[str, list[Record]] = {}
    for entry in records:
        found.setdefault(entry.run.row.name, []).append(entry)
    named = [found[row.name] for row in rows_of(study) if row.name in found]
    return [(mine[0].run.row, mine) for mine in named]  # as the call has named it


def mean_cell(records: Sequence[Record], column: Column) -> str:
    """``84.8 ± 0.8``, or ``84.8`` of one value, or a dash."""
    found = summarise(list(by_seed(records, column).values()))
    if found is None:
        return NONE
    constant = column.score is None and column.prediction not in ("exchange_rate", "seconds")
    if found.std is None or (constant and found.std == 0):
        return column.format(found.mean)
    return f"{column.format(found.mean)} ± {column.format(found.std)}"


def difference_cells(difference: Difference, column: Column) -> list[str]:
    """Mean, interval and number of seeds of a difference, shares in points."""
    factor = 100 if column.share else 1

    def signed(value: float | None) -> str:
        if value is None:
            return NONE
        return f"{factor * value:+.1f}" if column.share else f"{value:+.4g}"

    interval = NONE
    if difference.low is not None:
        interval = f"{signed(difference.low)} … {signed(difference.high)}"
    return [signed(difference.mean), interval, str(difference.n)]


def verdict(difference: Difference, column: Column) -> str:
    """Which of the two is better, where the interval leaves out 0; “equal” if no seed differs."""
    if difference.low == difference.high == 0:
        return "equal"
    if not difference.clear:
        return "not clear"
    return "better" if (difference.mean > 0) == column.higher_is_better else "worse"


def _compared(study: Study, compare: Comparison, records: Sequence[Record]) -> list[Table]:
    """One table per data set: other rows down, budgets across."""
    column = study.column(compare.column)
    against = study.column(compare.against or compare.column)
    tables = []
    for data in dict.fromkeys(record.run.data for record in records):
        here = [record for record in records if record.run.data == data]
        budgets = sorted({record.run.budget for record in here})
        wanted = set(compare.rows) if compare.rows is not None else None
        rows: list[list[str]] = []
        groups = grouped(study, here)
        for row, mine in groups:
            if row.name == compare.reference or not (wanted is None or _is_in(row, wanted)):
                continue
            for budget in budgets:
                left = _values(here, compare.reference, budget, column)
                right = by_seed([r for r in mine if r.run.budget == budget], against)
                difference = paired_difference(left, right)
                if difference is not None:
                    cells = difference_cells(difference, column)
                    cells.append(verdict(difference, column))
                    rows.append([row.label, f"{budget:g}×", *cells])
        if rows:
            reference = next(row.label for row, _ in groups if row.name == compare.reference)
            other = "" if compare.against is None else f", against {against.head} of the row"
            unit = "points" if column.share else "its unit"
            tables.append(
                Table(
                    f"{_data_label(study, data)}: {column.head} of {reference} minus the row's"
                    f"{other}",
                    ["row", "steps", "difference", "95 % interval", "seeds", "reference is"],
                    rows,
                    f"Paired over seeds, in {unit}; Student's t interval of the mean difference. "
                    f"{'More' if column.higher_is_better else 'Less'} is better for the reference; "
                    "“not clear” where the interval holds 0.",
                    words=(0, 5),
                )
            )
    return tables


def _values(records: Sequence[Record], row: str, budget: float, column: Column) -> dict[int, float]:
    return by_seed([r for r in records if r.run.row.name == row and r.run.budget == budget], column)


def _is_in(row: Row, names: set[str]) -> bool:
    return row.name in names or (row.sweep is not None and row.sweep[0] in names)


def _places(records: Sequence[Record]) -> list[tuple[str, float]]:
    data = list(dict.fromkeys(record.run.data for record in records))
    found = {(record.run.data, record.run.budget) for record in records}
    return sorted(found, key=lambda place: (data.index(place[0]), place[1]))


def _data_label(study: Study, name: str) -> str:
    variant = study.data.get(name)
    return (variant.label if variant else None) or name


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
