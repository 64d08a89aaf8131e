"""Many scenes by one network: read ahead, predicted in batches, written behind, and resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cen.errors import CenError, ConfigError, DataError
from cen.files import contained, write_text
from cen.predict.geotiff import predict_geotiff
from cen.predict.inputs import Inputs, Intrinsics, ReadScene, alike
from cen.predict.predictions import DenseOutput, Prediction, file_prefix
from cen.predict.predictor import Predictor

SETTINGS = "predictions.json"
"""What a folder of predictions was made with."""
DONE = "scene.json"
"""The file of a scene that is written last."""


@dataclass(frozen=True)
class SceneSource:
    """Where one scene of many is read from.

    Attributes:
        name: the folder of its predictions; it may hold slashes.
        files: those that it is read from, by modality.
        load: gives the inputs of a predictor, and the camera where it is known.
        geotiff: whether the files are read, and predictions written, as GeoTIFF.
    """

    name: str
    files: Mapping[str, Path]
    load: Callable[[], tuple[Inputs, Intrinsics]]
    geotiff: bool = False


@dataclass
class Outcome:
    """What became of the scenes.

    Attributes:
        predicted: number of those that were.
        skipped: number of those that were finished before.
        failed: what was wrong with the others, by name.
        seconds: from the first to the last.
    """

    predicted: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def shard_of(scenes: Sequence[SceneSource], number: int, count: int) -> list[SceneSource]:
    """Every ``count``-th scene from the ``number``-th (from 1) on."""
    return list(scenes[number - 1 :: count])


def check_settings(out: Path, network: Path, settings: Mapping[str, Any]) -> None:
    """Notes what predictions are made with, so that no folder mixes two kinds of them.

    Raises:
        ConfigError: the folder holds predictions of another network, or made otherwise.
    """
    with network.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    all_settings = {"network": digest, **settings}
    place = out / SETTINGS
    if not place.exists():
        write_text(place, json.dumps(all_settings, indent=1) + "\n", ConfigError)
        return
    try:
        stored_settings = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place}: cannot be read ({error}); name another folder") from None
    other = [
        key
        for key in all_settings
        if not isinstance(stored_settings, dict) or stored_settings.get(key) != all_settings[key]
    ]
    if other:
        raise ConfigError(
            f"{out}: holds predictions made with another {', '.join(other)}; name another "
            "folder, or remove this one"
        )


def predict_scenes(
    predictor: Predictor,
    scenes: Sequence[SceneSource],
    out: Path,
    *,
    batch: int = 1,
    workers: int = 1,
    probabilities: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Predicts scenes and writes each to a folder of its name.

    A scene whose prediction is finished, and was made of these files as they are now, is left as it
    is. One that cannot be predicted is noted and does not stop the others.

    Args:
        predictor: predicts them.
        scenes: all of them.
        out: the folder of all.
        batch: how many scenes of one size, and of the same modalities, are predicted at once.
        workers: threads that read.
        probabilities: also those of the classes, as NPZ.
        advance: called once for every scene that is done with.

    Returns:
        What became of the scenes.

    Raises:
        CenError: a prediction cannot be written.
    """
    outcome, begun = Outcome(), time.monotonic()
    # Drawing is for one thread alone.
    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(1) as writer:
        written: deque[Future[None]] = deque()
        fail = partial(_fail, outcome, advance)
        left = list(_unfinished(scenes, out, outcome, advance))
        for scene in (scene for scene in left if scene.geotiff):
            try:
                _write_geotiff(predictor, scene, out, probabilities)
            except CenError as error:
                fail(scene, error)
                continue
            outcome.predicted += 1
            advance()
        others = (scene for scene in left if not scene.geotiff)
        read = _read(predictor, others, readers, workers, batch)
        for group in _batches(read, batch, fail):
            for scene, by_output in _predict(predictor, group, probabilities, fail):
                written.append(writer.submit(_write, scene, by_output, out))
                outcome.predicted += 1
                advance()
            while len(written) > 2 * batch:
                written.popleft().result()
        for future in written:
            future.result()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _fail(
    outcome: Outcome, advance: Callable[[], None], scene: SceneSource, error: CenError
) -> None:
    outcome.failed[scene.name] = str(error)
    advance()


def _unfinished(
    scenes: Sequence[SceneSource], out: Path, outcome: Outcome, advance: Callable[[], None]
) -> Iterator[SceneSource]:
    for scene in scenes:
        if _finished(scene, out):
            outcome.skipped += 1
            advance()
        else:
            yield scene


def _finished(scene: SceneSource, out: Path) -> bool:
    """Whether the prediction is there, and of these very files as they are now."""
    try:
        about = json.loads((out / scene.name / DONE).read_text("utf-8"))
        return bool(about["inputs"] == _paths(scene) and about["stamps"] == _stamps(scene))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _paths(scene: SceneSource) -> dict[str, str]:
    return {name: str(file) for name, file in scene.files.items()}


def _stamps(scene: SceneSource) -> dict[str, list[int]]:
    """Bytes and time of change of each file, by modality."""
    states = {name: file.stat() for name, file in scene.files.items()}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


_Read = tuple[SceneSource, "Future[ReadScene]"]
_Group = list[tuple[SceneSource, ReadScene]]


def _read(
    predictor: Predictor,
    scenes: Iterator[SceneSource],
    readers: ThreadPoolExecutor,
    workers: int,
    batch: int,
) -> Iterator[_Read]:
    """Scenes in order, some of them read ahead."""
    waiting: deque[_Read] = deque()
    for scene in scenes:
        waiting.append((scene, readers.submit(_load, predictor, scene)))
        if len(waiting) > workers + batch:
            yield waiting.popleft()
    yield from waiting


def _load(predictor: Predictor, scene: SceneSource) -> ReadScene:
    inputs, intrinsics = scene.load()
    return predictor.read(inputs, intrinsics)


def _batches(
    read: Iterator[_Read], batch: int, fail: Callable[[SceneSource, CenError], None]
) -> Iterator[_Group]:
    """Groups of the scenes that could be read; see `alike`."""

    def whole() -> Iterator[tuple[SceneSource, ReadScene]]:
        for scene, future in read:
            try:
                read_scene = future.result()
            except CenError as error:
                fail(scene, error)
            else:
                yield scene, read_scene

    return alike(whole(), batch)


_Made = dict[str, Prediction | DenseOutput]


def _predict(
    predictor: Predictor,
    group: _Group,
    probabilities: bool,
    fail: Callable[[SceneSource, CenError], None],
) -> list[tuple[SceneSource, _Made]]:
    """The predictions of a group; where it fails as a whole, of each alone."""
    try:
        predictions = predictor.all_batch([read for _, read in group], probabilities=probabilities)
    except CenError as error:
        if len(group) == 1:
            fail(group[0][0], error)
            return []
        return [done for one in group for done in _predict(predictor, [one], probabilities, fail)]
    return [(scene, by_output) for (scene, _), by_output in zip(group, predictions, strict=True)]


def _write_geotiff(
    predictor: Predictor, scene: SceneSource, out: Path, probabilities: bool
) -> None:
    """Predicts and writes a scene piece by piece."""
    folder = contained(out, out / scene.name, DataError)
    (folder / DONE).unlink(missing_ok=True)
    _, intrinsics = scene.load()
    files = predict_geotiff(
        predictor, scene.files, folder, probabilities=probabilities, intrinsics=intrinsics
    )
    _note(scene, folder, files)


def _write(scene: SceneSource, by_output: _Made, out: Path) -> None:
    """Writes the files of a scene; where it has one output, without its name before theirs."""
    folder = contained(out, out / scene.name, DataError)
    # What is there now is of a prediction that is replaced.
    (folder / DONE).unlink(missing_ok=True)
    files: dict[str, Mapping[str, Path]] = {}
    for name, prediction in by_output.items():
        prefix = file_prefix(name, by_output)
        if isinstance(prediction, Prediction):
            files[name] = prediction.save(folder, prefix, legend=False)
        else:
            files[name] = prediction.save(folder, prefix)
    _note(scene, folder, files)


def _note(scene: SceneSource, folder: Path, files: Mapping[str, Mapping[str, Path]]) -> None:
    """Writes what a scene was read from and what was written, once all of it was."""
    stamps = _stamps(scene)
    names = {output: {key: file.name for key, file in of.items()} for output, of in files.items()}
    about = {"inputs": _paths(scene), "stamps": stamps, "files": names}
    write_text(folder / DONE, json.dumps(about, indent=1, ensure_ascii=False) + "\n", DataError)
