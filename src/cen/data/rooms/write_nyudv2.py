"""Rooms in the NYUDv2 layout of the released code, which ``NYUDv2Folder`` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cen.data.formats.pictures import write_png
from cen.data.rooms.plan import Plan, Rendered, Scene
from cen.errors import DataError
from cen.files import write_text

_FOLDERS = ("rgb", "masks", "depth")
_LISTS = {"train": "train.txt", "test": "val.txt"}


def write(plan: Plan) -> dict[str, Any]:
    """Writes rgb/, masks/, depth/, train.txt and val.txt, which is the TEST split.

    Depth is in whole millimetres with 0 for holes, so reading gives back exactly what is rendered.
    """
    for folder in _FOLDERS:
        (plan.root / folder).mkdir(exist_ok=True)
    plan.each(partial(_scene, plan.labels), ("rgb", "depth", plan.labels))
    for split, name in _LISTS.items():
        lines = [
            "\t".join(f"{folder}/{scene.name}.png" for folder in _FOLDERS)
            for scene in plan.scenes
            if scene.split == split
        ]
        write_text(plan.root / name, "\n".join(lines) + "\n", DataError)
    return plan.described(depth_unit=0.001)


def _scene(labels: str, root: Path, scene: Scene, arrays: Rendered) -> None:
    millimetres = np.rint(1000.0 * np.nan_to_num(arrays["depth"].astype(np.float64)))
    file = f"{scene.name}.png"
    write_png(root / "rgb" / file, arrays["rgb"])
    write_png(root / "masks" / file, arrays[labels])
    write_png(root / "depth" / file, millimetres.astype(np.uint16))
