"""The few HTML pieces that a page is built of. Every text passes through :func:`esc`."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any


def esc(text: Any) -> str:
    """Text made safe for content and attributes."""
    return escape(str(text), quote=True)


def document(title: str, header: str, sections: Iterable[str], footer: str) -> str:
    """A whole page; its style is inside, and nothing is loaded from anywhere."""
    style = files("cen.report").joinpath("style.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{esc(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
{header}
</header>
<main>
{"".join(sections)}</main>
<footer>{footer}</footer>
</body>
</html>
"""  # noqa: E501


def section(title: str, intro: str, *parts: str) -> str:
    """A headed part of the page with one or two sentences that say what it shows."""
    return "\n".join(
        [f"<section>\n<h2>{esc(title)}</h2>", paragraph(intro), *parts, "</section>\n"]
    )


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{style}">{esc(text)}</p>' if style else f"<p>{esc(text)}</p>"


def note(text: str) -> str:
    """A remark on what is missing or wrong."""
    return paragraph(text, "note")


def facts(entries: Mapping[str, str]) -> str:
    """Terms with their values, in as many columns as fit."""
    rows = (f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in entries.items() if v)
    return '<dl class="facts">' + "".join(rows) + "</dl>"


def table(head: Sequence[str], rows: Iterable[str], style: str = "") -> str:
    """A table that scrolls sideways where it does not fit; the cells are HTML already."""
    return (
        f'<div class="scroll"><table class="{style}"><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(cells: Iterable[str], style: str = "") -> str:
    """A row of cells that are HTML already."""
    return f'<tr class="{style}">{"".join(cells)}</tr>'


def cell(content: str, number: bool = False, head: bool = False) -> str:
    """A cell; its content is HTML already."""
    tag, style = "th" if head else "td", ' class="num"' if number else ""
    return f"<{tag}{style}>{content}</{tag}>"


def bar(share: float | None, colour: str) -> str:
    """A share in 0..1 as a coloured bar with its number in percent."""
    if share is None:
        return '<div class="bar"><i></i><span>–</span></div>'
    fill = f'<b style="width:{100 * share:.1f}%;background:{colour}"></b>'
    return f'<div class="bar"><i>{fill}</i><span>{100 * share:.1f}</span></div>'


def dot(colour: str) -> str:
    """The mark of a stream."""
    return f'<i class="dot" style="background:{colour}"></i>'


def legend(names: Sequence[str], colours: Iterable[Sequence[int]]) -> str:
    """Class names with their colours."""
    return (
        '<div class="legend">'
        + "".join(
            f"<span>{swatch(colour)}{esc(name)}</span>"
            for name, colour in zip(names, colours, strict=True)
        )
        + "</div>"
    )


def swatch(colour: Sequence[int]) -> str:
    """A small square of an RGB colour."""
    red, green, blue = (int(value) for value in colour)
    return f'<i class="swatch" style="background:rgb({red},{green},{blue})"></i>'


def figure(source: str, caption: str, alt: str, style: str = "") -> str:
    """A picture with its caption (HTML already); ``alt`` is what a screen reader says."""
    return (
        f'<figure><img class="{style}" src="{source}" alt="{esc(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def figures(items: Sequence[str]) -> str:
    """Figures side by side, as many as fit."""
    return f'<div class="figures">{"".join(items)}</div>' if items else ""
