"""Contact sheets: rows of samples, columns of fields, a legend of the classes that occur."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cen.data.readers.aligned import AlignedDataset
from cen.errors import DataError
from cen.files import write_bytes
from cen.report.colours import NEUTRAL, colorize
from cen.report.style import house_style, png_bytes

_HOLE = (NEUTRAL[0] / 255, NEUTRAL[1] / 255, NEUTRAL[2] / 255)


def contact_sheet(dataset: AlignedDataset, indices: Sequence[int], path: Path) -> Path:
    """Writes samples as one picture.

    Depth has one scale for the whole sheet, so that frames can be compared; what is missing or
    ignored is grey. A sample that cannot be read is shown as the message.
    """
    fields = {**dataset.modalities, **dataset.targets}
    samples = [_read(dataset, index) for index in indices]
    limits = {name: _limits(samples, name) for name, m in fields.items() if m.field_kind.metres}
    with house_style():
        figure = Figure(
            figsize=(2.4 * max(1, len(fields)), 1.95 * len(samples) + 0.8), layout="constrained"
        )
        grid = figure.subplots(len(samples), len(fields), squeeze=False)
        for row, sample in zip(grid, samples, strict=True):
            for axis, name in zip(row, fields, strict=True):
                _draw(axis, dataset, name, sample, limits.get(name))
        for axis, name in zip(grid[0], fields, strict=True):
            axis.set_title(name)
        for name, (near, far) in limits.items():
            below = grid[-1, list(fields).index(name)]
            scale = ScalarMappable(Normalize(near, far), colormaps["viridis_r"])
            bar = figure.colorbar(
                scale, cax=below.inset_axes((0.1, -0.12, 0.8, 0.05)), orientation="horizontal"
            )
            bar.set_label("metres")
        _legend(figure, dataset, samples)
        return write_bytes(path, png_bytes(figure), DataError)


def _read(dataset: AlignedDataset, index: int) -> dict[str, Any]:
    try:
        return dataset.raw(index)
    except DataError as error:
        return {"name": f"sample {index}", "error": str(error)}


def _limits(samples: Sequence[dict[str, Any]], name: str) -> tuple[float, float]:
    measured = [s[name][np.isfinite(s[name])] for s in samples if name in s]
    values = np.concatenate([*measured, np.zeros(0)])
    if not values.size:
        return 0.0, 1.0
    near, far = np.percentile(values, (1, 99)).tolist()
    return near, max(far, near + 1e-6)


def _draw(
    axis: Axes,
    dataset: AlignedDataset,
    name: str,
    sample: dict[str, Any],
    limits: tuple[float, float] | None,
) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    if next(iter({**dataset.modalities, **dataset.targets})) == name:
        axis.set_ylabel(sample["name"][-24:], fontsize=7)
    if name not in sample:
        text = sample.get("error", "none")
        message = axis.text(0.5, 0.5, text, wrap=True, fontsize=5, color="red")
        message.set_horizontalalignment("center")
        message.set_verticalalignment("center")
        message.set_in_layout(False)  # a long one would take all the room of the pictures
        return
    value = sample[name]
    if name in dataset.labels:
        axis.imshow(colorize(value, dataset.labels[name].palette), interpolation="nearest")
    elif limits is not None:
        ramp = colormaps["viridis_r"].with_extremes(bad=_HOLE)
        axis.imshow(value, cmap=ramp, vmin=limits[0], vmax=limits[1])
    else:
        picture = {**dataset.modalities, **dataset.targets}[name].picture(value)
        missing = ~np.isfinite(value)
        picture[missing if value.ndim == 2 else missing.any(axis=2)] = NEUTRAL
        axis.imshow(picture)


def _legend(figure: Figure, dataset: AlignedDataset, samples: Sequence[dict[str, Any]]) -> None:
    patches = []
    for field, classes in dataset.labels.items():
        present = {v for s in samples if field in s for v in np.unique(s[field]).tolist()}
        for value, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True)):
            if value in present:
                patches.append(Patch(facecolor=colour / 255.0, label=name))
        if present - set(range(len(classes.names))):
            patches.append(Patch(facecolor=_HOLE, label="ignored"))
    if patches:
        # Half an inch of patch and gaps and 0.08 of each letter: no wider than the figure.
        longest = max(len(str(patch.get_label())) for patch in patches)
        columns = max(1, int(figure.get_figwidth() / (0.5 + 0.08 * longest)))
        figure.legend(handles=patches, loc="outside lower center", ncols=min(columns, len(patches)))
