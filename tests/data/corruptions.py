"""Ways in which data sets are damaged, by layout: what is done, and what must be said of it.

A variant says of which files the finding must speak (by a part of their path) and which kinds it
may have; ``FINE`` marks what is read as documented, without a finding.
"""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import scipy.io
import yaml

from cen.data.files import write_png

SIZE = (24, 32)
FINE = "fine"
_RNG = np.random.default_rng(0)
_NOISE = _RNG.integers(0, 256, 5000, dtype=np.uint8).tobytes()
_COLOURS = _RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Variant:
    """One damaged data set.

    Attributes:
        name: what is wrong.
        layout: of the data set.
        spoil: does it, to a copy.
        tells: a part of the path that the message must name.
        kinds: kinds of finding of which one must be there; FINE for none.
    """

    name: str
    layout: str
    spoil: Callable[[Path], object]
    tells: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.layout}-{self.name}"


def png_bomb(width: int = 20000, height: int = 20000) -> bytes:
    """A PNG of a few bytes whose header claims gigabytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        import zlib

        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    import zlib

    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def replaced(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def zipped(path: Path) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.txt", "x" * 500)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone" + path.suffix)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def written(path: Path, values: Any) -> None:
    """An array under a name that may say another type: a PNG, or NPY where floats are needed."""
    path.unlink()
    if values.dtype in (np.uint8, np.uint16):
        other = path.with_name("temporary.png")
        write_png(other, values)
        other.rename(path)
    else:
        with path.open("wb") as file:
            np.save(file, values)


def depths(low: float = 800, high: float = 4000) -> Any:
    return np.linspace(low, high, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda p: replaced(p, b""), "unreadable"),
    "cut-in-half": (lambda p: replaced(p, content_of(p)[: p.stat().st_size // 2]), "unreadable"),
    "cut-in-the-header": (lambda p: replaced(p, content_of(p)[:12]), "unreadable"),
    "noise": (lambda p: replaced(p, _NOISE), "unreadable"),
    "text": (lambda p: replaced(p, b"404: not found\n"), "unreadable"),
    "gzip": (lambda p: replaced(p, gzip.compress(content_of(p))), "unreadable"),
    "zip": (zipped, "unreadable"),
    "folder": (as_folder, "unreadable"),
    "link-to-itself": (looped, "missing"),
    "link-to-nothing": (dangling, "missing"),
    "pipe": (as_pipe, "unreadable"),
    "gone": (lambda p: p.unlink(), "missing"),
    "bomb": (lambda p: replaced(p, png_bomb()), "unreadable"),
}
"""What can happen to any file."""

IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, _COLOURS[:1, :1]), "size"),
    "other-size": (lambda p: written(p, _COLOURS[:, :-1]), "size"),
    "constant": (lambda p: written(p, np.full((*SIZE, 3), 7, np.uint8)), "constant"),
    "16-bit-grey": (lambda p: written(p, depths()), "unreadable"),
    # A grey picture in place of a colour one is read as grey colours (docs/modalities.md).
    "grey": (lambda p: written(p, _COLOURS[..., 0].copy()), FINE),
}
DEPTHS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, depths()[:1, :1].copy()), "size"),
    "other-size": (lambda p: written(p, depths()[:-1].copy()), "size"),
    "colours": (lambda p: written(p, _COLOURS), "unreadable"),
    "constant": (lambda p: written(p, np.full(SIZE, 2000, np.uint16)), "constant"),
}
LABELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one-pixel": (lambda p: written(p, np.zeros((1, 1), np.uint8)), "size"),
    "other-size": (lambda p: written(p, np.zeros((24, 31), np.uint8)), "size"),
    "colours": (lambda p: written(p, _COLOURS), "unreadable"),
    "label-41": (lambda p: written(p, np.full(SIZE, 41, np.uint8)), "label"),
    "label-300": (lambda p: written(p, np.full(SIZE, 300, np.uint16)), "label"),
    "floats": (lambda p: written(p, np.zeros(SIZE, np.float32)), "unreadable"),
    "negative": (lambda p: written(p, np.full(SIZE, -1, np.int32)), "label"),
    "nothing-labelled": (lambda p: written(p, np.full(SIZE, 255, np.uint8)), "label"),
}

_HOLES = {"nyudv2": 0, "folder": 0, "sunrgbd": 0, "taskonomy": 65535}
# Where messages must name the file, by layout and field: the path below the root.
PATHS = {
    "nyudv2": {
        "rgb": "rgb/train_00002.png",
        "depth": "depth/train_00002.png",
        "label": "masks/train_00002.png",
    },
    "folder": {
        "rgb": "rgb/train_00002.png",
        "depth": "depth/train_00002.png",
        "label": "parts/train_00002.png",
    },
    "taskonomy": {
        "rgb": "rgb/point_2_view_0_domain_rgb.png",
        "depth": "depth_zbuffer/point_2_view_0_domain_depth_zbuffer.png",
        "label": "segment_semantic/point_2_view_0_domain_segmentsemantic.png",
    },
    "sunrgbd": {
        "rgb": "SUNRGBD/realsense/lg/train_00002/image/train_00002.jpg",
        "depth": "SUNRGBD/realsense/lg/train_00002/depth_bfx/train_00002.png",
    },
}


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
        hole = np.full(SIZE, _HOLES[layout], np.uint16)
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


def line(root: Path, name: str, number: int, change: Callable[[str], str]) -> None:
    """Changes one line of a list."""
    lines = (root / name).read_text().splitlines()
    lines[number] = change(lines[number])
    (root / name).write_text("\n".join(lines) + "\n")


def float_depth(root: Path, change: Callable[[Any], Any]) -> None:
    """A depth map of floats, in metres, where the layout takes any file."""
    path = root / PATHS["nyudv2"]["depth"]
    values = (depths() / 1000.0).astype(np.float32)
    written(path, np.asarray(change(values) / 0.001, dtype=np.float32))


def negative(values: Any) -> Any:
    return np.where(values > 2, -values, values)


def with_nan(values: Any) -> Any:
    values = values.copy()
    values[:3], values[3:5], values[5:6] = np.nan, np.inf, -np.inf
    return values


def all_depth(root: Path, factor: float) -> None:
    """Every depth file times a factor: another unit than the declared one."""
    for path in (root / "depth").iterdir():
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32)
        written(path, (stored * factor).astype(np.float32))


def eight_bits(root: Path) -> None:
    for path in (root / "depth").iterdir():
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        written(path, (stored // 32).astype(np.uint8))


def copied(one: str, other: str) -> Callable[[Path], object]:
    return lambda root: replaced(root / other, (root / one).read_bytes())


def yaml_set(root: Path, **keys: Any) -> None:
    said = yaml.safe_load((root / "dataset.yaml").read_text())
    (root / "dataset.yaml").write_text(yaml.safe_dump({**said, **keys}))


def laughs() -> str:
    """YAML whose 10 lines mean 10^9 names."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join([*lines, "classes: *a8", ""])


def swapped_columns(text: str) -> str:
    rows = [row.split("\t") for row in text.splitlines()]
    return "\n".join("\t".join((b, a, c)) for a, b, c in rows) + "\n"


def of_lists() -> list[Variant]:
    """Damaged lists and descriptions of the NYUDv2 folder."""

    def variant(name: str, spoil: Callable[[Path], object], tells: str, *kinds: str) -> Variant:
        return Variant(name, "nyudv2", spoil, tells, kinds or ("layout",))

    def rewrite(name: str, change: Callable[[str], str]) -> Callable[[Path], object]:
        return lambda r: (r / name).write_text(change((r / name).read_text()))

    return [
        variant("list-empty", lambda r: replaced(r / "train.txt", b""), "train.txt"),
        variant("test-list-empty", lambda r: replaced(r / "val.txt", b"\n\n"), "val.txt"),
        variant("list-gone", lambda r: (r / "val.txt").unlink(), "val.txt"),
        variant("list-folder", lambda r: as_folder(r / "val.txt"), "val.txt"),
        variant("list-loop", lambda r: looped(r / "val.txt"), "val.txt"),
        variant("list-latin1", lambda r: replaced(r / "val.txt", b"rgb/M\xfcll.png"), "val.txt"),
        variant("list-utf16", rewrite("val.txt", lambda t: t), "val.txt", FINE),
        variant("list-binary", lambda r: replaced(r / "val.txt", _NOISE), "val.txt"),
        variant("list-commas", rewrite("val.txt", lambda t: t.replace("\t", ",")), "val.txt"),
        variant(
            "columns-swapped", rewrite("train.txt", swapped_columns), "train.txt", "unreadable"
        ),
        variant(
            "one-column", lambda r: line(r, "val.txt", 0, lambda s: s.split("\t")[0]), "val.txt"
        ),
        variant("path-up", lambda r: line(r, "val.txt", 0, lambda s: "../" + s), "val.txt"),
        variant(
            "path-up-inside",
            lambda r: line(r, "val.txt", 0, lambda s: s.replace("rgb/", "rgb/../../rgb/")),
            "val.txt",
        ),
        variant("path-absolute", lambda r: line(r, "val.txt", 0, lambda s: "/etc" + s), "val.txt"),
        variant(
            "path-null",
            lambda r: line(r, "val.txt", 0, lambda s: s.replace("rgb/", "rgb/\0")),
            "val.txt",
            "layout",
            "missing",
            "unreadable",
        ),
        variant(
            "path-of-5000-letters",
            lambda r: line(r, "val.txt", 0, lambda s: s.replace("rgb/", "rgb/" + "a" * 5000)),
            "val.txt",
            "layout",
            "missing",
            "unreadable",
        ),
        variant(
            "lists-the-same",
            lambda r: replaced(r / "val.txt", (r / "train.txt").read_bytes()),
            "val.txt",
            "duplicate",
        ),
        variant(
            "line-twice",
            lambda r: line(r, "train.txt", 2, lambda s: s + "\n" + s),
            "train.txt",
            "duplicate",
        ),
        variant(
            "frame-in-two-splits",
            copied("rgb/train_00000.png", "rgb/test_00000.png"),
            "rgb/test_00000.png",
            "duplicate",
        ),
        variant(
            "frame-in-train-and-validation",
            lambda r: [
                copied(f"rgb/train_0000{a}.png", f"rgb/train_0000{b}.png")(r)
                for a, b in ((0, 1), (0, 2), (0, 3), (0, 4), (0, 5))
            ],
            "train.txt",
            "duplicate",
        ),
        variant("yaml-broken", lambda r: replaced(r / "dataset.yaml", b"a: [1"), "dataset.yaml"),
        variant("yaml-list", lambda r: replaced(r / "dataset.yaml", b"- 1"), "dataset.yaml"),
        variant("yaml-noise", lambda r: replaced(r / "dataset.yaml", _NOISE), "dataset.yaml"),
        variant("yaml-folder", lambda r: as_folder(r / "dataset.yaml"), ""),
        variant("yaml-gone", lambda r: (r / "dataset.yaml").unlink(), ""),
        variant("yaml-laughs", lambda r: (r / "dataset.yaml").write_text(laughs()), ""),
        variant("classes-none", lambda r: yaml_set(r, classes=[]), ""),
        variant("classes-negative", lambda r: yaml_set(r, classes=-3), ""),
        variant("classes-text", lambda r: yaml_set(r, classes="road"), ""),
        variant("classes-too-few", lambda r: yaml_set(r, classes=["floor"]), "masks/", "label"),
        variant("palette-short", lambda r: yaml_set(r, palette=[[1, 2]]), "dataset.yaml"),
        variant("unit-zero", lambda r: yaml_set(r, depth_unit=0), "depth", "layout"),
        variant("unit-text", lambda r: yaml_set(r, depth_unit="mm"), "depth", "layout"),
        variant("unit-metres", lambda r: yaml_set(r, depth_unit=1), "unit 0.001", "unit"),
        variant("unit-tenths", lambda r: yaml_set(r, depth_unit=1e-5), "unit 0.001", "unit"),
        variant("depth-in-metres", lambda r: all_depth(r, 0.001), "unit 1 ", "unit"),
        variant("depth-of-8-bits", eight_bits, "depth/train_00000.png", "depth"),
        variant("depth-negative", lambda r: float_depth(r, negative), "depth/", "depth"),
        variant("depth-nan-inf", lambda r: float_depth(r, with_nan), "depth/", FINE),
        variant("depth-all-nan", lambda r: float_depth(r, lambda v: v * np.nan), "depth/", "depth"),
        variant("root-empty", lambda r: [p.rename(r.parent / p.name) for p in r.iterdir()], ""),
    ]


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


VARIANTS = [*of_files(), *of_lists(), *of_containers(), *of_shards()]
