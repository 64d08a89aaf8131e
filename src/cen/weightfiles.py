"""What a ``.safetensors`` file says beside its tensors, read without torch and checked.

The header is data: it names a network and its arguments, of which nothing is opened, fetched or
imported, and sizes that are compared with those of the tensors before anything is made.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from safetensors import SafetensorError, safe_open

from cen import schema
from cen.documents import parse_json
from cen.errors import CheckpointError, message_of
from cen.options.constraints import Size
from cen.runfiles import Names, Palettes

HEADER = "cen"
"""Key of the JSON text in the file's header."""

MOST_BYTES = 2**24
"""Most bytes of a header: 16 MiB."""


class Seen(TypedDict, total=False):
    """What training saw of an input, see `cen.data.tools.training_range.seen_range`."""

    low: float
    high: float
    medians: tuple[float, float]
    grey: float | bool


class Metadata(TypedDict, total=False):
    """What `cen` writes and reads beside the network; users may add more."""

    preprocessing: dict[str, dict[str, Any]] | None
    targets: dict[str, dict[str, Any]] | None
    classes: Names
    palette: Palettes
    resize: tuple[Size, Size] | None
    seen: dict[str, Seen] | None
    step: int | None
    metrics: dict[str, Any] | None


class Header(TypedDict):
    """The header of a file that `cen.save` wrote."""

    version: str
    config: dict[str, Any]
    metadata: Metadata


def read_header(path: Path) -> Header | None:
    """The header that `cen.save` wrote; None where a file has none of it.

    Raises:
        CheckpointError: the file is missing or no safetensors file, or its header is damaged.
    """
    text = _opened(path)[0]
    if text is None:
        return None
    header = parse_json(text, f"{path}: its header", CheckpointError, nan=True)
    schema.check(header, Header, f"{path}: its header", CheckpointError)
    return Header(version=header["version"], config=header["config"], metadata=header["metadata"])


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor; none is read."""
    return dict(_opened(path)[1])


def _opened(path: Path) -> tuple[str | None, Mapping[str, tuple[int, ...]]]:
    try:
        # The parser takes a hundred megabytes of header, which become many times as much.
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > MOST_BYTES:
            raise CheckpointError(
                f"{path} is damaged or no safetensors file: it claims a header of {length} bytes"
            )
        with safe_open(path, "np") as handle:
            shapes = {key: tuple(handle.get_slice(key).get_shape()) for key in handle.keys()}  # noqa: SIM118
            return (handle.metadata() or {}).get(HEADER), shapes
    except (SafetensorError, OSError) as error:
        reason = getattr(error, "strerror", None) or message_of(error)
        raise CheckpointError(f"{path} is damaged or no safetensors file: {reason}") from error
