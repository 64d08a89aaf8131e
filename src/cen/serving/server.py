"""Serving the page of a run: one network in memory, and a folder of its own for what is sent."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cen.errors import CenError, ConfigError
from cen.predict.predictor import Predictor
from cen.serving.answers import Answering, Example
from cen.serving.uploads import Limits

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_SSR_MODE": "False",
}
_KEPT_IN = "GRADIO_TEMP_DIR"

_MOST_BYTES = 2**30
"""Of all files that were sent or are to be downloaded; the oldest go first."""
_LOOK_EVERY = 5.0


@contextmanager
def served(
    predictor: Predictor,
    title: str,
    *,
    source: Path | None = None,
    examples: Sequence[Example] = (),
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    host: str = "127.0.0.1",
    port: int = 7860,
) -> Iterator[str]:
    """Serves the page of a network while the context lasts.

    Args:
        predictor: has the network.
        title: stands on top of the page.
        source: run folder whose evaluation is quoted where a sensor is off.
        examples: scenes to try, see `examples_of`.
        limits: what is refused.
        host: the address that is listened at; "0.0.0.0": every one of this machine.
        port: the port.

    Yields:
        The URL.

    Raises:
        ConfigError: the port is taken.
        CenError: Gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="cen-serve-") as folder, _environment(folder):
        try:
            from cen.serving.page import build_page
            from cen.serving.starting import launched
        except ImportError as error:
            if not (error.name or "").startswith("gradio"):
                raise
            raise CenError("cen serve takes Gradio: pip install 'cen[serve]'") from None
        answering = Answering(predictor, source, limits.seconds)
        answers = Path(folder) / "answers"
        answers.mkdir()
        janitor = _Janitor(Path(folder), _MOST_BYTES)
        page = build_page(answering, title, examples, limits, answers)
        try:
            url = launched(page, host, port, limits.megabytes)
        except OSError as error:
            raise ConfigError(f"--port {port}: cannot be listened at ({error})") from error
        janitor.start()
        try:
            yield url
        finally:
            janitor.stop()
            page.close(verbose=False)


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """What Gradio reads when it is imported, and whenever it keeps a file or is sent one."""
    former = os.environ.get(_KEPT_IN)
    os.environ.update(_ENVIRONMENT, **{_KEPT_IN: folder})
    try:
        yield
    finally:
        # Of another page of this process, which would take nothing any more.
        os.environ.pop(_KEPT_IN)
        if former is not None:
            os.environ[_KEPT_IN] = former


def examples_of(dataset: AlignedDataset, predictor: Predictor, count: int) -> list[Example]:
    """The first scenes of a split, at most so many, as raw values of the predictor's modalities."""
    examples = []
    for index in range(min(count, len(dataset))):
        scene = {name: dataset.read(name, index, m) for name, m in predictor.modalities.items()}
        examples.append(Example(dataset.name(index), scene, predictor.picture(scene)))
    return examples


class _Janitor(threading.Thread):
    """Keeps a folder small while it runs: of too much, the oldest files go."""

    def __init__(self, folder: Path, most: float) -> None:
        super().__init__(daemon=True)
        self._folder, self._most, self._ended = folder, most, threading.Event()

    def run(self) -> None:
        """Looks again and again."""
        while not self._ended.wait(_LOOK_EVERY):
            self.tidy()

    def tidy(self) -> None:
        """Removes the oldest files until the rest is small enough."""
        files = []
        for file in self._folder.rglob("*"):
            with suppress(OSError):  # removed by somebody else meanwhile
                facts = file.stat()
                if file.is_file():
                    files.append((facts.st_mtime, facts.st_size, file))
        total = sum(size for _, size, _ in files)
        for _, size, file in sorted(files):
            if total <= self._most:
                return
            file.unlink(missing_ok=True)
            total -= size

    def stop(self) -> None:
        """Ends it."""
        self._ended.set()
        self.join()
