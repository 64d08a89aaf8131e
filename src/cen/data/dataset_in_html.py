"""What a notebook shows of a data set."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from cen import notebook
from cen.errors import DataError

_DOTS = 72
"""Pixels of a picture per inch of its figure: 200 for the longer side of a field."""


def describe(dataset: Any) -> str:
    """A table of what is read, and the pictures of the first sample, where it can be read.

    Args:
        dataset: an `AlignedDataset`.
    """
    rows: list[tuple[str, str]] = [("split", dataset.split), ("samples", str(len(dataset)))]
    rows += [
        (f"input {name}", f"{m.kind}, {m.channels} channels")
        for name, m in dataset.modalities.items()
    ]
    for name, modality in dataset.targets.items():
        labels = dataset.labels.get(name)
        classes = f": {', '.join(labels.names[:8])}" if labels else ""
        more = f" and {len(labels.names) - 8} more" if labels and len(labels.names) > 8 else ""
        rows.append((f"target {name}", f"{modality.kind}{classes}{more}"))
    return notebook.table(f"{type(dataset).__name__} in {dataset.address}", rows) + _pictures(
        dataset
    )


def _pictures(dataset: Any) -> str:
    if not len(dataset):
        return ""
    try:
        sample = dataset.raw(0)
    except DataError as error:  # a notebook shows the table none the less
        return notebook.table("First sample", [("cannot be read", error)])
    png = BytesIO()
    dataset.plot(sample).savefig(png, format="png", dpi=_DOTS)
    source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
    return notebook.figure(source, sample["name"])
