"""Pages from templates: every text is escaped, and nothing is loaded from anywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader

from cen.report.curves import Captioned
from cen.report.style import svg


class Drawing(NamedTuple):
    """A figure as a page shows it.

    Attributes:
        source: What stands in the ``src`` of an image: a data URI.
        title: What a screen reader says.
        caption: What the figure shows, in a sentence or two.
    """

    source: str
    title: str
    caption: str


def drawing(captioned: Captioned) -> Drawing:
    """A figure with its caption, drawn."""
    figure, caption = captioned
    return Drawing(svg(figure), figure.axes[0].get_title(loc="left"), caption)


def render_page(template: str, package: str, /, **values: Any) -> str:
    """A whole page as HTML text.

    Args:
        template: Name of the page's template.
        package: Package whose folder ``templates`` holds it; those of `cen.report` are at hand too.
        **values: What the template shows. A name that it reads and that is not given is an error.
    """
    loaders = [PackageLoader(name) for name in dict.fromkeys((package, "cen.report"))]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
