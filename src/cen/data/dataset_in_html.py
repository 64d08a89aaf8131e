"""What a notebook shows of a data set."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen import notebook
from cen.data.plotting import colour_labels
from cen.errors import DataError

_SIDE = 200
"""Greatest side of a picture, in pixels."""


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
    try:
        sample = dataset.raw(0) if len(dataset) else {}
    except DataError as error:  # a notebook shows the table none the less
        return notebook.table("First sample", [("cannot be read", error)])
    fields = {**dataset.targets, **dataset.modalities}
    figures = []
    for name, value in sample.items():
        if name in fields:
            shown = fields[name].picture(value)
            if name in dataset.labels:
                shown = colour_labels(shown, dataset.labels[name].palette, dataset.ignore_index)
            elif shown.ndim == 2:
                shown = _grey(shown)
            figures.append(notebook.figure(_source(shown), f"{name} of {sample['name']}"))
    return "".join(figures)


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) numbers as an (H, W, 3) picture, from dark to bright."""
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    grey = np.nan_to_num((values - low) / max(high - low, 1e-9)) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _source(picture: NDArray[np.uint8]) -> str:
    """The source of an <img>, made smaller."""
    shrink = min(1.0, _SIDE / max(picture.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(small[..., ::-1]))
    return f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
