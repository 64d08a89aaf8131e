"""Small files in the real format of data sets that Rooms is not written as."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.formats.pictures import write_npy, write_png

LISTS = {"train": 6, "val": 2, "test": 2}
Size = tuple[int, int]


def _bytes(
    rng: np.random.Generator, size: Size, channels: int, top: int = 255
) -> NDArray[np.uint8]:
    shape = (*size, channels) if channels > 1 else size
    return rng.integers(0, top + 1, shape).astype(np.uint8)


def _lists(folder: Path, name: str) -> list[str]:
    """Writes the three lists of names; gives all names."""
    folder.mkdir(parents=True)
    names = {split: [name.format(split, n) for n in range(LISTS[split])] for split in LISTS}
    for split, listed in names.items():
        (folder / f"{split}.txt").write_text("\n".join(listed) + "\n")
    return [one for listed in names.values() for one in listed]


def write(path: Path, values: NDArray[np.generic]) -> None:
    """Writes a PNG or an NPY in a folder that need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (write_npy if path.suffix == ".npy" else write_png)(path, values)


def mfnet(root: Path, size: Size = (32, 48)) -> Path:
    """Four channels and labels 0..8; train.txt lists mirrored copies, which are not there."""
    rng = np.random.default_rng(1)
    for name in _lists(root, "{}{:04d}D"):
        write(root / "images" / f"{name}.png", _bytes(rng, size, 4))
        write(root / "labels" / f"{name}.png", _bytes(rng, size, 1, 8))
    with (root / "train.txt").open("a") as file:
        file.write("train0000D_flip\n")
    return root


def pst900(root: Path, size: Size = (32, 48)) -> Path:
    """Three recordings to train on, one to test."""
    rng = np.random.default_rng(2)
    frames = [(f"{n // 2}_bag_rect_rgb_frame{n:010d}", "train") for n in range(6)]
    for name, split in [*frames, *((f"9_bag_rect_rgb_frame{n:010d}", "test") for n in range(2))]:
        part = root / split
        write(part / "rgb" / f"{name}.png", _bytes(rng, size, 3))
        write(part / "thermal" / f"{name}.png", _bytes(rng, size, 1))
        write(part / "labels" / f"{name}.png", _bytes(rng, size, 1, 4))
        for folder in ("thermal_raw", "depth"):
            deep = rng.integers(0, 2**16, size).astype(np.uint16)
            write(part / folder / f"{name}.png", deep)
    return root


def deliver(root: Path, size: Size = (48, 48)) -> Path:
    """Two kinds of weather; in one scene events have half of the pixels."""
    rng = np.random.default_rng(3)
    words = {"img": "rgb", "hha": "depth", "event": "event", "lidar": "lidar"}
    for weather in ("rain", "sun"):
        for split, count in LISTS.items():
            for n in range(count // 2):
                scene = "MAP_1_point2_eventlowres" if n == 0 else f"MAP_1_point{n}"
                for folder, word in words.items():
                    small = folder == "event" and n == 0
                    shape = (size[0] // 2, size[1] // 2) if small else size
                    file = f"{folder}/{weather}/{split}/{scene}/{n:06d}_{word}_front.png"
                    write(root / file, _bytes(rng, shape, 3))
                labels = np.repeat(_bytes(rng, size, 1, 25)[..., None], 3, axis=2)
                labels[0, 0], labels[..., 1:] = 255, 0
                file = f"semantic/{weather}/{split}/{scene}/{n:06d}_semantic_front.png"
                write(root / file, labels)
    return root


def mcubes(root: Path, size: Size = (32, 240)) -> Path:
    """16-bit colours, 8-bit infrared that is missing in the first row."""
    rng = np.random.default_rng(4)
    for name in _lists(root / "list_folder", "outscene{}_2_{:010d}"):
        write(root / f"polL_color/{name}.png", rng.integers(0, 2**16, (*size, 3)).astype(np.uint16))
        for folder in ("polL_aolp_sin", "polL_aolp_cos", "polL_dolp"):
            write(root / folder / f"{name}.npy", rng.uniform(-1, 1, size).astype(np.float32))
        write(root / f"NIR_warped/{name}.png", _bytes(rng, size, 1))
        mask = np.zeros(size, np.uint8)
        mask[0] = 255
        write(root / f"NIR_warped_mask/{name}.png", mask)
        labels = _bytes(rng, size, 1, 19)
        labels[1] = 255
        write(root / f"GT/{name}.png", labels)
    return root


MADE_UP: dict[str, Callable[..., Path]] = {
    "mfnet": mfnet,
    "pst900": pst900,
    "deliver": deliver,
    "mcubes": mcubes,
}
"""What writes the files of a layout: (folder, size)."""
