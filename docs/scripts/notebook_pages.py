"""Shows the notebooks of docs/notebooks as pages of the site: a hook of MkDocs.

A page is made of the notebook when the site is built, so the two cannot differ.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

Cell = dict[str, Any]


def markdown(notebook: Path) -> str:
    """A notebook as a page: texts as they are, code and what it shows in blocks."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    title, *rest = ("\n".join(_blocks(cell)) for cell in cells)
    link = f'<a href="{notebook.name}" download>Download the notebook</a>'
    return "\n\n".join([title, link, *rest]) + "\n"


def _blocks(cell: Cell) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    lines = source.splitlines()
    if all(line.startswith("!") for line in lines):
        yield _fenced("sh", "\n".join(line[1:] for line in lines))
    else:
        yield _fenced("python", source)
    for output in cell["outputs"]:
        yield _shown(output)


def _shown(output: Cell) -> str:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return f'<img alt="Figure" src="data:image/png;base64,{data["image/png"]}">\n'
    if "text/html" in data:
        return f'<div markdown="0">\n{"".join(data["text/html"])}\n</div>\n'
    return _fenced("{ .text .no-copy .shown }", "".join(data["text/plain"]))


def _fenced(language: str, text: str) -> str:
    return f"\n```{language}\n{text.rstrip()}\n```\n"


class NotebookPage(File):
    """A notebook that links and the menu may name, and that is a page."""

    def is_documentation_page(self) -> bool:
        """Always, whatever the ending of its name."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts pages in the places of the notebooks."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        page = NotebookPage(
            file.src_uri, config.docs_dir, config.site_dir, config.use_directory_urls
        )
        page.content_string = markdown(Path(config.docs_dir, file.src_uri))
        files.append(page)
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Lays the notebooks beside their pages, to be downloaded."""
    for notebook in Path(config.docs_dir).rglob("*.ipynb"):
        place = Path(config.site_dir, notebook.relative_to(config.docs_dir))
        shutil.copyfile(notebook, place)
