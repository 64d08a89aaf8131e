"""A folder of one's own sensors, and its YAML with changes."""

import cv2
import numpy as np
import yaml

from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder

SIZE = (24, 32)
CLASSES = ["road", "person", "car"]
COLOURS = {"road": [128, 64, 128], "person": [220, 20, 60], "car": [0, 0, 142]}

MINIMAL = {
    "modalities": {
        "rgb": {"pattern": "rgb/{id}.png"},
        "thermal": {"pattern": "thermal/{id}.tif", "kind": "continuous"},
    },
    "outputs": {"segmentation": {"pattern": "labels/{id}.png", "classes": CLASSES}},
}


def say(root, /, *, at="dataset.yaml", **changes):
    """Writes the YAML: MINIMAL with dotted keys changed, None removing one."""
    said = yaml.safe_load(yaml.safe_dump(MINIMAL))
    for key, value in changes.items():
        node, *path = said, *key.split("__")
        for part in path[:-1]:
            node = node.setdefault(part, {})
        if value is None:
            del node[path[-1]]
        else:
            node[path[-1]] = value
    (root / at).write_text(yaml.safe_dump(said, sort_keys=False))


def make_root(tmp_path):
    """Ten frames of colour (PNG), thermal (float TIFF) and labels; a YAML of the fewest lines."""
    rng = np.random.default_rng(0)
    for folder in ("rgb", "thermal", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        write_png(tmp_path / f"rgb/{number:02d}.png", rng.integers(0, 255, (*SIZE, 3), np.uint8))
        write_png(tmp_path / f"labels/{number:02d}.png", rng.integers(0, 3, SIZE, np.uint8))
        heat = rng.normal(20, 5, SIZE).astype(np.float32)
        assert cv2.imwrite(str(tmp_path / f"thermal/{number:02d}.tif"), heat)
    say(tmp_path)
    return tmp_path


def names(root, split, **options):
    data = AlignedFolder(root, split, **options)
    return [data.name(index) for index in range(len(data))]


def all_names(root, **options):
    return {split: names(root, split, **options) for split in ("train", "validation", "test")}
