"""CITATION.cff as its schema 1.2.0 wants it, and the page that says the same as BibTeX."""

import re
from pathlib import Path

import yaml

import cen

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))

# Keys of the schema, and those of a work that is referred to which are used here.
KEYS = {"cff-version", "message", "type", "title", "version", "license", "authors", "keywords"}
OF_A_WORK = {
    "type",
    "title",
    "authors",
    "journal",
    "year",
    "url",
    "volume",
    "issue",
    "start",
    "end",
}


def test_required_keys_are_there_and_no_unknown_ones() -> None:
    assert set(CITATION) == KEYS | {"references"}
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert all(isinstance(CITATION[key], str) and CITATION[key] for key in ("message", "title"))
    assert CITATION["license"] == "MIT"
    for work in CITATION["references"]:
        assert {"type", "title", "authors"} <= set(work)
        assert set(work) <= OF_A_WORK | {"collection-title"}
        assert work["type"] in {"article", "conference-paper"}
        assert isinstance(work["year"], int)
        for author in work["authors"]:
            assert set(author) == {"family-names", "given-names"}


def test_the_version_is_the_programs() -> None:
    assert str(CITATION["version"]) == cen.__version__
    page = (ROOT / "docs" / "citation.md").read_text("utf-8")
    assert f"version = {{{cen.__version__}}}" in page


def test_the_page_cites_the_same_works() -> None:
    page = (ROOT / "docs" / "citation.md").read_text("utf-8")
    entries = re.findall(r"^@(\w+)\{(.*?)^\}", page, re.M | re.DOTALL)
    assert [kind for kind, _ in entries] == ["article", "inproceedings", "software"]
    for work, (_, entry) in zip(CITATION["references"], entries, strict=False):
        assert f"{{{work['title']}}}" in entry
        assert f"{{{work['year']}}}" in entry
        authors = [f"{a['family-names']}, {a['given-names']}" for a in work["authors"]]
        assert f"= {{{' and '.join(authors)}}}," in entry
        assert work["url"].rpartition("/")[2] in entry
