"""What the pictures of samples need to know: classes, their colours, what is a label map."""

import numpy as np

from cen.report.colours import Image, as_palette
from cen.report.panels import Array, Panel
from cen.report.runfolder import RunFolder


def is_labels(value: Array) -> bool:
    """Whether an array is a label map, (H, W) integers, and not a picture or depth."""
    return value.ndim == 2 and bool(np.issubdtype(value.dtype, np.integer))


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
        for value in (v for panel in run.panels for v in predictions(panel, output).values()):
            seen = value[(value >= 0) & (value != 255)] if is_labels(value) else value[:0]
            count = max(count, int(seen.max()) + 1 if seen.size else 0)
    return as_palette(run.colours(output), count)


def class_names(run: RunFolder, output: str, count: int) -> list[str]:
    """Names of ``count`` classes; "class 7" where no file tells the name."""
    names = run.classes(output)
    return [names[i] if i < len(names) else f"class {i}" for i in range(count)]
