"""Shows files of the repository's root as pages of the site: a hook of MkDocs.

Such a page is one sentence with a link to the file, which is what it says where it is read without
the site; in the site the file stands in its place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_SENTENCE = re.compile(r"[^\n]*\]\(\.\./([A-Z]+\.md)\)\.\n?")


def root_file(markdown: str) -> str | None:
    """The name of the file that a page stands for; None for any other page."""
    found = _SENTENCE.fullmatch(markdown)
    return found[1] if found else None


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Puts the file in the place of the sentence."""
    name = root_file(markdown)
    if name is None:
        return markdown
    return (Path(config.docs_dir).parent / name).read_text("utf-8")
