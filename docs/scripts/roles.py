"""Roles in docstrings, ``:class:`Streams```, as links of the Python reference (mkdocs.yml)."""

import re

import griffe

_ROLE = re.compile(r":[a-z]+:`~?([\w.]+)`")


class Roles(griffe.Extension):
    """Rewrites the docstrings that griffe has read from the source."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Rewrites one docstring; names are those that the object's module knows."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(lambda found: _link(obj, found[1]), obj.docstring.value)


def _link(obj: griffe.Object, name: str) -> str:
    try:
        full = obj.resolve(name)
    except griffe.NameResolutionError:
        full = name
    # Optional: what is not on a page stays text.
    return f'<autoref identifier="{full}" optional><code>{name}</code></autoref>'
