"""The page itself, made with Gradio (``cen[serve]``); its API is what programs call.

Nothing is loaded from elsewhere and nothing is reported to anybody: the fonts are the system's, and
Gradio's own statistics are off.
"""

from __future__ import annotations

import html
import inspect
import io
import math
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import gradio as gr
from PIL import Image
from starlette.middleware import Middleware

import cen.exchange
from cen.data.formats.pictures import write_png
from cen.errors import CenError, ConfigError, printable, shown
from cen.report.exchange_map import exchange_map
from cen.report.style import png_bytes, stream_colours
from cen.serving.answers import Answer, Answering, Example, Scene, save_zip
from cen.serving.refusals import Bounded, Page
from cen.serving.uploads import Limits, read_uploads

_FONT = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")
CSS = """
.grid-wrap .grid-container {grid-template-columns: repeat(auto-fill, minmax(min(15rem, 45%), 1fr))}
.grid-wrap {max-height: none !important; min-height: 0 !important; height: auto !important;
  padding-top: 2rem !important}
.grid-wrap .gallery-item, .grid-wrap .thumbnail-lg {height: auto !important}
.grid-wrap .thumbnail-lg {display: flex; flex-direction: column; aspect-ratio: auto !important}
.grid-wrap .thumbnail-lg > img {height: auto !important}
.grid-wrap .caption-label {position: static !important; white-space: normal !important;
  max-width: none !important; border: 0 !important; text-overflow: clip}
.cen-legend {display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .3rem 0}
.cen-legend i {display: inline-block; width: .9em; height: .9em; margin-right: .4em}
.cen-note {border-left: 3px solid #c28a00; padding-left: .6rem; margin: .4rem 0}
"""
MIDDLEWARE = [Middleware(Bounded)]
_NONE = -1
"""The number of no example."""
_KEPT = 256
"""Answers whose files are kept to be looked at."""


def theme() -> gr.themes.Base:
    """A look without fonts from elsewhere."""
    return gr.themes.Base(font=_FONT, font_mono=_MONO)


class _Handlers:
    """What the page does when something is sent."""

    def __init__(
        self, answering: Answering, examples: Sequence[Example], limits: Limits, folder: Path
    ) -> None:
        self.answering, self.examples, self.limits = answering, examples, limits
        self.names = list(answering.predictor.modalities)
        self._folder = folder
        self._written: deque[Path] = deque()

    def predict(self, *values: Any) -> tuple[Any, ...]:
        """Everything that is shown: pictures, changes, legend, figures, archive."""
        count = len(self.names)
        sent = dict(zip(self.names, values[:count], strict=True))
        sensors, unit, example = values[count:]
        try:
            _check_numbers(unit=unit, example=example)
            scene = self._scene({n: p for n, p in sent.items() if p}, unit, example)
            answer = self.answering(scene, self.names if sensors is None else sensors)
        except CenError as error:
            raise gr.Error(printable(str(error)), print_exception=False) from None
        folder = self._new_folder()
        pictures = [
            [(str(_written(image, folder, f"{kind}-{at}.png")), text) for at, (image, text) in many]
            for kind, many in (
                ("prediction", enumerate(answer.predictions)),
                ("change", enumerate(answer.changes)),
            )
        ]
        (folder / "way").mkdir()
        archive = save_zip(answer, folder / "prediction.zip", folder / "way")
        return *pictures, _told(answer), answer.figures, str(archive)

    def switched(self, *values: Any) -> Any:
        """As `predict`, where there is a scene already."""
        sent, example = values[: len(self.names)], values[-1]
        if not any(sent) and example in (None, _NONE):
            return tuple(gr.skip() for _ in range(5))
        return self.predict(*values)

    def _scene(self, files: Mapping[str, str], unit: float | None, example: float | None) -> Scene:
        if files or example in (None, _NONE):
            modalities = self.answering.predictor.modalities
            return read_uploads(files, modalities, unit or None, self.limits)
        number = int(example or 0)
        if not 0 <= number < len(self.examples):
            raise CenError(f"there is no example {number}; there are {len(self.examples)}, from 0")
        return self.examples[number].scene

    def _new_folder(self) -> Path:
        """A folder for the files of one answer; the oldest goes.

        Given arrays, Gradio would write a file named after what it holds, again and again while
        others are still sent the same one.
        """
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        self._written.append(folder)
        while len(self._written) > _KEPT:
            shutil.rmtree(self._written.popleft(), ignore_errors=True)
        return folder


def _written(image: Any, folder: Path, name: str) -> Path:
    write_png(folder / name, image)
    return folder / name


def build_page(
    answering: Answering, title: str, examples: Sequence[Example], limits: Limits, folder: Path
) -> gr.Blocks:
    """The page of one network.

    Args:
        answering: answers.
        title: stands on top.
        examples: scenes to try.
        limits: what is refused, see `Limits`.
        folder: for the files of answers; it must be one that Gradio may send from.
    """
    handlers = _Handlers(answering, examples, limits, folder)
    modalities = answering.predictor.modalities
    gallery_of: dict[str, Any] = {"format": "png", "object_fit": "contain", "height": "auto"}
    with Page(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# {html.escape(title)}\n\n{_intro(answering, limits)}")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                files = [
                    gr.File(label=f"{name} ({modality.kind})", height=130)
                    for name, modality in modalities.items()
                ]
                sensors = gr.CheckboxGroup(
                    list(modalities), value=list(modalities), label="Sensors switched on"
                )
                unit = gr.Number(0, label=_unit_label(answering), visible=_has_depth(answering))
                number = gr.Number(_NONE, label="Example", visible=False, precision=0)
                button = gr.Button("Predict", variant="primary")
                gallery = _example_gallery(examples)
            with gr.Column(scale=3, min_width=320):
                shown = [
                    gr.Gallery(label="Predictions", **gallery_of),
                    gr.Gallery(label="A sensor switched off", **gallery_of),
                    gr.HTML(label="Legend"),
                    gr.JSON(label="Figures", visible=False),
                    gr.File(label="Files", height=90),
                ]
        _exchange(answering)
        inputs = [*files, sensors, unit, number]
        for component in inputs:
            _fetch_nothing(component)
        predict = _named(handlers.predict, [*modalities, "sensors", "unit", "example"])
        one_by_one: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network"}
        button.click(predict, inputs, shown, api_name="predict", **one_by_one)
        private: dict[str, Any] = {"api_visibility": "private", **one_by_one}
        sensors.input(handlers.switched, inputs, shown, **private)
        if gallery is not None:
            cleared = [None] * len(files)
            gallery.select(_chosen, None, number, api_visibility="private").then(
                lambda: cleared, None, files, api_visibility="private"
            ).then(handlers.switched, inputs, shown, **private)
    page.queue(max_size=limits.waiting, api_open=False)
    return cast(gr.Blocks, page)


def _check_numbers(**numbers: Any) -> None:
    """Refuses what a program sent in the place of a number."""
    for name, value in numbers.items():
        is_valid = value is None or (isinstance(value, int | float) and math.isfinite(value))
        if not is_valid or isinstance(value, bool):
            raise ConfigError(f"{name}: {shown(str(value), '', 60)} is no number")


def _fetch_nothing(component: Any) -> None:
    """Refuses addresses, which Gradio would fetch, of any size, in the place of a file.

    Of one component alone: Gradio writes a file beside the source of every class of its own.
    """
    move = component.async_move_resource_to_block_cache

    async def of_this_server(place: str | Path | None) -> Any:
        if "://" in str(place):
            raise gr.Error("addresses are not fetched; send the file itself", print_exception=False)
        return await move(place)

    component.async_move_resource_to_block_cache = of_this_server


def _chosen(event: gr.SelectData) -> int:
    return int(event.index)


def _example_gallery(examples: Sequence[Example]) -> gr.Gallery | None:
    if not examples:
        return None
    pictures = [(example.picture, example.name) for example in examples]
    return gr.Gallery(
        pictures, label="Or an example of the test split", allow_preview=False, format="png",
        interactive=False, elem_id="examples", object_fit="contain", height="auto", buttons=[],
    )  # fmt: skip


def _named(call: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    """A function whose parameters have the names by which programs give them."""

    def named(*values: Any) -> Any:
        return call(*values)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    # A program may leave any of them out; it gets what the page begins with.
    parameters = [inspect.Parameter(name, kind, default=None) for name in names]
    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return named


def _intro(answering: Answering, limits: Limits) -> str:
    names = " + ".join(answering.predictor.modalities)
    outputs = ", ".join(answering.predictor.net.outputs)
    return (
        f"{html.escape(names)} → {html.escape(outputs)}. Any subset of the sensors will do; the "
        f"files are aligned, at most {limits.megabytes:g} MB and {limits.megapixels:g} megapixels "
        "each."
    )


def _has_depth(answering: Answering) -> bool:
    return any(m.field_kind.metres for m in answering.predictor.modalities.values())


def _unit_label(answering: Answering) -> str:
    units = [m.unit for m in answering.predictor.modalities.values() if m.field_kind.metres]
    training_unit = f" ({units[0]:g})" if units else ""
    return f"Metres per stored value of depth; 0: as in training{training_unit}"


def _told(answer: Answer) -> str:
    """Notes and legends as HTML; whatever a file called a class is text."""
    parts = [f'<p class="cen-note">{html.escape(note)}</p>' for note in answer.notes]
    for name, entries in answer.legends.items():
        marks = []
        for entry in entries:
            colour = ",".join(str(int(value)) for value in entry["colour"])
            text = f"{html.escape(str(entry['class']))} {100 * entry['share']:.1f} %"
            marks.append(f'<span><i style="background:rgb({colour})"></i>{text}</span>')
        shown = "".join(marks)
        parts.append(f'<b>{html.escape(name)}</b><div class="cen-legend">{shown}</div>')
    return "".join(parts)


def _exchange(answering: Answering) -> None:
    """The map of what the streams exchange, which is the same for every scene."""
    inspection = cen.exchange.inspect(answering.predictor.net).to_dict()
    layers = inspection["layers"]
    streams = list(dict.fromkeys(layer["stream"] for layer in layers))
    with gr.Accordion("What the streams exchange", open=False):
        if not streams:
            gr.Markdown("This network has no layers that exchange channels.")
            return
        gr.Markdown(
            f"{inspection['rate']:.1%} of the own channels are exchanged. A row per layer, all "
            "channels from left to right; strong colour: replaced by those of the other streams."
        )
        colours = stream_colours(streams)
        with gr.Row():
            for stream in streams:
                drawn = png_bytes(exchange_map(layers, stream, colours[stream]))
                gr.Image(
                    Image.open(io.BytesIO(drawn)), label=stream, format="png", interactive=False,
                    buttons=["download"], min_width=280,
                )  # fmt: skip
