"""Damaged .mat files: those of NYUDv2 and the metadata of SUN RGB-D."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from tests.data.corruptions.damage import FILES, FINE, Variant


def hdf5(change: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        with h5py.File(root / MAT, "r+") as file:
            change(file)

    return spoil


def reshaped(file: h5py.File, name: str, values: Any) -> None:
    del file[name]
    file[name] = values


def bomb(file: h5py.File) -> None:
    """Nothing on disk, 20,000 x 20,000 pixels each when read."""
    frames = file["depths"].shape[0]
    for name, shape in (
        ("images", (frames, 3, 20000, 20000)),
        ("depths", (frames, 20000, 20000)),
        ("labels", (frames, 20000, 20000)),
    ):
        kind = file[name].dtype
        del file[name]
        file.create_dataset(name, shape, kind, chunks=(1,) * (len(shape) - 2) + (500, 500))


MAT = "nyu_depth_v2_labeled.mat"


def of_containers() -> list[Variant]:
    """Damaged .mat files of NYUDv2 and of SUN RGB-D's toolbox."""

    def mat(name: str, spoil: Callable[[Path], object], tells: str, *kinds: str) -> Variant:
        return Variant(name, "nyudv2-mat", spoil, tells, kinds or ("layout",))

    def splits(**keys: Any) -> Callable[[Path], object]:
        def spoil(root: Path) -> None:
            said = scipy.io.loadmat(root / "splits.mat")
            kept = {k: v for k, v in said.items() if not k.startswith("__")}
            scipy.io.savemat(root / "splits.mat", {**kept, **keys})

        return spoil

    made = [
        mat(f"{part}-{name}", lambda r, s=spoil, f=file: s(r / f), file, "layout", "unreadable")
        for part, file in (
            ("mat", MAT),
            ("splits", "splits.mat"),
            ("classes", "classMapping40.mat"),
        )
        for name, (spoil, _) in FILES.items()
        # What is needed of the class names stands in the first half of their file.
        if name != "bomb" and (part, name) != ("classes", "cut-in-half")
    ]
    made += [
        mat(f"no-{name}", hdf5(lambda f, n=name: f.__delitem__(n)), MAT, "layout", "unreadable")
        for name in ("images", "depths", "labels")
    ]
    made += [
        mat(
            f"{name}-group",
            hdf5(lambda f, n=name: (f.__delitem__(n), f.create_group(n))),
            MAT,
            "layout",
            "unreadable",
        )
        for name in ("images", "depths", "labels")
    ]
    return [
        *made,
        mat(
            "fewer-depths",
            hdf5(lambda f: reshaped(f, "depths", f["depths"][:3])),
            MAT,
            "layout",
            "unreadable",
        ),
        mat(
            "depths-of-other-size",
            hdf5(lambda f: reshaped(f, "depths", f["depths"][:, :-1])),
            MAT,
            "layout",
            "size",
            "unreadable",
        ),
        mat(
            "depths-negative",
            hdf5(lambda f: reshaped(f, "depths", -f["depths"][:])),
            "",
            "depth",
            "unit",
        ),
        mat(
            "depths-zero",
            hdf5(lambda f: reshaped(f, "depths", 0 * f["depths"][:])),
            "",
            "depth",
        ),
        mat(
            "images-flat",
            hdf5(lambda f: reshaped(f, "images", f["images"][:, 0])),
            MAT,
            "layout",
            "unreadable",
        ),
        mat(
            "labels-beyond-the-classes",
            hdf5(lambda f: reshaped(f, "labels", f["labels"][:] + np.uint16(5000))),
            MAT,
            "layout",
            "label",
            "unreadable",
        ),
        mat("bomb", hdf5(bomb), MAT, "layout", "unreadable"),
        mat("split-of-nobody", splits(trainNdxs=np.zeros((0, 1))), "splits.mat"),
        mat("split-beyond", splits(testNdxs=np.array([[7.0], [70000.0]])), "splits.mat"),
        mat("split-zero", splits(testNdxs=np.array([[0.0], [1.0]])), "splits.mat"),
        mat(
            "split-shared",
            splits(testNdxs=np.array([[1.0], [2.0]]), trainNdxs=np.array([[1.0], [2.0], [3.0]])),
            "",
            "layout",
            "duplicate",
        ),
        mat("split-text", splits(testNdxs="all"), "splits.mat"),
        *of_sunrgbd(),
    ]


def of_sunrgbd() -> list[Variant]:
    """Damaged metadata of SUN RGB-D."""

    def sun(name: str, spoil: Callable[[Path], object], tells: str, *kinds: str) -> Variant:
        return Variant(name, "sunrgbd", spoil, tells, kinds)

    frame = Path("SUNRGBD/realsense/lg/train_00002")
    seg = "SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat"
    split = "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
    # Without the toolbox's file, labels are those of each frame's seg.mat.
    absent = ("gone",)
    made = [
        sun(
            f"seg-{name}",
            lambda r, s=spoil: s(r / seg),
            Path(seg).name,
            *([FINE] if name in absent else ["layout", "unreadable"]),
        )
        for name, (spoil, _) in FILES.items()
    ]
    made += [
        sun(f"split-{name}", lambda r, s=spoil: s(r / split), Path(split).name, "layout")
        for name, (spoil, _) in FILES.items()
    ]
    return [
        *made,
        sun(
            "intrinsics-text",
            lambda r: (r / frame / "intrinsics.txt").write_text("focal length: long"),
            "train_00002",
            "unreadable",
        ),
        sun(
            "intrinsics-nan",
            lambda r: (r / frame / "intrinsics.txt").write_text("nan 0 1 0 nan 1 0 0 1"),
            "train_00002",
            "unreadable",
        ),
        sun(
            "intrinsics-short",
            lambda r: (r / frame / "intrinsics.txt").write_text("1 2"),
            "train_00002",
            "unreadable",
        ),
    ]
