"""The tables of a study as plain rows of text: Markdown, the terminal and the page show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cen.studies.columns import Column
from cen.studies.grid import Row, rows_of
from cen.studies.intervals import Summary, paired_difference, summarise
from cen.studies.results import Record, by_place, by_seed
from cen.studies.spec import Comparison, Study

NONE = "–"
_MACS = (
    " MACs: multiply-adds of a sample's forward pass; for “folded”, what cen.fold leaves of them;"
    " for “training”, times the samples seen."
)

_SOME = " In brackets: how many of the seeds have a figure, where not all have one."


@dataclass(frozen=True)
class Table:
    """One table as texts; ``words`` are the columns that hold no numbers, ``note`` goes below."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: Sequence[int] = (0,)

    def markdown(self) -> str:
        """The table as Markdown."""
        align = ["---" if i in self.words else "---:" for i in range(len(self.head))]
        head, *rows = (
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
            for cells in (self.head, *self.rows)
        )
        lines = [f"### {self.title}", "", head, "|" + "|".join(align) + "|", *rows]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])


def all_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Every table of a study in the order in which it is printed."""
    tables = [*score_tables(study, records), *comparison_tables(study, records)]
    return [*tables, published_table(study)] if study.published else tables


def score_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Mean ± standard deviation over seeds: a table per data set and budget."""
    columns = [study.column(text) for text in study.columns]
    percents = " (percent)" if any(column.share for column in columns) else ""
    facts = {column.prediction for column in columns if column.score is None}
    macs = _MACS if facts & {"macs", "folded_macs", "compute"} else ""
    head = ["row", "seeds", *(column.head for column in columns)]
    note = f"Mean ± sample standard deviation over seeds{percents}, test split.{macs}"
    tables = []
    for data, budget, here in by_place(records):
        rows = [
            [row.label, str(len(mine)), *(_mean(mine, column) for column in columns)]
            for row, mine in grouped(study, here)
        ]
        # `_mean` ends so where not all runs have a figure.
        some = _SOME if any(cell.endswith(")") for row in rows for cell in row[2:]) else ""
        place = f"{data_label(study, data)}, {budget:g}× steps"
        tables.append(Table(place, head, rows, note + some))
    return tables


def comparison_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Paired differences over seeds with 95 % intervals: a table per comparison and data set."""
    tables = []
    for compare in study.compare:
        for data in dict.fromkeys(record.run.data for record in records):
            here = [record for record in records if record.run.data == data]
            if rows := list(_differences(study, compare, here)):
                tables.append(_comparison_table(study, compare, here, rows))
    return tables


def published_table(study: Study) -> Table:
    """The figures of others, with their sources."""
    names = list(dict.fromkeys(name for entry in study.published for name in entry.values))
    rows = []
    for entry in study.published:
        values = [str(entry.values.get(name, NONE)) for name in names]
        rows.append([entry.label, entry.data, *values, entry.source])
    return Table(
        "Published figures",
        ["method", "data", *names, "source"],
        rows,
        "Printed by others, who chose and evaluated in other ways, most on other data and with "
        "other networks: to be set beside the order of the rows above, not beside their values.",
        words=(0, 1, len(names) + 2),
    )


def run_table(study: Study, records: Sequence[Record]) -> Table:
    """Every run with its first columns, for the record."""
    columns = [study.column(text) for text in study.columns]
    rows = []
    for record in records:
        run, seconds = record.run, record.facts["seconds"]
        rows.append(
            [
                *(run.row.label, run.data, f"{run.budget:g}×", str(run.seed)),
                *(_cell(record.value(column), column) for column in columns),
                NONE if seconds is None else f"{seconds:.0f}",
                *(short_code(record.facts["git"]), run.hash),
            ]
        )
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
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.run.row.name, []).append(record)
    ordered = [groups[row.name] for row in rows_of(study) if row.name in groups]
    return [(mine[0].run.row, mine) for mine in ordered]  # as the call has named it


def _mean(records: Sequence[Record], column: Column) -> str:
    """``84.8 ± 0.8``, or ``84.8`` of one value, or a dash; ``(2)`` where not all runs have it."""
    summary = summarise(list(by_seed(records, column).values()))
    if summary is None:
        return NONE
    constant = column.score is None and column.prediction not in ("exchange_rate", "seconds")
    text = column.format(summary.mean)
    if summary.std is not None and not (constant and summary.std == 0):
        text += f" ± {column.format(summary.std)}"
    return text if summary.n == len(records) else f"{text} ({summary.n})"


def _cell(value: float | None, column: Column) -> str:
    return NONE if value is None else column.format(value)


def verdict(difference: Summary, column: Column) -> str:
    """Which of the two is better, where the interval leaves out 0; “equal” if no seed differs."""
    if difference.low == difference.high == 0:
        return "equal"
    if not difference.clear:
        return "not clear"
    return "better" if (difference.mean > 0) == column.higher_is_better else "worse"


def _differences(
    study: Study, compare: Comparison, records: Sequence[Record]
) -> Iterator[list[str]]:
    """The rows of a comparison on one data set: other rows down, budgets within."""
    column = study.column(compare.column)
    against = study.column(compare.against or compare.column)
    reference = [record for record in records if record.run.row.name == compare.reference]
    for row, mine in grouped(study, records):
        names = {row.name, *(row.sweep or ())[:1]}
        if row.name == compare.reference or not (compare.rows is None or names & set(compare.rows)):
            continue
        for budget in sorted({record.run.budget for record in records}):
            left = by_seed([r for r in reference if r.run.budget == budget], column)
            right = by_seed([r for r in mine if r.run.budget == budget], against)
            difference = paired_difference(left, right)
            if difference is not None:
                label = [row.label, f"{budget:g}×"]
                yield [*label, *_difference_cells(difference, column), verdict(difference, column)]


def _difference_cells(difference: Summary, column: Column) -> list[str]:
    """Mean, interval and number of seeds of a difference, shares in points."""

    def signed(value: float) -> str:
        return f"{100 * value:+.1f}" if column.share else f"{value:+.4g}"

    interval = NONE
    if difference.low is not None and difference.high is not None:
        interval = f"{signed(difference.low)} … {signed(difference.high)}"
    return [signed(difference.mean), interval, str(difference.n)]


def _comparison_table(
    study: Study, compare: Comparison, records: Sequence[Record], rows: list[list[str]]
) -> Table:
    column = study.column(compare.column)
    reference = next(r.run.row.label for r in records if r.run.row.name == compare.reference)
    other = f", against {study.column(compare.against).head} of the row" if compare.against else ""
    unit = "points" if column.share else "its unit"
    title = f"{column.head} of {reference} minus the row's{other}"
    return Table(
        f"{data_label(study, records[0].run.data)}: {title}",
        ["row", "steps", "difference", "95 % interval", "seeds", "reference is"],
        rows,
        f"Paired over seeds, in {unit}; Student's t interval of the mean difference. "
        f"{'More' if column.higher_is_better else 'Less'} is better for the reference; "
        "“not clear” where the interval holds 0.",
        words=(0, 5),
    )


def data_label(study: Study, name: str) -> str:
    """What a data set is called: its label, where the study gives it one."""
    variant = study.data.get(name)
    return (variant.label if variant else None) or name
