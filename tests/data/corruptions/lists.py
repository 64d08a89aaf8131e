"""Damaged lists and descriptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from tests.data.corruptions.damage import (
    FINE,
    NOISE,
    PATHS,
    Variant,
    as_folder,
    depths,
    looped,
    replaced,
    written,
)


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
        variant("list-binary", lambda r: replaced(r / "val.txt", NOISE), "val.txt"),
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
            "layout",
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
        variant("yaml-noise", lambda r: replaced(r / "dataset.yaml", NOISE), "dataset.yaml"),
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
