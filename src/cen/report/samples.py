"""What the pictures of samples need to know of classes: names, colours, and which occur."""

from typing import NamedTuple

import numpy as np

from cen.report.colours import Image, as_palette
from cen.report.runfolder import RunFolder
from cen.tasks import KINDS


class Classes(NamedTuple):
    """Classes of an output: names, colours (C, 3), and the ids that occur in the panels."""

    names: list[str]
    colours: Image
    seen: list[int]


def classes_of(run: RunFolder, output: str, count: int = 0) -> Classes:
    """Classes of an output: ``count``, or those that are named, or else seen in a panel."""
    panels = [panel.outputs[output] for panel in run.panels if output in panel.outputs]
    maps = [v for shown in panels if KINDS[shown.kind].labels for v in shown.predictions().values()]
    seen = {int(c) for value in maps for c in np.unique(value) if c >= 0}
    names, colours = run.classes(output), run.colours(output)
    count = count or len(names) or len(colours or []) or max(seen - {255, 65535}, default=-1) + 1
    names = [names[i] if i < len(names) else f"class {i}" for i in range(count)]
    return Classes(names, as_palette(colours, count), sorted(c for c in seen if c < count))
