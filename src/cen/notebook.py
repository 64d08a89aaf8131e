"""HTML that a notebook shows for an object: small tables, everything escaped, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_ROWS = 16


def table(caption: str, rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """A table whose first column names its rows; of many rows the first are shown."""
    every = [list(row) for row in rows]
    body = "".join(_row(row) for row in every[:_ROWS])
    if len(every) > _ROWS:
        body += _row([f"… {len(every) - _ROWS} more"])
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"{f'<tr>{top}</tr>' if top else ''}{body}</table>"
    )


def figure(source: str, caption: str) -> str:
    """A picture, given as the source of an <img>, and what it shows."""
    return (
        f'<figure style="display:inline-block;margin:0 8px 8px 0"><img src="{escape(source)}" '
        f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def number(value: float) -> str:
    """A figure as people read it."""
    return f"{value:.4g}"


def _row(cells: Sequence[object]) -> str:
    first, *others = (escape(str(cell)) for cell in cells)
    return f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
