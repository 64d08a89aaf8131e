"""Many scenes by one network: read ahead, predicted in batches, written behind, and resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
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
    begun = time.monotonic()
    work = _Work(predictor, out, probabilities, advance)
    left = work.unfinished(scenes)
    for scene in left:
        if scene.geotiff:
            work.predict_geotiff(scene)
    others = [scene for scene in left if not scene.geotiff]
    # Drawing is for one thread alone.
    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(1) as writer:
        written: deque[Future[None]] = deque()
        for group in alike(work.read(others, readers, workers + batch), batch):
            for scene, results in work.predict(group):
                written.append(writer.submit(_write, scene, out, partial(_save, results)))
            while len(written) > 2 * batch:
                written.popleft().result()
        for future in written:
            future.result()
    work.outcome.seconds = time.monotonic() - begun
    return work.outcome


_Results = Mapping[str, Prediction | DenseOutput]
_Files = Mapping[str, Mapping[str, Path]]
"""By output the files of a scene."""


class _Work:
    """What `predict_scenes` does with scenes, and what became of them."""

    def __init__(
        self, predictor: Predictor, out: Path, probabilities: bool, advance: Callable[[], None]
    ) -> None:
        self.predictor, self.out, self.advance = predictor, out, advance
        self.probabilities = probabilities
        self.outcome = Outcome()

    def unfinished(self, scenes: Sequence[SceneSource]) -> list[SceneSource]:
        """The scenes whose prediction is not there."""
        left = [scene for scene in scenes if not _finished(scene, self.out)]
        self.outcome.skipped = len(scenes) - len(left)
        for _ in range(self.outcome.skipped):
            self.advance()
        return left

    def predict_geotiff(self, scene: SceneSource) -> None:
        """Predicts and writes a scene piece by piece."""

        def save(folder: Path) -> _Files:
            _, intrinsics = scene.load()
            return predict_geotiff(
                self.predictor,
                scene.files,
                folder,
                probabilities=self.probabilities,
                intrinsics=intrinsics,
            )

        try:
            _write(scene, self.out, save)
        except CenError as error:
            self._fail(scene, error)
        else:
            self._succeed()

    def read(
        self, scenes: Iterable[SceneSource], readers: ThreadPoolExecutor, ahead: int
    ) -> Iterator[tuple[SceneSource, ReadScene]]:
        """Those scenes that can be read, in order, so many of them read ahead."""
        waiting: deque[tuple[SceneSource, Future[ReadScene]]] = deque()
        rest = iter(scenes)
        while True:
            for scene in islice(rest, ahead + 1 - len(waiting)):
                waiting.append((scene, readers.submit(self._load, scene)))
            if not waiting:
                return
            scene, future = waiting.popleft()
            try:
                read = future.result()
            except CenError as error:
                self._fail(scene, error)
            else:
                yield scene, read

    def _load(self, scene: SceneSource) -> ReadScene:
        return self.predictor.read(*scene.load())

    def predict(
        self, group: Sequence[tuple[SceneSource, ReadScene]]
    ) -> Iterator[tuple[SceneSource, _Results]]:
        """The predictions of a group; where it fails as a whole, of each alone."""
        read = [read for _, read in group]
        try:
            predictions = self.predictor.all_batch(read, probabilities=self.probabilities)
        except CenError as error:
            if len(group) == 1:
                self._fail(group[0][0], error)
                return
            for one in group:
                yield from self.predict([one])
            return
        for (scene, _), results in zip(group, predictions, strict=True):
            yield scene, results
            self._succeed()

    def _succeed(self) -> None:
        self.outcome.predicted += 1
        self.advance()

    def _fail(self, scene: SceneSource, error: CenError) -> None:
        self.outcome.failed[scene.name] = str(error)
        self.advance()


def _finished(scene: SceneSource, out: Path) -> bool:
    """Whether the prediction is there, and of these very files as they are now."""
    try:
        about = json.loads((out / scene.name / DONE).read_text("utf-8"))
        origin = _origin(scene)
        return {key: about[key] for key in origin} == origin
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _origin(scene: SceneSource) -> dict[str, Any]:
    """The files that a scene is read from, their bytes and times of change, by modality."""
    states = {name: file.stat() for name, file in scene.files.items()}
    return {
        "inputs": {name: str(file) for name, file in scene.files.items()},
        "stamps": {name: [s.st_size, s.st_mtime_ns] for name, s in states.items()},
    }


def _write(scene: SceneSource, out: Path, save: Callable[[Path], _Files]) -> None:
    """Writes the files of a scene to its folder, and then what they were made from."""
    folder = contained(out, out / scene.name, DataError)
    # What is there now is of a prediction that is replaced.
    (folder / DONE).unlink(missing_ok=True)
    files = save(folder)
    names = {output: {key: file.name for key, file in of.items()} for output, of in files.items()}
    about = {**_origin(scene), "files": names}
    write_text(folder / DONE, json.dumps(about, indent=1, ensure_ascii=False) + "\n", DataError)


def _save(results: _Results, folder: Path) -> _Files:
    """The files of a scene; where it has one output, without its name before theirs."""
    files: dict[str, Mapping[str, Path]] = {}
    for name, result in results.items():
        prefix = file_prefix(name, results)
        if isinstance(result, Prediction):
            files[name] = result.save(folder, prefix, legend=False)
        else:
            files[name] = result.save(folder, prefix)
    return files
