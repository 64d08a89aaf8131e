"""Writes the keys of configurations and studies into their pages, from the option classes.

``python docs/scripts/keys.py``; what stands before the first table and heading stays.
"""

from pathlib import Path

from cen import parsing
from cen.config import Config
from cen.studies.spec import Study

PAGES = ((Config, "configuration.md", "##"), (Study, "studies.md", "###"))

for options, name, heading in PAGES:
    page = Path(__file__).parents[1] / name
    text = page.read_text("utf-8")
    keys = parsing.markdown(options, heading)
    first = "\n".join(keys.splitlines()[:2])
    # Both pages end with their keys; the last such table is the one of the keys without a section.
    start = text.rindex(f"{first}\n| `{next(parsing.keys(options)).name}`")
    page.write_text(f"{text[:start]}{keys}\n", "utf-8")
