"""What the pictures of samples need to know: classes, their colours, what is a label map."""

import numpy as np

from cen.report.colours import Image, as_palette
from cen.report.panels import Array, Panel
from cen.report.runfolder import RunFolder
from cen.tasks import KINDS


def is_labels(value: Array) -> bool:
    """Whether an array is a label map, (H, W) integers, and not a picture or depth."""
    return value.ndim == 2 and bool(np.issubdtype(value.dtype, np.integer))


def kind_of(panel: Panel, output: str) -> str:
    """The kind of an output of a panel."""
    shown = panel.outputs.get(output)
    return "segmentation" if shown is None else shown.kind


def predictions(panel: Panel, output: str) -> dict[str, Array]:
    """Truth, "stream NAME" and ensemble of an output, as far as they are stored.

    With a single stream the ensemble is that stream and is left out.
    """
    shown = panel.outputs.get(output)
    if shown is None:
        return {}
    found = {} if shown.truth is None else {"truth": shown.truth}
    found |= {f"stream {name}": value for name, value in shown.streams.items()}
    if shown.ensemble is not None and len(shown.streams) != 1:
        found["ensemble"] = shown.ensemble
    return found


def class_colours(run: RunFolder, output: str) -> Image:
    """Palette of an output: a colour for each class that is named, or else seen in a panel."""
    count = len(run.classes(output)) or len(run.colours(output) or [])
    if not count:
        count = max((c for c in _seen(run, output) if c not in (255, 65535)), default=-1) + 1
    return as_palette(run.colours(output), count)


def classes_shown(run: RunFolder, output: str, count: int) -> list[int]:
    """Those of ``count`` classes that occur in the panels: what a legend has to explain."""
    return sorted(c for c in _seen(run, output) if c < count)


def class_names(run: RunFolder, output: str, count: int) -> list[str]:
    """Names of ``count`` classes; "class 7" where no file tells the name."""
    names = run.classes(output)
    return [names[i] if i < len(names) else f"class {i}" for i in range(count)]


def _seen(run: RunFolder, output: str) -> set[int]:
    """All non-negative ids in the label maps of an output."""
    panels = [panel for panel in run.panels if KINDS[kind_of(panel, output)].labels]
    maps = (v for panel in panels for v in predictions(panel, output).values() if is_labels(v))
    return {int(c) for value in maps for c in np.unique(value) if c >= 0}
