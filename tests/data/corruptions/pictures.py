"""Damaged single files of the layouts that are folders of pictures, and of shards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.data.corruptions.damage import (
    DEPTHS,
    FILES,
    HOLES,
    IMAGES,
    LABELS,
    PATHS,
    SIZE,
    Variant,
    written,
)


def of_files() -> list[Variant]:
    """Damaged single files of the layouts that are folders of pictures."""
    made = []
    for layout, paths in PATHS.items():
        for field, path in paths.items():
            own = {"rgb": IMAGES, "depth": DEPTHS, "label": LABELS}[field]
            for name, (spoil, kind) in {**FILES, **own}.items():
                # A missing file may be noticed when the lists are matched with the folders.
                kinds = (kind, "layout") if kind == "missing" else (kind,)
                made.append(
                    Variant(
                        f"{field}-{name}",
                        layout,
                        lambda root, spoil=spoil, path=path: spoil(root / path),
                        # SUN RGB-D names its files freely: the folder is what is known of them.
                        str(Path(path).parent) if layout == "sunrgbd" else path,
                        kinds,
                    )
                )
        hole = np.full(SIZE, HOLES[layout], np.uint16)
        depth = paths["depth"]
        made.append(
            Variant(
                "depth-all-holes",
                layout,
                lambda root, path=depth, hole=hole: written(root / path, hole),
                depth,
                ("depth",),
            )
        )
    return made


def shard(name: str, spoil: Callable[[Path], object], tells: str, *kinds: str) -> Variant:
    return Variant(name, "shards", spoil, tells, kinds or ("layout", "unreadable", "missing"))


def of_shards() -> list[Variant]:
    """Damaged shards."""
    return [
        shard(f"{part}-{name}", lambda r, s=spoil, f=file: s(r / f), file)
        for part, file in (
            ("tar", "train/000001.tar"),
            ("index", "train/index.npy"),
            ("yaml", "shards.yaml"),
        )
        for name, (spoil, _) in FILES.items()
        if name != "bomb"
    ]
