"""Records of runs that were never made, with figures that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cen.cli import sources
from cen.studies.grid import Choice, expand
from cen.studies.results import Record
from cen.studies.spec import Comparison, DataVariant, RowSpec, Study


def made_study(rows: Sequence[str], reference: str) -> Study:
    """A study of rows that differ in λ."""
    return Study(
        title="Made",
        config="rooms-small",
        data={"parts": DataVariant(label="Parts")},
        rows={
            name: RowSpec(label=name.upper(), set={"train.sparsity": index + 1.0})
            for index, name in enumerate(rows)
        },
        columns=["ensemble"],
        compare=[Comparison(reference)],
    )


def made_records(
    study: Study,
    scores: Mapping[str, Sequence[float]],
    validation: Mapping[str, float],
    folder: Path,
) -> list[Record]:
    """A record for each row and seed.

    Args:
        study: The study.
        scores: mIoU of the ensemble on the test split by row, a value per seed.
        validation: Score on validation by row.
        folder: Any folder.
    """
    runs = expand(study, Choice(), {"parts": folder}, sources.load_config, may_miss={"parts"})
    return [
        Record(
            run,
            folder / run.hash,
            {"validation": validation[run.row.name], "steps": 150},
            {"segmentation/rgb+depth/ensemble/mean_iou": scores[run.row.name][run.seed]},
        )
        for run in runs
        if run.seed < len(scores[run.row.name])
    ]
