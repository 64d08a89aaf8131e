"""Pages from templates: every text is escaped, and nothing is loaded from anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader

from cen.report.curves import Captioned
from cen.report.style import svg


class Drawing(NamedTuple):
    """A figure as a page shows it: a data URI, what a screen reader says, and what it shows."""

    source: str
    title: str
    caption: str


def drawing(captioned: Captioned) -> Drawing:
    """A figure with its caption, drawn."""
    figure, caption = captioned
    return Drawing(svg(figure), figure.axes[0].get_title(loc="left"), caption)


def render_page(template: str, package: str, /, **values: Any) -> str:
    """A whole page as HTML text.

    The template is in the folder ``templates`` of a package; those of `cen.report` are at hand too.
    A name that it reads and that is not among the values is an error.
    """
    return _environment(package).get_template(template).render(**values)


@cache
def _environment(package: str) -> Environment:
    """The templates of a package, each compiled once: that takes longer than filling them in."""
    loaders = [PackageLoader(name) for name in dict.fromkeys((package, "cen.report"))]
    return Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
