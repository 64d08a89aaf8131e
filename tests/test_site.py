"""The site: what is in its menu, what leads where, and that it builds and needs nothing else."""

import importlib
import pkgutil
import re
import subprocess
import sys
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.scripts import root_pages
from tests import pages
from tests.pages import ROOT, text_of

import cen

DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)) for page in pages.PAGES if page.is_relative_to(DOCS)}


SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def in_menu(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [value] if isinstance(value, str) else in_menu(value)


def linked_from(page: str) -> set[str]:
    links = re.findall(r"\]\(([^)#\s]+\.(?:md|ipynb))[^)]*\)", text_of(DOCS / page))
    return {
        str((DOCS / page).parent.joinpath(link).resolve().relative_to(DOCS))
        for link in links
        if "://" not in link
    }


def test_the_menu_has_four_groups_and_every_page_once() -> None:
    assert [next(iter(group)) for group in SITE["nav"]] == [
        "Start",
        "How-to",
        "Reference",
        "Results and method",
    ]
    listed = sorted(in_menu(SITE["nav"]))
    tables = {page for page in PAGES if page.startswith(SITE["not_in_nav"].strip())}
    assert listed == sorted(PAGES - tables)


def test_every_page_can_be_reached_from_the_index() -> None:
    """From the text, that is, also where it is read without the menu."""
    reached, left = set[str](), {"index.md"}
    while left:
        page = left.pop()
        reached.add(page)
        left |= (linked_from(page) & PAGES) - reached
    assert sorted(PAGES - reached) == []
    # What is in the menu is one step away.
    assert sorted(set(in_menu(SITE["nav"])) - linked_from("index.md") - {"index.md"}) == []


def test_pages_of_files_of_the_root_lead_there_without_the_site() -> None:
    shown = {}
    for page in DOCS.glob("*.md"):
        if name := root_pages.root_file(page.read_text("utf-8")):
            shown[page.name] = name
            assert (page.parent / ".." / name).is_file()
    assert shown == {"changes.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


def test_in_the_site_they_are_the_files() -> None:
    config = types.SimpleNamespace(docs_dir=str(DOCS))
    for page, file in (("changes.md", "CHANGELOG.md"), ("index.md", "docs/index.md")):
        shown = root_pages.on_page_markdown((DOCS / page).read_text("utf-8"), config=config)
        assert shown == (ROOT / file).read_text("utf-8")


ROOMS = ["exchange", "folding", "models", "tasks", "metrics", "data", "training", "report"]


def shown_in_python_pages() -> list[str]:
    pages = "\n".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    return re.findall(r"^::: (\S+)$", pages, re.M)


def test_every_room_with_public_names_has_a_page_of_python() -> None:
    package = Path(cen.__file__).parent
    rooms = {
        file.parent.name
        for file in package.glob("*/__init__.py")
        if "__all__" in file.read_text("utf-8")
    }
    assert rooms == set(ROOMS)
    for name in shown_in_python_pages():
        assert pkgutil.resolve_name(name) is not None
    for room in ROOMS:
        assert f"::: cen.{room}\n" in (DOCS / "api" / f"{room}.md").read_text("utf-8")


def names_of_site(folder: Path) -> set[str]:
    """The names that the pages of a built site have anchors for."""
    packed = (folder / "objects.inv").read_bytes()
    text = zlib.decompress(packed[packed.index(b"zlib.\n") + 6 :]).decode()
    return {line.split()[0] for line in text.splitlines()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as make docs builds it: a broken link or anchor is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_public_name_is_on_a_page(site: Path) -> None:
    anchors = names_of_site(site)
    wanted = {"cen." + name for name in cen.__all__}
    for room in ROOMS:
        public = importlib.import_module(f"cen.{room}").__all__
        wanted |= {f"cen.{room}.{name}" for name in public}
    # Of a name that a module has, too, the page shows what the module's has.
    wanted = {name.replace(".models.builders", ".models.builders.builders") for name in wanted}
    assert len(wanted) > 150
    assert sorted(wanted - anchors) == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(https?:|//)", text)
        loaded += re.findall(r"<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*https?:", text)
        assert loaded == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?https?:|@import", style.read_text("utf-8")) == []
    assert (site / "search" / "search_index.js").is_file()


@pytest.mark.slow
def test_notebooks_are_pages_and_can_be_downloaded(site: Path) -> None:
    for notebook in pages.NOTEBOOKS:
        place = site / notebook.relative_to(DOCS)
        assert place.read_bytes() == notebook.read_bytes()
        page = place.with_suffix(".html").read_text("utf-8")
        assert f'<a href="{notebook.name}" download>' in page
        assert "mean nothing" in page
