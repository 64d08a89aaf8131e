"""Rooms in the NYUDv2 layout of the released code, which ``NYUDv2Folder`` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cen.data.formats.pictures import write_png
from cen.data.rooms.plan import Plan, Rendered, SceneKey, in_steps

_FOLDERS = ("rgb", "masks", "depth")
_LISTS = {"train": "train.txt", "test": "val.txt"}


def write(plan: Plan) -> dict[str, Any]:
    """Writes rgb/, masks/, depth/, train.txt and val.txt, which is the TEST split.

    Depth is in whole millimetres with 0 for holes, so reading gives back exactly what is rendered.
    """
    plan.each(partial(_scene, plan.labels), ("rgb", "depth", plan.labels))
    plan.write_lists(
        _LISTS, lambda scene: "\t".join(f"{folder}/{scene.name}.png" for folder in _FOLDERS)
    )
    return plan.description(depth_unit=0.001)


def _scene(labels: str, root: Path, scene: SceneKey, arrays: Rendered) -> None:
    file = f"{scene.name}.png"
    write_png(root / "rgb" / file, arrays["rgb"])
    write_png(root / "masks" / file, arrays[labels])
    write_png(root / "depth" / file, in_steps(arrays["depth"], 1000.0, np.uint16))
