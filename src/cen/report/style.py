"""The look that all figures share, and figures as bytes for a page."""

import base64
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cen.report.colours import Image

INK = "#1f2933"
MUTED = "#6b7785"
RULE = "#dde2e8"
EMPTY = "#eef1f4"
FAINT = "#b8c0ca"
ENSEMBLE = "#111827"
_STREAMS = ("#2563eb", "#d97706", "#059669", "#a21caf", "#dc2626", "#0891b2", "#65a30d", "#7c3aed")

_RC: dict[Any, Any] = {
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": EMPTY,
    "grid.linewidth": 0.9,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",  # text stays text: sharp, small and searchable
    "svg.hashsalt": "cen",  # the same run gives the same bytes
}


@contextmanager
def house_style() -> Iterator[None]:
    """Puts matplotlib in the look of the pages, for the duration of a with block."""
    with matplotlib.rc_context(_RC):
        yield


def stream_colours(streams: Iterable[str]) -> dict[str, str]:
    """One colour per stream, the same in every figure and table of a page."""
    colours = {name: _STREAMS[i % len(_STREAMS)] for i, name in enumerate(streams)}
    return colours | {"ensemble": ENSEMBLE}


def new_axes(title: str, width: float = 5.0, height: float = 3.1) -> tuple[Figure, Axes]:
    """A figure with one plot; sizes in inches. Bypasses pyplot, which keeps global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


def svg(figure: Figure) -> str:
    """A figure as the source of an <img>: SVG in a data URI."""
    buffer = io.StringIO()
    with house_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    # Inside a page the reader's own interface font fits better than matplotlib's.
    text = buffer.getvalue().replace("'DejaVu Sans'", "system-ui, 'Segoe UI', 'DejaVu Sans'")
    return _uri("image/svg+xml", text.encode("utf-8"))


def png_bytes(figure: Figure, dpi: int = 160) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def picture(image: Image, photo: bool = False, limit: int = 640) -> str:
    """An RGB image as the source of an <img>, reduced to at most ``limit`` pixels a side.

    A ``photo`` is no label map: smoothing and, once it is large, JPEG do it no harm.
    """
    shrink = limit / max(image.shape[:2])
    if shrink < 1:
        how = cv2.INTER_AREA if photo else cv2.INTER_NEAREST
        height, width = (max(1, round(side * shrink)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=how).astype("uint8")
    if photo and max(image.shape[:2]) > 200:
        return _uri("image/jpeg", _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90]))
    return _uri("image/png", _encode(".png", image, []))


def _encode(kind: str, image: Image, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {kind} of shape {image.shape}")
    return bytes(data.tobytes())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
