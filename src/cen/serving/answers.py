"""What the page shows of one scene: every stream, the ensemble, and what each sensor changes."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from cen.errors import CenWarning, StreamError
from cen.predict.absence import absence
from cen.predict.predictions import DenseOutput, Prediction
from cen.predict.predictor import Predictor
from cen.report.colours import Image, overlay, palette, to_picture
from cen.report.painting import paint, scale_limits

Captioned = tuple[Image, str]
Scene = Mapping[str, NDArray[Any]]
"""Raw values by modality."""


class Example(NamedTuple):
    """A scene to try.

    Attributes:
        name: what it is called.
        scene: its raw values.
        picture: what it looks like, (H, W, 3) uint8.
    """

    name: str
    scene: Scene
    picture: Image


@dataclass
class Answer:
    """What is told of one scene.

    Attributes:
        predictions: pictures of the inputs, and by output of the ensemble and of every stream.
        changes: pictures of what the ensemble is without each sensor.
        legends: of each segmentation, the classes as `Prediction.legend` tells them.
        figures: α, shares of classes and what changes, as JSON has them.
        notes: sentences that warn.
        results: the predictions themselves, to be saved.
    """

    predictions: list[Captioned] = field(default_factory=list)
    changes: list[Captioned] = field(default_factory=list)
    legends: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    results: Mapping[str, Prediction | DenseOutput] = field(default_factory=dict)


class Answering:
    """Answers with one network for any number of users, one after the other.

    Args:
        predictor: has the network.
        source: run folder whose evaluation is quoted where a sensor is off.
        seconds: after which no further subset of the sensors is predicted.
    """

    def __init__(
        self, predictor: Predictor, source: Path | None = None, seconds: float = 60.0
    ) -> None:
        self.predictor, self._source, self._seconds = predictor, source, seconds
        self._turn = threading.Lock()

    def __call__(self, scene: Scene, on: Collection[str]) -> Answer:
        """Predicts from the sensors of a scene that are on, and without each of them.

        Raises:
            StreamError: none of the sensors that are there is on.
            CenError: see `Predictor.__call__`.
        """
        used = {name: scene[name] for name in self.predictor.modalities if name in scene}
        used = {name: values for name, values in used.items() if name in on}
        if not used:
            there = ", ".join(scene) or "none yet"
            names = ", ".join(self.predictor.modalities)
            raise StreamError(
                f"no sensor to predict from: choose an example, or send a file of at least one of "
                f"{names}, and leave it switched on (there are: {there})"
            )
        with self._turn, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CenWarning)
            answer = self._answer(used)
        messages = dict.fromkeys(
            str(w.message) for w in caught if issubclass(w.category, CenWarning)
        )
        # What is missing is said once a network by the predictor, and here once an answer.
        answer.notes += [text for text in messages if " missing: " not in text]
        if warning := absence(self.predictor.net, used, self._source):
            answer.notes.append(warning)
        return answer

    def _answer(self, used: Scene) -> Answer:
        begun = time.monotonic()
        results = self.predictor.all(used)
        answer = Answer(results=results)
        for name, values in used.items():
            picture = to_picture(self.predictor.modalities[name].picture(values))
            answer.predictions.append((picture, f"input {name}"))
        for name, result in results.items():
            of = f"{name}: " if len(results) > 1 else ""
            answer.predictions += [(image, of + text) for image, text in _pictures(result)]
            answer.figures[name] = {"alpha": result.alpha}
            if isinstance(result, Prediction):
                present = result.facts()["classes"]
                answer.legends[name] = sorted(present, key=lambda entry: -entry["pixels"])
                answer.figures[name]["classes"] = answer.legends[name]
        for off in used if len(used) > 1 else ():
            if time.monotonic() - begun > self._seconds:
                answer.notes.append(
                    f"what {off} changes was left out: this scene took longer than "
                    f"{self._seconds:g} seconds"
                )
                continue
            rest = self.predictor.all({name: used[name] for name in used if name != off})
            for name in (name for name in results if name in rest):
                change, pictures = _change(off, results[name], rest[name])
                of = f"{name}: " if len(results) > 1 else ""
                answer.changes += [(image, of + text) for image, text in pictures]
                answer.figures[name].setdefault("without", {})[off] = change
        return answer


def _pictures(result: Prediction | DenseOutput) -> list[Captioned]:
    """The ensemble and every stream, painted alike."""
    labelled = {f"{stream}, α {result.alpha[stream]:.2f}": stream for stream in result.streams}
    if isinstance(result, Prediction):
        shown = [(result.labels, "ensemble")]
        shown += [(result.streams[stream], text) for text, stream in labelled.items()]
        return [(overlay(result.picture, labels, result.palette), text) for labels, text in shown]
    if result.shown is not None:  # values in a unit of their own; a picture is the ensemble's alone
        return [(result.picture(), "ensemble")]
    limits = scale_limits(result.kind, [result.values, *result.streams.values()])
    pictures = [(paint(result.kind, result.values, palette(0), limits), "ensemble")]
    for text, stream in labelled.items():
        painted = paint(result.kind, result.streams[stream], palette(0), limits)
        pictures.append((painted, text))
    return pictures


def _change(
    off: str, reference: Prediction | DenseOutput, rest: Prediction | DenseOutput
) -> tuple[dict[str, float], list[Captioned]]:
    """What the ensemble is without a sensor, in a figure and in pictures."""
    if isinstance(reference, Prediction) and isinstance(rest, Prediction):
        differs = reference.labels != rest.labels
        share = float(differs.mean())
        marked = np.full((*differs.shape, 3), 240, np.uint8)
        marked[differs] = (200, 40, 40)
        painted = overlay(reference.picture, rest.labels, reference.palette)
        caption = f"other classes without {off}: {100 * share:.1f} %"
        return {"share_changed": share}, [(painted, f"without {off}"), (marked, caption)]
    assert isinstance(reference, DenseOutput)
    assert isinstance(rest, DenseOutput)
    apart = np.abs(np.asarray(reference.values, np.float64) - np.asarray(rest.values, np.float64))
    mean = float(np.nanmean(apart))
    caption = f"without {off}: values change by {mean:.3g} in the mean"
    return {"mean_change": mean}, [(rest.picture(), caption)]


def save_zip(answer: Answer, file: Path, folder: Path) -> Path:
    """Writes the files of the predictions as one archive; ``folder``, empty, is for their way."""
    with ZipFile(file, "w") as archive:
        for name, result in answer.results.items():
            for written in result.save(folder, prefix=f"{name}-").values():
                archive.write(written, written.name)
                written.unlink()
    return file
