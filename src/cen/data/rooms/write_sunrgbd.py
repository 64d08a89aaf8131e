"""Rooms in the form in which SUN RGB-D is distributed, which ``SUNRGBD`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.formats.pictures import write_png
from cen.data.readers.sunrgbd import ALLSPLIT, CLASSES, META, SEGMENTATION
from cen.data.rooms.matlab import cell, create_v73, save_v5
from cen.data.rooms.plan import Plan, Rendered, SceneKey, in_steps, without_holes
from cen.errors import DataError
from cen.files import write_atomically, write_bytes, write_text

# Where the lists of the real data set say that it lies.
_AUTHORS = "/n/fs/sun3d/data/SUNRGBD"
_FRAMES_PER_PLACE = 2


def write(plan: Plan) -> dict[str, Any]:
    """Writes SUNRGBD/ with a folder per frame, and the lists and labels of SUNRGBDtoolbox/.

    Frames are dealt out to the four sensors. Colour is JPEG of the highest quality, which is not
    exact; depth is in whole millimetres with its bits rotated, 0 = missing. depth/ has the sensor's
    holes, depth_bfx/ the exact depth in them. Labels stand in SUNRGBD2Dseg.mat, whose order is that
    of SUNRGBDMeta.mat (test frames first, as in the real one), and in every frame's seg.mat.
    """
    order = sorted(plan.scenes, key=lambda scene: (scene.split != "test", scene.number))
    path = plan.root / SEGMENTATION
    write_atomically(path, lambda temporary: _frames(temporary, plan, order), DataError)
    save_v5(plan.root / CLASSES, {"seg37list": cell(plan.classes)})
    listed = {
        split: cell([f"{_AUTHORS}/{_folder(s)}" for s in plan.scenes if s.split == split])
        for split in plan.counts
    }
    save_v5(plan.root / ALLSPLIT, {"alltrain": listed["train"], "alltest": listed["test"]})
    save_v5(plan.root / META, {"SUNRGBDMeta": _meta(plan, order)})
    return plan.described_apart()


def _folder(scene: SceneKey) -> str:
    """Folder of a scene below SUNRGBD, of one of the forms that the four sensors have."""
    number, place = scene.number // 4, scene.number // 4 // _FRAMES_PER_PLACE
    return (
        f"kv1/NYUdata/{scene.name}",
        f"kv2/kinect2data/{number:06d}_{scene.name}-resize",
        f"realsense/lg/{scene.name}",
        f"xtion/sun3ddata/{scene.split}_{place:03d}/{scene.split}_{place:03d}/{scene.name}",
    )[scene.number % 4]


def _frames(path: Path, plan: Plan, order: list[SceneKey]) -> None:
    """Writes every frame, and the file of all labels to ``path``."""
    with create_v73(path) as file:
        references = {}
        for scene, rendered in plan.rendered(("rgb", "depth", "depth_clean", plan.labels)):
            labels = _file_labels(rendered[plan.labels], plan)
            _frame(plan, scene, rendered, labels)
            references[scene] = file.reference(labels)
        listed = [references[scene] for scene in order]
        # seglabelall numbers all names that occur; those of Rooms are the classes.
        file.struct_array("SUNRGBD2Dseg", {"seglabelall": listed, "seglabel": listed})


def _frame(plan: Plan, scene: SceneKey, rendered: Rendered, labels: NDArray[np.uint8]) -> None:
    folder = plan.root / "SUNRGBD" / _folder(scene)
    write_bytes(folder / "image" / f"{scene.name}.jpg", _jpeg(rendered["rgb"]), DataError)
    for name, metres in (("depth", rendered["depth"]), ("depth_bfx", without_holes(rendered))):
        write_png(folder / name / f"{scene.name}.png", _rotated(metres))
    numbers = " ".join(f"{value:.6f}" for value in _intrinsics(plan, scene).ravel())
    write_text(folder / "intrinsics.txt", numbers + "\n", DataError)
    write_text(folder / "scene.txt", "room", DataError)
    seg = {"names": cell(plan.classes), "seglabel": labels.astype(np.float64)}
    save_v5(folder / "seg.mat", seg)


def _intrinsics(plan: Plan, scene: SceneKey) -> NDArray[np.float64]:
    """The camera as the toolbox has it: pixels count from 1."""
    matrix = plan.intrinsics(scene)
    matrix[:2, 2] += 1.0
    return matrix


def _file_labels(labels: NDArray[Any], plan: Plan) -> NDArray[np.uint8]:
    is_labelled = labels < len(plan.classes)
    return np.where(is_labelled, labels + 1, 0).astype(np.uint8)


def _rotated(metres: NDArray[Any]) -> NDArray[np.uint16]:
    """Whole millimetres with their bits rotated left by three places; 0 where nothing is."""
    stored = in_steps(metres, 1000.0, np.uint16)
    return np.asarray(stored << 3 | stored >> 13)


def _jpeg(rgb: NDArray[Any]) -> bytes:
    best = (
        *(cv2.IMWRITE_JPEG_QUALITY, 100),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), best)
    return encoded.tobytes()


def _meta(plan: Plan, order: list[SceneKey]) -> NDArray[Any]:
    """The struct array of all frames, with those of its fields that tell where they are."""
    fields = ("sequenceName", "depthpath", "rgbpath", "depthname", "rgbname", "sensorType", "K")
    frames = np.zeros((1, len(order)), dtype=[(name, object) for name in fields])
    for index, scene in enumerate(order):
        folder, picture = _folder(scene), f"{scene.name}.jpg"
        depth = f"{scene.name}.png"
        frames[0, index] = (
            f"SUNRGBD/{folder}",
            f"{_AUTHORS}/{folder}/depth_bfx/{depth}",
            f"{_AUTHORS}/{folder}/image/{picture}",
            depth,
            picture,
            folder.split("/")[0],
            _intrinsics(plan, scene),
        )
    return frames
