"""Samples as figures. Imported only when something is plotted: matplotlib is slow to load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from cen.data.fields.modality import Modality
from cen.data.readers.dataset_yaml import Classes


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
