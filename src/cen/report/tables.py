"""Tables of evaluations and inspections for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from cen.report.fitted_table import FittedTable
from cen.report.summary import (
    ScoreTable,
    by_columns,
    evaluation_dict,
    images_text,
    inspection_dict,
    layer_rows,
    score_tables,
    single_text,
    stage_rows,
)


def evaluation_table(evaluation: Mapping[str, Any]) -> Group:
    """Scores of every stream, ensemble and subset of the modalities: a table per kind of output."""
    plain = evaluation_dict(evaluation)
    notes = [Text(text) for text in (single_text(plain), images_text(plain)) if text]
    units = bool(notes) or len(by_columns(plain["rows"])) > 1
    title = f"Scores on the {plain['split']} split" + ("" if units else ", %")
    tables = score_tables(plain["rows"], units)
    shown = [_scores(table, "" if index else title) for index, table in enumerate(tables)]
    return Group(*shown, *notes)


def _scores(table: ScoreTable, title: str) -> FittedTable:
    return FittedTable(
        [*table.names, *table.figures],
        [[*row.names, *row.figures] for row in table.rows],
        names=len(table.names),
        groups=len(table.names) - 1,
        styles=["bold" if row.prediction == "ensemble" else "" for row in table.rows],
        title=title,
    )


def inspection_table(inspection: Mapping[str, Any], every_layer: bool = False) -> Group:
    """The overall rate and α, then exchange rate and |γ| per stage (or every layer) and stream."""
    plain = inspection_dict(inspection)
    if not plain["layers"]:
        return Group(*_caption(plain))
    return Group(*_caption(plain), _layers(plain) if every_layer else _stages(plain))


def _layers(plain: Mapping[str, Any]) -> FittedTable:
    return FittedTable(
        ["layer", "stream", "C", "replaced", "rate", "min", "25 %", "50 %", "75 %", "max"],
        layer_rows(plain["layers"]),
        names=2,
        groups=1,
        styles=["" if layer["replaced"] else "dim" for layer in plain["layers"]],
        title="Exchange by layer and stream",
        caption="C: channels; replaced, of own channels; minimum, quartiles, maximum of |γ|",
    )


def _stages(plain: Mapping[str, Any]) -> FittedTable:
    rows = stage_rows(plain["layers"])
    return FittedTable(
        ["stage", "stream", "layers", "replaced", "rate", "min", "median", "max"],
        rows,
        names=2,
        groups=1,
        styles=["dim" if row[3].startswith("0/") else "" for row in rows],
        title="Exchange by stage and stream",
        caption="replaced, of own channels; least |γ|, middle one of the layers' medians, "
        "greatest; every layer: cen inspect --all",
    )


def _caption(plain: Mapping[str, Any]) -> list[Text]:
    lines = []
    if not plain["layers"]:
        lines.append("No layer exchanges channels: one stream, or exchange is off.")
    elif plain["rate"] is not None:
        lines.append(f"Of all own channels, {plain['rate']:.1%} are replaced.")
    for output, weights in plain["alpha"].items():
        parts = ", ".join(f"{stream} {weight:.2f}" for stream, weight in weights.items())
        lines.append(f"α of {output}: {parts}")
    return [Text(line) for line in lines]
