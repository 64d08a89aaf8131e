"""Rooms as a folder of own files with a dataset.yaml, which ``AlignedFolder`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cen.data.formats.pictures import write_npy, write_png
from cen.data.rooms.labels import label_set
from cen.data.rooms.plan import Plan, Rendered, SceneKey, in_steps

_PNG = ("rgb", "albedo", "parts", "functions")
_EDGES = ("edge_texture", "edge_occlusion")
_NPY = ("normal", "principal_curvature")
_DOMAINS = ("rgb", "depth", "normal", "reshading", "albedo", *_EDGES, "principal_curvature")
_LABELS = ("parts", "functions")


def write(plan: Plan) -> dict[str, Any]:
    """Writes a folder per domain, train.txt, test.txt and a dataset.yaml that describes them.

    ``segmentation`` is the label set asked for; the other one is there under its own name. Colours
    and labels are 8-bit PNG, depth 16-bit PNG in millimetres with 0 for holes, edges and reshading
    16-bit PNG of 0..1, normals and curvature NPY of float32.
    """
    plan.each(_scene, (*_DOMAINS, *_LABELS))
    lists = {split: f"{split}.txt" for split in plan.counts}
    plan.write_lists(lists, lambda scene: scene.name)
    other = next(name for name in _LABELS if name != plan.labels)
    camera = plan.intrinsics(plan.scenes[0])
    return {
        "modalities": {
            "rgb": _field("rgb", "png", kind="image"),
            "depth": _field("depth", "png", kind="depth", unit=0.001, missing=0),
            "normal": _field("normal", "npy", kind="normal"),
            "reshading": _field(
                "reshading", "png", kind="continuous", unit=1.0 / 65535.0, mean=[0.5], std=[0.25]
            ),
            "albedo": _field("albedo", "png", kind="image"),
            **{name: _field(name, "png", kind="edge") for name in _EDGES},
            "principal_curvature": _field(
                "principal_curvature", "npy", kind="continuous", channels=2, std=[2.0, 2.0]
            ),
        },
        "outputs": {"segmentation": _label(plan.labels), other: _label(other)},
        "splits": lists,
        "intrinsics": [float(camera[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2))],
        "about": plan.description(),
    }


def _field(domain: str, suffix: str, **options: Any) -> dict[str, Any]:
    return {"pattern": f"{domain}/{{id}}.{suffix}", **options}


def _label(name: str) -> dict[str, Any]:
    labels = label_set(name)
    palette = [list(colour) for colour in labels.palette]
    return _field(name, "png", kind="label", classes=list(labels.classes), palette=palette)


def _scene(root: Path, scene: SceneKey, arrays: Rendered) -> None:
    for domain in _PNG:
        write_png(root / domain / f"{scene.name}.png", arrays[domain])
    steps = {"depth": 1000.0, **dict.fromkeys((*_EDGES, "reshading"), 65535.0)}
    for domain, step in steps.items():
        write_png(root / domain / f"{scene.name}.png", in_steps(arrays[domain], step, np.uint16))
    for domain in _NPY:
        write_npy(root / domain / f"{scene.name}.npy", arrays[domain])
