"""Of many rows a few are in colour, chosen on validation."""

from __future__ import annotations

from pathlib import Path

from tests.studies.made_records import made_records, made_study

from cen.report.style import FAINT
from cen.studies.row_colours import row_colours


def shown(count: int, reference: str, folder: Path) -> list[str]:
    names = [f"row{i}" for i in range(count)]
    study = made_study(names, reference)
    # On the test split the order is the other way round.
    scores = {name: (1 - 0.05 * i, 0.9) for i, name in enumerate(names)}
    validation = {name: 0.05 * i for i, name in enumerate(names)}
    colours = row_colours(study, made_records(study, scores, validation, folder))
    assert list(colours) == names
    found = [name for name, colour in colours.items() if colour != FAINT]
    assert len({colours[name] for name in found}) == len(found)
    return found


def test_few_rows_are_all_in_colour(tmp_path: Path) -> None:
    assert shown(6, "row1", tmp_path) == [f"row{i}" for i in range(6)]


def test_of_many_those_compared_with_and_the_best_on_validation(tmp_path: Path) -> None:
    assert shown(9, "row1", tmp_path) == ["row1", "row6", "row7", "row8"]
    assert shown(9, "row8", tmp_path) == ["row5", "row6", "row7", "row8"]
