"""Tables of evaluations and inspections for the terminal; their twins give dicts for ``--json``."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from cen.report.fitted_table import FittedTable
from cen.report.summary import (
    HasDict,
    ScoreTable,
    by_columns,
    evaluation_dict,
    images_text,
    inspection_dict,
    layer_rows,
    level,
    score_tables,
    single_text,
)

__all__ = ["evaluation_dict", "evaluation_table", "inspection_dict", "inspection_table"]


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


def inspection_table(inspection: Mapping[str, Any] | HasDict, every_layer: bool = False) -> Group:
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
    stages: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for layer in plain["layers"]:
        # encoder.layer1.0.bn1 belongs to encoder.layer1.
        stage = ".".join(layer["name"].split(".")[:2])
        stages.setdefault(stage, {}).setdefault(layer["stream"], []).append(layer)
    rows, styles = [], []
    for stage, streams in stages.items():
        for stream, layers in streams.items():
            own, replaced = (sum(layer[key] for layer in layers) for key in ("own", "replaced"))
            levels = [layer["quantiles"] for layer in layers]
            middle = sorted(quantiles[len(quantiles) // 2] for quantiles in levels)
            ends = min(q[0] for q in levels), middle[len(levels) // 2], max(q[-1] for q in levels)
            rate = f"{replaced / own if own else 0.0:.0%}"
            counts = [str(len(layers)), f"{replaced}/{own}", rate]
            rows.append([stage, stream, *counts, *map(level, ends)])
            styles.append("" if replaced else "dim")
    return FittedTable(
        ["stage", "stream", "layers", "replaced", "rate", "min", "median", "max"],
        rows,
        names=2,
        groups=1,
        styles=styles,
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
