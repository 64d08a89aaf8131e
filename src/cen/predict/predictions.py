"""What is predicted of one scene, and its files: segmentations, depth, normals, edges, images."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cen import notebook
from cen.data.formats.pictures import write_png
from cen.errors import DataError
from cen.files import write_atomically, write_bytes
from cen.report.colours import Image, colorize, overlay, palette
from cen.report.legend import legend_entries, legend_png, scale_png
from cen.report.painting import paint, scale_limits
from cen.report.style import picture
from cen.tasks import KINDS

Labels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Prediction:
    """What a network says about one scene.

    Attributes:
        labels: class ids of the ensemble, (H, W), uint8 (uint16 with more than 256 classes).
        streams: class ids by stream, for the modalities given.
        alpha: weight of each of these streams in the ensemble; they sum to 1.
        classes: class names in the order of the ids.
        palette: RGB of each class, (C, 3) uint8.
        picture: the scene as RGB (H, W, 3), the background of the overlay.
        probabilities: of the ensemble, (C, H, W) float32, sum 1 over the classes; None unless
            asked for.
    """

    labels: Labels
    streams: dict[str, Labels]
    alpha: dict[str, float]
    classes: tuple[str, ...]
    palette: Image
    picture: Image
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False)

    def legend(self) -> list[dict[str, Any]]:
        """Per class: ``id``, ``class``, ``colour``, ``pixels`` and ``share`` of the image."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes)).tolist()
        return legend_entries(counts, self.classes, self.palette.tolist())

    def facts(self) -> dict[str, Any]:
        """A few figures: α, and the entries of the legend whose classes occur."""
        present = [entry for entry in self.legend() if entry["pixels"]]
        return {"kind": "segmentation", "alpha": self.alpha, "classes": present}

    def _repr_html_(self) -> str:
        """For notebooks: the labels over the picture, the largest classes, α."""
        present = sorted(self.facts()["classes"], key=lambda entry: -entry["pixels"])
        rows = [(entry["class"], f"{entry['share']:.1%}") for entry in present]
        painted = picture(overlay(self.picture, self.labels, self.palette), photo=True, limit=480)
        height, width = self.labels.shape
        return (
            notebook.figure(painted, f"{height} × {width} pixels")
            + notebook.table("Classes", rows)
            + _weights(self.alpha)
        )

    def save(self, out: str | Path, prefix: str = "", *, legend: bool = True) -> dict[str, Path]:
        """Write the prediction as files.

        Args:
            out: folder, made if needed. Files of an earlier prediction are replaced, or go where
                this one has none.
            prefix: start of the file names, to keep several predictions in one folder.
            legend: whether the legend is drawn.

        Returns:
            The files: ``labels`` (PNG of class ids), ``colours`` (the same, painted), ``overlay``
            (painted over the picture), ``legend`` (PNG), ``classes`` (JSON: name, colour and pixel
            share of every class, α) and, where they were asked for, ``probabilities`` (NPZ of one
            array of this name).
        """
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        images = {
            "labels": self.labels,
            "colours": colorize(self.labels, self.palette),
            "overlay": overlay(self.picture, self.labels, self.palette),
        }
        paths = {name: folder / f"{prefix}{name}.png" for name in images}
        for name, image in images.items():
            write_png(paths[name], image)
        paths |= write_classes(folder, prefix, self.legend(), self.alpha, legend)
        probabilities = folder / f"{prefix}probabilities.npz"
        # Those of an earlier prediction are not of these labels.
        probabilities.unlink(missing_ok=True)
        if (shares := self.probabilities) is not None:
            paths["probabilities"] = probabilities
            _write_array(
                probabilities, lambda file: np.savez_compressed(file, probabilities=shares)
            )
        return paths


def file_prefix(output: str, outputs: Collection[str]) -> str:
    """How the names of an output's files begin: with its own where there are several."""
    return f"{output}-" if len(outputs) > 1 else ""


def write_classes(
    folder: Path,
    prefix: str,
    entries: Sequence[Mapping[str, Any]],
    alpha: Mapping[str, float],
    legend: bool = True,
) -> dict[str, Path]:
    """Writes what tells of classes: ``legend``, where it is wanted, and ``classes``."""
    paths = {}
    drawn = folder / f"{prefix}legend.png"
    drawn.unlink(missing_ok=True)  # of other classes, perhaps
    if legend:
        paths["legend"] = drawn
        write_bytes(drawn, legend_png(entries))
    paths["classes"] = folder / f"{prefix}classes.json"
    text = json.dumps({"classes": entries, "alpha": alpha}, indent=1, ensure_ascii=False)
    write_bytes(paths["classes"], f"{text}\n".encode())
    return paths


@dataclass(frozen=True)
class DenseOutput:
    """What a network says about one scene, for one output.

    Attributes:
        kind: "depth", "normal", "edge" or "image".
        values: of the ensemble: depth (H, W) float32 metres; normals (H, W, 3) float32 unit vectors
            (x right, y down, z forward); edges (H, W) float32 probabilities; images (H, W, 3)
            uint8, or (H, W) with one channel; images that were learnt from continuous values or
            normals (H, W) or (H, W, C) float32 in the unit of these.
        streams: the same by stream, for the modalities given.
        alpha: weight of each of these streams in the ensemble; they sum to 1.
        shown: what is painted in place of ``values``: of continuous values and normals the image
            that the network gives; None: the values themselves.
    """

    kind: str
    values: NDArray[Any]
    streams: dict[str, NDArray[Any]]
    alpha: dict[str, float]
    shown: NDArray[Any] | None = None

    def picture(self) -> Image:
        """The values painted, (H, W, 3) uint8: depth in colours, normals as colours, edges grey."""
        values = self.values if self.shown is None else self.shown
        return paint(self.kind, values, palette(0))

    def _repr_html_(self) -> str:
        """For notebooks: the values painted, their range, α."""
        facts = self.facts()
        rows = [(name, notebook.number(facts[name])) for name in ("least", "mean", "greatest")]
        return (
            notebook.figure(picture(self.picture(), photo=True, limit=480), self.kind)
            + notebook.table("Values", rows)
            + _weights(self.alpha)
        )

    def facts(self) -> dict[str, Any]:
        """A few figures: the range of the values, α."""
        values = np.asarray(self.values, dtype=np.float64)
        limits = {"least": float(values.min()), "mean": float(values.mean())}
        return {"kind": self.kind, **limits, "greatest": float(values.max()), "alpha": self.alpha}

    def save(self, out: str | Path, prefix: str = "") -> dict[str, Path]:
        """Write the prediction as files.

        Args:
            out: folder, made if needed. Files of an earlier prediction are replaced, or go where
                this one, perhaps of another kind, has none.
            prefix: start of the file names.

        Returns:
            The files: ``picture`` (PNG, painted), ``values`` (``.npy``, exact; none of a picture of
            1 or 3 channels, whose values are the 8 bits of the PNG), for depth also ``millimetres``
            (16-bit PNG, 0 where it is 0 or less) and ``scale`` (PNG of the colours from near to
            far).
        """
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        for name in _beside_pictures():
            (folder / f"{prefix}{name}").unlink(missing_ok=True)
        paths = {"picture": folder / f"{prefix}picture.png"}
        write_png(paths["picture"], self.picture())
        if self.values.dtype != np.uint8:
            paths["values"] = folder / f"{prefix}values.npy"
            _write_array(paths["values"], lambda file: np.save(file, self.values))
        for name, stored in KINDS[self.kind].further_files(self.values).items():
            paths[name] = folder / f"{prefix}{name}.png"
            write_png(paths[name], stored)
        if (limits := scale_limits(self.kind, [self.values])) is not None:
            paths["scale"] = folder / f"{prefix}scale.png"
            write_bytes(paths["scale"], scale_png(limits))
        return paths


def _beside_pictures() -> set[str]:
    """Names of the files that outputs of some kinds have beside their picture, and others not."""
    one = np.ones((1, 1), np.float32)  # of depth there is a file where some of it is above 0
    further = {name for kind in KINDS.values() for name in kind.further_files(one)}
    return {"values.npy", "scale.png", *(f"{name}.png" for name in further)}


def _weights(alpha: Mapping[str, float]) -> str:
    rows = [(name, f"{weight:.2f}") for name, weight in alpha.items()]
    return notebook.table("α", rows) if rows else ""


def _write_array(path: Path, save: Callable[[BinaryIO], None]) -> None:
    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            save(file)

    write_atomically(path, write, DataError)
