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

_OUTPUT = re.compile(r"outputs/(.+?)/(truth|ensemble|kind|streams/(.+))")


@dataclass(frozen=True)
class PanelOutput:
    """What is known and what was predicted for one output of one sample.

    Attributes:
        truth: ground truth, None if unknown: (H, W) class ids (255 = ignore), depth in metres or
            strengths of edges, (H, W, 3) unit normals or an image; NaN where there is none.
        streams: prediction of each stream, same layout.
        ensemble: prediction of the ensemble, same layout.
        kind: the kind of the output, as in `cen.Task`.
    """

    truth: Array | None
    streams: Mapping[str, Array]
    ensemble: Array | None
    kind: str = _FIRST_KIND

    def predictions(self) -> dict[str, Array]:
        """Truth, "stream NAME" and ensemble, as far as they are stored.

        With a single stream the ensemble is that stream and is left out.
        """
        shown = {} if self.truth is None else {"truth": self.truth}
        shown |= {f"stream {name}": value for name, value in self.streams.items()}
        if self.ensemble is not None and len(self.streams) != 1:
            shown["ensemble"] = self.ensemble
        return shown


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
        arrays: list[Array | None] = list(self.inputs.values())
        for output in self.outputs.values():
            arrays += [output.truth, *output.streams.values(), output.ensemble]
        return sum(array.nbytes for array in arrays if array is not None)


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
        if output.truth is not None:
            arrays[f"outputs/{name}/truth"] = np.asarray(output.truth)
        for stream, value in output.streams.items():
            arrays[f"outputs/{name}/streams/{stream}"] = np.asarray(value)
        if output.ensemble is not None:
            arrays[f"outputs/{name}/ensemble"] = np.asarray(output.ensemble)
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


def _check_output(name: str, entry: Mapping[str, Any]) -> None:
    """Refuses an output whose arrays are not those of its kind."""
    name_of_kind = entry.get("kind", _FIRST_KIND)
    kind = KINDS.get(name_of_kind)
    if kind is None:
        raise DataError(
            f"outputs/{name} is of kind {name_of_kind[:40]!a}; there are {', '.join(KINDS)}"
        )
    maps = {"truth": entry["truth"], "ensemble": entry["ensemble"], **entry["streams"]}
    for part, value in maps.items():
        if value is None:
            continue
        place = f"outputs/{name}/{part}"
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
    inputs: dict[str, Array] = {}
    found: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
        if key.startswith("inputs/"):
            inputs[key.removeprefix("inputs/")] = value
        elif match := _OUTPUT.fullmatch(key):
            name, part, stream = match.groups()
            entry = found.setdefault(name, {"truth": None, "streams": {}, "ensemble": None})
            if stream:
                entry["streams"][stream] = value
            else:
                entry[part] = str(value) if part == "kind" else value
    try:
        for key, value in inputs.items():
            _check_picture(f"inputs/{key}", value)
        for key, entry in found.items():
            _check_output(key, entry)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if not inputs and not found:
        raise DataError(f"{path}: holds no panel, only the arrays {sorted(arrays)}")
    name = str(arrays.get("name", np.array(Path(path).stem)))
    return Panel(name, inputs, {key: PanelOutput(**entry) for key, entry in found.items()})
