"""Panels: one sample with its truth and predictions, stored as RUN/panels/*.npz.

Whoever trains or evaluates writes them with :func:`save_panel`; the pages read them back, so that
a report can be made anywhere, without the network and without the data.
"""

import io
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError
from cen.files import write_bytes
from cen.runfiles import MOST_CLASSES
from cen.tasks import KINDS

Array = NDArray[Any]

_FIRST_KIND = "segmentation"
"""The kind of outputs in panels that do not say it, as older versions wrote them."""

_OUTPUT = re.compile(r"outputs/(.+?)/(truth|ensemble|kind|(streams|without)/(.+))")


@dataclass(frozen=True)
class PanelOutput:
    """What is known and what was predicted for one output of one sample.

    Attributes:
        truth: ground truth, None if unknown: (H, W) class ids (255 = ignore), depth in metres or
            strengths of edges, (H, W, 3) unit normals or an image; NaN where there is none.
        streams: prediction of each stream, same layout.
        ensemble: prediction of the ensemble, same layout.
        without: prediction of the ensemble of all modalities but one, by that one, same layout.
        kind: the kind of the output, as in `cen.Task`.
    """

    truth: Array | None
    streams: Mapping[str, Array]
    ensemble: Array | None
    kind: str = _FIRST_KIND
    without: Mapping[str, Array] = field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """What is stored, as far as there is any.

        Returns:
            ``truth``, ``streams/NAME``, ``ensemble`` and ``without/NAME``.
        """
        streams = {f"streams/{name}": value for name, value in self.streams.items()}
        without = {f"without/{name}": value for name, value in self.without.items()}
        parts = {"truth": self.truth, **streams, "ensemble": self.ensemble, **without}
        return {part: value for part, value in parts.items() if value is not None}

    def predictions(self) -> dict[str, Array]:
        """What is shown: truth, "stream NAME", ensemble and "without NAME".

        With a single stream the ensemble is that stream and is left out.
        """
        return {
            re.sub("^(stream|without)s?/", r"\1 ", part): value
            for part, value in self.arrays().items()
            if part != "ensemble" or len(self.streams) != 1
        }


@dataclass(frozen=True)
class Panel:
    """One sample as shown in a report.

    Attributes:
        name: name of the sample, for example its file name.
        inputs: what the network saw: uint8 (H, W, 3) for images, float32 (H, W) in metres with
            nan = missing for depth.
        outputs: truth and predictions by output name.
    """

    name: str
    inputs: Mapping[str, Array]
    outputs: Mapping[str, PanelOutput] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        outputs = [value for shown in self.outputs.values() for value in shown.arrays().values()]
        return sum(array.nbytes for array in [*self.inputs.values(), *outputs])


def save_panel(path: str | Path, panel: Panel) -> Path:
    """Write a panel as a compressed .npz file, in one step (temporary file, then rename).

    Args:
        path: target file; its folder is made if needed.
        panel: what to write.

    Returns:
        The path written.
    """
    arrays: dict[str, Any] = {"name": np.array(panel.name)}
    arrays |= {f"inputs/{name}": np.asarray(value) for name, value in panel.inputs.items()}
    for name, output in panel.outputs.items():
        if output.kind != _FIRST_KIND:
            arrays[f"outputs/{name}/kind"] = np.array(output.kind)
        for part, value in output.arrays().items():
            arrays[f"outputs/{name}/{part}"] = np.asarray(value)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return write_bytes(path, content.getvalue(), DataError)


_MOST_BYTES = 2**28
_MOST_ARRAYS = 1000
_MOST_PIXELS = 2**24
_MOST_SIDE = 2**15


def _check_sizes(path: Path) -> None:
    """Refuses an archive that claims more than a panel holds, before any of it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
            raise DataError(f"it unpacks to more than {_MOST_BYTES} bytes")
        if len(archive.infolist()) > _MOST_ARRAYS:
            raise DataError(f"it holds more than {_MOST_ARRAYS} arrays")
        for entry in archive.infolist():
            with archive.open(entry) as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if math.prod(shape) * dtype.itemsize > entry.file_size or dtype.kind not in "biufU":
                raise DataError(f"{entry.filename!a} claims {shape} values of {dtype}")


def _check_output(name: str, output: PanelOutput) -> None:
    """Refuses an output whose arrays are not those of its kind."""
    kind = KINDS.get(output.kind)
    if kind is None:
        raise DataError(
            f"outputs/{name} is of kind {output.kind[:40]!a}; there are {', '.join(KINDS)}"
        )
    for part, value in output.arrays().items():
        place = f"outputs/{name}/{part.removeprefix('streams/')}"
        _check_picture(place, value)
        if expected := kind.expected(value):
            raise DataError(
                f"{place} is {value.dtype} {value.shape}; expected of kind {kind.name}: {expected}"
            )
        if kind.labels and int(value.max()) >= MOST_CLASSES:
            raise DataError(f"{place} holds class {int(value.max())}; 65535 is the highest")


def _check_picture(name: str, value: Array) -> None:
    """Refuses what is no picture: other dimensions or types, or too large to be shown."""
    sides = value.shape[:2]
    if value.ndim not in (2, 3) or 0 in value.shape or value.dtype.kind not in "biuf":
        raise DataError(f"{name} is {value.dtype} {value.shape}, no picture of (H, W) or (H, W, C)")
    if max(sides) > _MOST_SIDE or math.prod(sides) > _MOST_PIXELS:
        raise DataError(f"{name} is {value.shape}, too large to be shown")


def load_panel(path: str | Path) -> Panel:
    """Read a panel written by :func:`save_panel`.

    Args:
        path: the .npz file. Pickled content is never loaded.

    Returns:
        The panel, inputs and streams in the order in which they were written.

    Raises:
        DataError: the file is missing, damaged or holds something else.
    """
    try:
        _check_sizes(Path(path))
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a damaged archive raises whatever its layer raises
        raise DataError(f"{path}: cannot be read as a panel ({error})") from error
    inputs = {k.removeprefix("inputs/"): v for k, v in arrays.items() if k.startswith("inputs/")}
    entries: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
        if match := _OUTPUT.fullmatch(key):
            name, part, group, member = match.groups()
            parts: dict[str, Any] = {"truth": None, "streams": {}, "ensemble": None, "without": {}}
            entry = entries.setdefault(name, parts)
            if member:
                entry[group][member] = value
            else:
                entry[part] = str(value) if part == "kind" else value
    if not inputs and not entries:
        raise DataError(f"{path}: holds no panel, only the arrays {sorted(arrays)}")
    outputs = {name: PanelOutput(**entry) for name, entry in entries.items()}
    try:
        for name, value in inputs.items():
            _check_picture(f"inputs/{name}", value)
        for name, output in outputs.items():
            _check_output(name, output)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return Panel(str(arrays.get("name", np.array(Path(path).stem))), inputs, outputs)
