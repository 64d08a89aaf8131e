"""The pages of the documentation as tests read them; a notebook as the page that it becomes."""

from pathlib import Path

from docs.scripts.notebook_pages import markdown
from docs.scripts.root_pages import root_file

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "results").glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *NOTEBOOKS,
]


def text_of(page: Path) -> str:
    """What a page says; nothing of its own where it stands for a file that is a page itself."""
    text = markdown(page) if page.suffix == ".ipynb" else page.read_text("utf-8")
    return "" if root_file(text) else text
