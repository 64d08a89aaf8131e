"""The documentation agrees with the program: keys, links, commands."""

import re
import shlex
from pathlib import Path

import pytest

from cen import parsing
from cen.cli import build_parser
from cen.config import Config

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_configuration_page_lists_every_key_as_it_is() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert parsing.markdown(Config) in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    broken = [
        link for link in links if "://" not in link and not (page.parent / link).resolve().exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_shown_are_understood(page: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    for line in "".join(blocks).splitlines():
        if line.startswith("cen "):
            build_parser().parse(shlex.split(line, comments=True)[1:])
