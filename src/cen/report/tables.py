"""Tables for the terminal; each has a twin that gives plain dicts for ``--json``."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cen.report.summary import (
    HasDict,
    by_columns,
    evaluation_dict,
    images_text,
    inspection_dict,
    is_alone,
    score_columns,
    score_head,
    single_text,
)
from cen.scores import format_score

__all__ = ["evaluation_dict", "evaluation_table", "inspection_dict", "inspection_table"]


def evaluation_table(evaluation: Mapping[str, Any]) -> Table | Group:
    """Scores of every stream, the ensemble and every subset of the modalities, shares in percent.

    Args:
        evaluation: what evaluation.json holds; :func:`evaluation_dict` gives the same rows.

    Returns:
        A table; for outputs of several kinds, whose scores differ, one for each kind.
    """
    plain = evaluation_dict(evaluation)
    groups = by_columns(plain["rows"])
    said = [text for text in (single_text(plain), images_text(plain)) if text]
    if len(groups) <= 1 and not said:
        return _scores(plain["rows"], f"Scores on the {plain['split']} split, %", units=False)
    title = f"Scores on the {plain['split']} split"
    tables = [_scores(rows, title if not k else None, units=True) for k, rows in enumerate(groups)]
    return Group(*tables, *said)


def _scores(rows: list[dict[str, Any]], title: str | None, units: bool) -> Table:
    """One table of scores."""
    several, columns = len({row["output"] for row in rows}) > 1 or units, score_columns(rows)
    table = _table(title)
    for head in ["inputs", *(["output"] if several else []), "prediction"]:
        table.add_column(head, no_wrap=True)
    for head in ["α", *(score_head(name, units) for name in columns)]:
        table.add_column(head, justify="right", no_wrap=True)
    before = None
    for row in rows:
        group = (row["inputs"], row["output"])
        if group != before and before is not None:
            table.add_section()
        inputs = " + ".join(row["inputs"]) if group != before else ""
        before = group
        if is_alone(row, rows):
            continue
        alpha = "" if row["alpha"] is None else f"{row['alpha']:.2f}"
        cells = [inputs, *([row["output"]] if several else []), row["prediction"], alpha]
        cells += [format_score(name, row.get(name)) for name in columns]
        table.add_row(*cells, style="bold" if row["prediction"] == "ensemble" else None)
    return table


def inspection_table(inspection: Mapping[str, Any] | HasDict) -> Table:
    """Exchange rate and quantiles of |γ| per layer and stream; α and the overall rate below.

    Args:
        inspection: of :func:`cen.inspect`, or its ``to_dict()``; :func:`inspection_dict` gives
            the same rows.
    """
    plain = inspection_dict(inspection)
    table = _table("Exchange by layer and stream")
    table.add_column("layer", no_wrap=True)
    table.add_column("stream", no_wrap=True)
    for head in ("channels", "own", "replaced", "rate"):
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("|γ| min", "25 %", "50 %", "75 %", "max"):
        table.add_column(head, justify="right", no_wrap=True)
    before = None
    for layer in plain["layers"]:
        if before not in (None, layer["name"]):
            table.add_section()
        table.add_row(
            layer["name"] if layer["name"] != before else "",
            layer["stream"],
            *(str(layer[key]) for key in ("channels", "own", "replaced")),
            Text(f"{layer['rate']:.0%}", style="bold" if layer["replaced"] else "dim"),
            *(f"{value:.3f}" for value in layer["quantiles"]),
        )
        before = layer["name"]
    table.caption = "\n".join(_caption(plain))
    return table


def _caption(plain: Mapping[str, Any]) -> list[str]:
    lines = []
    if not plain["layers"]:
        lines.append("No layer exchanges channels: one stream, or exchange is off.")
    elif plain["rate"] is not None:
        lines.append(f"Of all own channels, {plain['rate']:.1%} are replaced.")
    for output, weights in plain["alpha"].items():
        parts = ", ".join(f"{stream} {weight:.2f}" for stream, weight in weights.items())
        lines.append(f"α of {output}: {parts}")
    return lines


def _table(title: str | None) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
