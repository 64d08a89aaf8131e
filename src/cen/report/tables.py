"""Tables for the terminal; each has a twin that gives plain dicts for ``--json``."""

from collections.abc import Mapping, Sequence
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


_ROOM = 44
"""Characters of scores that stand beside the names on a line of 80."""


def _parts(rows: list[dict[str, Any]], columns: list[str], units: bool) -> list[list[str]]:
    """The scores of one table, in as many parts as lines of 80 characters need."""
    parts: list[list[str]] = [[]]
    used = 0
    for name in columns:
        cells = [score_head(name, units), *(format_score(name, row.get(name)) for row in rows)]
        # A head wraps between its words, a figure never.
        words = max((len(word) for cell in cells for word in cell.split()), default=0)
        width = words + 2
        if parts[-1] and used + width > _ROOM:
            parts.append([])
            used = 0
        parts[-1].append(name)
        used += width
    return parts


def _scores(rows: list[dict[str, Any]], title: str | None, units: bool) -> Table | Group:
    """One table of scores, or where a line of 80 characters is too short several."""
    parts = _parts(rows, score_columns(rows), units)
    tables = [_some(rows, part, title if not k else None, units) for k, part in enumerate(parts)]
    return tables[0] if len(tables) == 1 else Group(*tables)


def _some(rows: list[dict[str, Any]], columns: list[str], title: str | None, units: bool) -> Table:
    """The table of some of the scores."""
    several = len({row["output"] for row in rows}) > 1 or units
    table = _table(title)
    for head in ["inputs", *(["output"] if several else []), "prediction"]:
        table.add_column(head, overflow="fold")
    for name in [None, *columns]:
        cells = [_cell(row, name) for row in rows]
        widest = max((len(cell) for cell in cells), default=0)
        head = "α" if name is None else score_head(name, units)
        table.add_column(head, justify="right", overflow="fold", min_width=widest)
    before = None
    for row in rows:
        group = (row["inputs"], row["output"])
        if group != before and before is not None:
            table.add_section()
        inputs = " + ".join(row["inputs"]) if group != before else ""
        before = group
        if is_alone(row, rows):
            continue
        cells = [inputs, *([row["output"]] if several else []), row["prediction"]]
        cells += [_cell(row, name) for name in [None, *columns]]
        table.add_row(*cells, style="bold" if row["prediction"] == "ensemble" else None)
    return table


def _cell(row: Mapping[str, Any], name: str | None) -> str:
    """A score of a row as text; its α where no name is given."""
    if name is not None:
        return format_score(name, row.get(name))
    return "" if row["alpha"] is None else f"{row['alpha']:.2f}"


def _level(value: float) -> str:
    """A magnitude in five characters or a few more."""
    if value == 0 or 1e-3 <= value < 100:
        return f"{value:.3f}"
    return f"{value:.0f}" if 100 <= value < 1e5 else f"{value:.0e}"


def inspection_table(inspection: Mapping[str, Any] | HasDict, every_layer: bool = False) -> Group:
    """The overall rate and α, then exchange rate and |γ| per stage and stream.

    Args:
        inspection: of :func:`cen.inspect`, or its ``to_dict()``; :func:`inspection_dict` gives
            the same rows.
        every_layer: a row per layer in place of one per stage, with the quartiles of |γ|.
    """
    plain = inspection_dict(inspection)
    summary = [Text(line) for line in _caption(plain)]
    if not plain["layers"]:
        return Group(*summary)
    return Group(*summary, _layers(plain) if every_layer else _stages(plain))


def _layers(plain: Mapping[str, Any]) -> Table:
    heads = ("C", "replaced", "rate", "min", "25 %", "50 %", "75 %", "max")
    rows = [
        (
            layer["name"],
            layer["stream"],
            [str(layer["channels"]), f"{layer['replaced']}/{layer['own']}"],
            layer,
            [_level(value) for value in layer["quantiles"]],
        )
        for layer in plain["layers"]
    ]
    table = _exchange("Exchange by layer and stream", "layer", heads, rows)
    table.caption = "C: channels; replaced, of own channels; minimum, quartiles, maximum of |γ|"
    return table


def _stages(plain: Mapping[str, Any]) -> Table:
    heads = ("layers", "replaced", "rate", "min", "median", "max")
    stages: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for layer in plain["layers"]:
        # encoder.layer1.0.bn1 belongs to encoder.layer1.
        stage = ".".join(layer["name"].split(".")[:2])
        stages.setdefault((stage, layer["stream"]), []).append(layer)
    order = list(dict.fromkeys(stage for stage, _ in stages))
    rows = []
    for (stage, stream), layers in sorted(stages.items(), key=lambda s: order.index(s[0][0])):
        own, replaced = (sum(layer[key] for layer in layers) for key in ("own", "replaced"))
        levels = [layer["quantiles"] for layer in layers]
        middle = sorted(level[len(level) // 2] for level in levels)[len(levels) // 2]
        shown = (min(level[0] for level in levels), middle, max(level[-1] for level in levels))
        counts = [str(len(layers)), f"{replaced}/{own}"]
        total = {"rate": replaced / own if own else 0.0, "replaced": replaced}
        rows.append((stage, stream, counts, total, [_level(value) for value in shown]))
    table = _exchange("Exchange by stage and stream", "stage", heads, rows)
    table.caption = (
        "replaced, of own channels; least |γ|, middle one of the layers' medians, greatest; "
        "every layer: cen inspect --all"
    )
    return table


def _exchange(
    title: str,
    what: str,
    heads: Sequence[str],
    rows: Sequence[tuple[str, str, list[str], Mapping[str, Any], list[str]]],
) -> Table:
    table = _table(title)
    for head in (what, "stream"):
        table.add_column(head, overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    before = None
    for name, stream, counts, total, levels in rows:
        if before not in (None, name):
            table.add_section()
        rate = Text(f"{total['rate']:.0%}", style="bold" if total["replaced"] else "dim")
        table.add_row(name if name != before else "", stream, *counts, rate, *levels)
        before = name
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
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
