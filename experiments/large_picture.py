"""What a large picture costs in tiles and at once, and how far the two predictions are apart.

Test scenes of Rooms are laid side by side, at the scale that the network was trained at, to a
picture of 4,000 x 3,000 pixels; `cen predict` is run on it in a process of its own for every
``--tile``. The peak is the resident memory of that process at most, libraries included; the time
is that of its processors. The last columns are the pixels whose class differs from that of the
last tile named, and the mIoU.

    python experiments/large_picture.py runs/mine --data data/rooms --tile auto none
    python experiments/large_picture.py --new resnet101 --data data/rooms --tile auto

With ``--new`` a network of the sizes of `nyudv2-refinenet101` takes the place of a trained one:
for memory and time, of which the weights change nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDERS = ("rgb", "depth", "masks")


def main() -> None:
    """Prints a row for every tile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="run folder or .safetensors file")
    parser.add_argument("--new", help="encoder of a network with random weights in its place")
    parser.add_argument("--data", type=Path, required=True, help="Rooms, as cen data rooms writes")
    parser.add_argument("--size", type=int, nargs=2, default=[3000, 4000], help="height and width")
    parser.add_argument("--tile", nargs="+", default=["auto", "none"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run = args.run or new_network(args.new, work / "new.safetensors")
        for name in FOLDERS:
            Image.fromarray(mosaic(args.data / name, *args.size)).save(work / f"{name}.png")
        truth = np.asarray(Image.open(work / "masks.png"))
        rows = [(tile, *predict(run, work, tile)) for tile in args.tile]
        reference = rows[-1][-1]
    print(
        "| `--tile` | peak, GiB | processor s | other labels, % | mIoU, % |\n|---|---|---|---|---|"
    )
    for tile, peak, seconds, labels in rows:
        other = 100 * float((labels != reference).mean())
        score = miou(labels, truth)
        print(f"| {tile} | {peak / 2**30:.2f} | {seconds:.0f} | {other:.3f} | {score:.2f} |")


def mosaic(folder: Path, height: int, width: int) -> NDArray[np.generic]:
    """The test scenes of a folder side by side, from the first one again when all are there."""
    scenes = [np.asarray(Image.open(file)) for file in sorted(folder.glob("test_*.png"))]
    h, w = scenes[0].shape[:2]
    down, across = -(-height // h), -(-width // w)
    lines = [
        np.concatenate([scenes[(row * across + at) % len(scenes)] for at in range(across)], 1)
        for row in range(down)
    ]
    return np.concatenate(lines)[:height, :width]


def predict(run: Path, work: Path, tile: str) -> tuple[int, float, NDArray[np.generic]]:
    """Bytes at most, processor seconds and the labels of one `cen predict`."""
    words = [sys.executable, "-m", "cen", "predict", str(run), "--tile", tile]
    words += ["--rgb", str(work / "rgb.png"), "--depth", str(work / "depth.png")]
    process = subprocess.Popen([*words, "-o", str(work / tile)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"--tile {tile}: cen predict ended with {process.returncode}")
    labels = np.asarray(Image.open(work / tile / "labels.png"))
    return _kilobytes(used) * 1024, used.ru_utime + used.ru_stime, labels


def _kilobytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def new_network(encoder: str, file: Path) -> Path:
    """Writes a network of 40 classes, as wide as published ones, that was not trained."""
    import cen
    from cen.data import Modality

    inputs = {"rgb": 3, "depth": 1}
    net = cen.build("refinenet", encoder=encoder, inputs=inputs, outputs={"segmentation": 40})
    kinds = {"rgb": Modality.of("image"), "depth": Modality.of("depth", unit=1e-3)}
    read = {name: modality.to_dict() for name, modality in kinds.items()}
    cen.save(net, file, metadata={"preprocessing": read})
    return file


def miou(labels: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """The mean IoU of the classes that the ground truth has, in %."""
    import torch

    from cen.tasks.segmentation import confusion_matrix

    pair = (torch.from_numpy(image.astype(np.int64)) for image in (labels, truth))
    counts = confusion_matrix(*pair, classes=256).numpy()
    hits, occurs = counts.diagonal(), counts.sum(1) > 0
    union = counts.sum(0) + counts.sum(1) - hits
    return 100 * float(np.mean(hits[occurs] / union[occurs]))


if __name__ == "__main__":
    main()
