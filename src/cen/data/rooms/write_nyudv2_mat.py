"""Rooms in the form in which the authors of NYUDv2 distribute it, which ``NYUDv2Mat`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.readers.nyudv2_classes import LABELED, MAPPING40, MAPPINGS13
from cen.data.readers.nyudv2_mat import SPLITS
from cen.data.rooms.matlab import Mat73, cell, create_v73, save_v5
from cen.data.rooms.plan import Plan, Rendered, SceneKey, without_holes
from cen.errors import DataError
from cen.files import write_atomically

LABELS = 894
"""As many labels as the real data set has; several of them map to each class."""

_FRAMES_PER_SCENE = 2


def write(plan: Plan) -> dict[str, Any]:
    """Writes nyu_depth_v2_labeled.mat, splits.mat and the class mappings.

    ``rawDepths`` is the sensor's depth in metres with 0 in its holes; ``depths`` has the exact
    depth there. ``labels`` uses all of 894 numbers, several for each class, and classMapping40.mat
    leads back to the classes of Rooms. Training and test images are mixed, as in the real file,
    and two consecutive images of a split have one scene name, although every image of Rooms is a
    room of its own. The variable ``namesToIds``, a MATLAB object, is left out.
    """
    classes = plan.classes
    order = _mixed(plan)
    numbers = {scene: number for number, scene in enumerate(order, start=1)}
    write_atomically(plan.root / LABELED, lambda path: _labeled(path, plan, order), DataError)
    splits = {
        f"{split}Ndxs": np.array([[float(numbers[s])] for s in order if s.split == split])
        for split in plan.counts
    }
    save_v5(plan.root / SPLITS, splits)
    table = np.arange(LABELS) % len(classes) + 1
    mapping = {
        "mapClass": table[None].astype(np.float64),
        "className": cell(classes),
        "allClassName": cell(_names(classes)),
    }
    save_v5(plan.root / MAPPING40, mapping)
    # The second word of "wood box": fewer classes, as the 13 are of the 40.
    kinds = [name.split()[-1] for name in classes]
    coarse = list(dict.fromkeys(kinds))
    labels13 = np.array([[coarse.index(kind) + 1.0 for kind in kinds]])
    thirteen = {"classMapping13": {"labels13": labels13, "class13": cell(coarse)}}
    save_v5(plan.root / MAPPINGS13[1], thirteen)
    return plan.described_apart(intrinsics=plan.intrinsics(order[0]).tolist())


def file_label(label: NDArray[Any], number: int, classes: int) -> NDArray[np.uint16]:
    """Labels 1..894 of the file for classes 0.. of image ``number``: each image uses others."""
    is_labelled = label < classes
    spread = number % (LABELS // classes)
    return np.where(is_labelled, label + 1 + classes * spread, 0).astype(np.uint16)


def _mixed(plan: Plan) -> list[SceneKey]:
    """The scenes in the order of the file: those of both splits, evenly mixed."""
    return sorted(plan.scenes, key=lambda s: ((s.number + 0.5) / plan.counts[s.split], s.split))


def _labeled(path: Path, plan: Plan, order: list[SceneKey]) -> None:
    classes = plan.classes
    height, width = plan.size
    frames = (len(order), width, height)
    place = {scene: index for index, scene in enumerate(order)}
    with create_v73(path) as file:
        arrays = {
            "images": file.array("images", (len(order), 3, width, height), np.uint8),
            "depths": file.array("depths", frames, np.float32),
            "rawDepths": file.array("rawDepths", frames, np.float32),
            "labels": file.array("labels", frames, np.uint16),
            "instances": file.array("instances", frames, np.uint8),
        }
        for scene, rendered in plan.rendered(("rgb", "depth", "depth_clean", plan.labels)):
            index = place[scene]
            for name, values in _frame(rendered, plan.labels, index + 1, len(classes)).items():
                arrays[name][index] = values.T
        _texts(file, order, classes)


def _frame(rendered: Rendered, labels: str, number: int, classes: int) -> dict[str, NDArray[Any]]:
    return {
        "images": rendered["rgb"],
        "depths": without_holes(rendered),
        "rawDepths": np.nan_to_num(rendered["depth"], nan=0.0),
        "labels": file_label(rendered[labels], number, classes),
        "instances": _instances(rendered[labels], classes),
    }


def _instances(labels: NDArray[Any], classes: int) -> NDArray[np.uint8]:
    """Numbers from 1 of the connected pieces of every class."""
    instances = np.zeros(labels.shape, dtype=np.int32)
    for label in range(classes):
        _, pieces = cv2.connectedComponents((labels == label).astype(np.uint8))
        instances += pieces
    return np.minimum(instances, 255).astype(np.uint8)


def _texts(file: Mat73, order: list[SceneKey], classes: tuple[str, ...]) -> None:
    file.cell("names", _names(classes))
    file.cell("scenes", [_room(scene) for scene in order])
    file.cell("sceneTypes", ["room"] * len(order))
    file.cell("rawRgbFilenames", [f"{_room(s)}/r-{s.name}.ppm" for s in order])
    file.cell("rawDepthFilenames", [f"{_room(s)}/d-{s.name}.pgm" for s in order])
    tilt = file.array("accelData", (4, len(order)), np.float32)
    tilt[...] = 0.0


def _room(scene: SceneKey) -> str:
    return f"{scene.split}_room_{scene.number // _FRAMES_PER_SCENE:04d}"


def _names(classes: tuple[str, ...]) -> list[str]:
    rounds = [f"{classes[n % len(classes)]} {n // len(classes) + 1}" for n in range(LABELS)]
    return [*classes, *rounds[len(classes) :]]
