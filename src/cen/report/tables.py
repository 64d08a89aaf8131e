"""Tables for the terminal; each has a twin that gives plain dicts for ``--json``."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from cen.report.summary import (
    NAMES,
    HasDict,
    evaluation_dict,
    inspection_dict,
    percent,
    score_columns,
)

__all__ = ["evaluation_dict", "evaluation_table", "inspection_dict", "inspection_table"]


def evaluation_table(evaluation: Mapping[str, Any]) -> Table:
    """Scores of every stream, the ensemble and every subset of the modalities, in percent.

    Args:
        evaluation: what evaluation.json holds; :func:`evaluation_dict` gives the same rows.
    """
    plain = evaluation_dict(evaluation)
    rows, several = plain["rows"], len({row["output"] for row in plain["rows"]}) > 1
    columns = score_columns(rows)
    table = _table(f"Scores on the {plain['split']} split, %")
    for head in ["inputs", *(["output"] if several else []), "prediction"]:
        table.add_column(head, no_wrap=True)
    for head in ["α", *(NAMES.get(name, name) for name in columns)]:
        table.add_column(head, justify="right", no_wrap=True)
    before = None
    for row in rows:
        group = (row["inputs"], row["output"])
        if group != before and before is not None:
            table.add_section()
        inputs = " + ".join(row["inputs"]) if group != before else ""
        before = group
        if len(row["inputs"]) == 1 and row["prediction"] == "ensemble":
            continue  # one stream: the ensemble is that stream
        alpha = "" if row["alpha"] is None else f"{row['alpha']:.2f}"
        cells = [inputs, *([row["output"]] if several else []), row["prediction"], alpha]
        cells += [percent(name, row.get(name)) for name in columns]
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


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
