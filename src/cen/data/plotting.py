"""Samples as figures, and what a notebook shows of a data set.

Imported only when something is plotted: matplotlib is slow to load.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from cen import notebook
from cen.data.fields.modality import Modality
from cen.data.readers.dataset_yaml import Classes
from cen.errors import DataError

_DOTS = 72
"""Pixels of a notebook's picture per inch of its figure: 200 for the longer side of a field."""


def plot_sample(
    sample: Mapping[str, Any],
    modalities: Mapping[str, Modality],
    targets: Mapping[str, Modality],
    labels: Mapping[str, Classes],
    ignore_index: int = 255,
) -> Figure:
    """Every picture of a sample in a row, raw arrays or tensors alike.

    Colours stand for classes (those of the first label field in a legend), depth is shown from near
    (bright) to far with holes in black, tensors are brought back to colours and metres first.
    Entries that are no fields (names, intrinsics) are left out.

    Args:
        sample: raw or transformed.
        modalities: what its inputs are.
        targets: what its ground truth is.
        labels: names and colours of the classes by label field.
        ignore_index: label that is no class.

    Returns:
        A figure that belongs to no window; ``figure.savefig(path)`` writes it.
    """
    fields = {**targets, **modalities}
    panels = {
        name: _raw(value, modalities.get(name), targets.get(name))
        for name, value in sample.items()
        if name in fields
    }
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.7 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, raw) in zip(axes, panels.items(), strict=False):
        axis.set_title(name)
        if name in labels:
            axis.imshow(colour_labels(raw, labels[name].palette, ignore_index))
        elif fields[name].field_kind.metres:
            image = axis.imshow(raw, cmap=colormaps["viridis_r"].with_extremes(bad="black"))
            figure.colorbar(image, ax=axis, label="metres", shrink=0.8)
        elif raw.ndim == 2:
            axis.imshow(raw, cmap="tab20" if fields[name].field_kind.classes else "gray")
        else:
            axis.imshow(fields[name].picture(raw))
    first = next((name for name in targets if name in panels and name in labels), None)
    if first is not None:
        names, colours = labels[first].names, labels[first].palette / 255.0
        present = [n for n in np.unique(panels[first]).tolist() if 0 <= n < len(names)]
        legend = [Patch(facecolor=colours[n], label=names[n]) for n in present if n != ignore_index]
        if legend:
            figure.legend(handles=legend, loc="outside lower center", ncols=min(6, len(legend)))
    return figure


def describe_in_html(dataset: Any) -> str:
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


def colour_labels(
    labels: NDArray[Any], palette: NDArray[np.uint8], ignore_index: int = 255
) -> NDArray[np.uint8]:
    """(H, W) labels as an (H, W, 3) picture; what is ignored or no class is black."""
    is_class = (labels != ignore_index) & (labels >= 0) & (labels < len(palette))
    picture = palette[np.where(is_class, labels, 0)]
    picture[~is_class] = 0
    return np.asarray(picture)


def _raw(value: Any, modality: Modality | None, target: Modality | None) -> NDArray[Any]:
    """Values as in the file; a tensor is brought back to them."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    array = np.asarray(value.detach().cpu().numpy())
    if array.ndim != 3:
        return array
    if modality is not None:
        return modality.from_network(array)
    return target.from_target(array) if target is not None else array
