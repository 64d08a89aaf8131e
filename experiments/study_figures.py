"""Writes the curves of a study as pictures, as its page shows them, for docs/results.

python experiments/study_figures.py fusion studies docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

from cen.cli.sources import load_config
from cen.studies import (
    Choice,
    Store,
    Study,
    collect,
    evaluation_options,
    everything,
    find_study,
    roots_of,
)
from cen.studies.figures import budget_curves, learning_curves, sweep_curves
from cen.studies.run_store import read_json


def main(name: str, out: Path, pictures: Path) -> None:
    """One picture per figure, named by the study, the kind of figure and its number."""
    study = Study.load(find_study(name)[1])
    roots = roots_of(study, out, load_config(study.config, {}).data.root)
    store = Store(out, evaluation_options(study))
    earlier = read_json(out / name / "study.json").get("asked", {})
    records = collect(store, everything(study, Choice(), roots, load_config, earlier))
    pictures.mkdir(parents=True, exist_ok=True)
    kinds = {"learning": learning_curves, "budgets": budget_curves, "sweep": sweep_curves}
    for kind, draw in kinds.items():
        for index, (figure, caption) in enumerate(draw(study, records)):
            file = pictures / f"study-{name}-{kind}-{index}.png"
            figure.savefig(file, dpi=110, bbox_inches="tight")
            print(f"{file}: {caption}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
