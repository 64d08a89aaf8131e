"""Videos and cameras as many scenes: frames of all modalities, matched by their number."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data import Modality
from cen.data.formats.bands import as_channels
from cen.data.readers.patterns import natural
from cen.errors import ConfigError, DataError
from cen.files import write_atomically
from cen.predict.collection import SceneSource
from cen.predict.inputs import Inputs, Intrinsics
from cen.predict.scene_files import files_by_name

_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
_USUAL_RATE = 25.0
# Rates that differ by less are written differently, as 29.97 and 30000/1001.
_SAME_RATE = 1e-3


def is_camera(text: str) -> bool:
    """Whether a word is the number of a camera."""
    return text.isdecimal() and not Path(text).exists()


def is_video(text: str) -> bool:
    """Whether a word names a video or a camera."""
    return is_camera(text) or Path(text).suffix.lower() in _ENDINGS


class Video:
    """Frames of a video file or of a camera, by number.

    Frames are decoded one after the other, so a file is best read in order; an earlier frame than
    the last one opens it anew. A camera has no earlier frames.

    Args:
        place: path of a file, or the number of a camera as OpenCV counts them.

    Attributes:
        is_camera: whether it is one.
        frames: how many the file says it has; 0 of a camera.
        rate: frames per second.

    Raises:
        DataError: it cannot be opened.
    """

    def __init__(self, place: str) -> None:
        self.place, self.is_camera = place, is_camera(place)
        self._lock = threading.Lock()
        self._open()
        count = 0 if self.is_camera else self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames = max(0, int(count))
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS)) or _USUAL_RATE

    def _open(self) -> None:
        source = int(self.place) if self.is_camera else self.place
        self._capture, self._next = cv2.VideoCapture(source), 0
        if not self._capture.isOpened():
            what = "camera" if self.is_camera else "video"
            raise DataError(f"{self.place}: is no {what} that OpenCV can open")

    def frame(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of a frame, counted from 0.

        Raises:
            DataError: the video ends before, or is damaged there.
        """
        with self._lock:
            if number < self._next and not self.is_camera:
                self._capture.release()
                self._open()
            while self._next < number and not self.is_camera:
                self._grab()
            self._grab()
            there, picture = self._capture.retrieve()
        if not there or picture is None:
            raise DataError(f"{self.place}: frame {number} cannot be decoded")
        return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)

    def _grab(self) -> None:
        if not self._capture.grab():
            raise DataError(f"{self.place}: ends, or is damaged, after {self._next} frames")
        self._next += 1


def video_scenes(
    places: Mapping[str, str],
    modalities: Mapping[str, Modality],
    frames: int | None = None,
    intrinsics: Intrinsics = None,
) -> tuple[list[SceneSource], float]:
    """The frames of videos, and of folders of pictures beside them, as scenes.

    Args:
        places: by modality a video, the number of a camera, or a folder or pattern of pictures, of
            which the first, in the order of their names, goes with the first frame.
        modalities: how pictures are read.
        frames: only the first so many; cameras need it.
        intrinsics: of the camera.

    Returns:
        The scenes, named by the number of their frame, and the frames per second.

    Raises:
        ConfigError: a video of depth, which has 8 bits; a camera without ``frames``.
        DataError: one cannot be opened, or numbers of frames or rates differ.
    """
    videos = {name: Video(text) for name, text in places.items() if is_video(text)}
    for name, video in videos.items():
        if modalities[name].field_kind.metres:
            raise ConfigError(
                f"--{name} {video.place}: a video has 8 bits, which hold no distances; give a "
                "folder of its frames, such as 16-bit PNG"
            )
        if video.is_camera and frames is None:
            raise ConfigError(f"--{name} {video.place}: is a camera; --frames N says when to stop")
    pictures = {name: _in_order(name, text) for name, text in places.items() if not is_video(text)}
    rate = _common_rate(videos.values())
    counts = {name: len(paths) for name, paths in pictures.items()}
    counts |= {n: video.frames for n, video in videos.items() if not video.is_camera}
    count = _common_count({name: (places[name], n) for name, n in counts.items()}, frames)
    files = {name: Path(v.place) for name, v in videos.items() if not v.is_camera}

    def load(number: int) -> tuple[Inputs, Intrinsics]:
        read: dict[str, Any] = {name: paths[number] for name, paths in pictures.items()}
        for name, video in videos.items():
            modality, source = modalities[name], f"{video.place}, frame {number}"
            stored = as_channels(video.frame(number), modality.stored_channels, source)
            read[name] = modality.from_stored(stored, source)
        return read, intrinsics

    scenes = []
    for number in range(count):
        own = {name: paths[number] for name, paths in pictures.items()}
        scenes.append(SceneSource(f"{number:06d}", {**files, **own}, partial(load, number)))
    return scenes, rate


def _in_order(name: str, text: str) -> list[Path]:
    files = files_by_name(f"--{name}", text)
    return [files[key] for key in sorted(files, key=natural)]


def _common_rate(videos: Iterable[Video]) -> float:
    first, *others = videos
    for other in others:
        if abs(other.rate - first.rate) > _SAME_RATE * first.rate:
            raise DataError(
                f"{first.place} has {first.rate:g} frames per second, {other.place} "
                f"{other.rate:g}: their frames do not go together; bring them to one rate first"
            )
    return first.rate


def _common_count(counts: Mapping[str, tuple[str, int]], frames: int | None) -> int:
    lengths = ", ".join(f"{place} has {number}" for place, number in counts.values())
    numbers = {number for _, number in counts.values()}
    if frames is not None:
        if min(numbers, default=frames) < frames:
            raise DataError(f"--frames {frames}: {lengths} frames; ask for no more than all have")
        return frames
    if len(numbers) > 1:
        raise DataError(
            f"{lengths} frames; frames go together by their number, so give as many of each, or "
            "take the first ones of all (--frames N)"
        )
    if 0 in numbers:
        raise DataError(f"{lengths} frames; say how many there are (--frames N)")
    return numbers.pop()


def join_pictures(pictures: Iterable[Path], out: Path, rate: float) -> bool:
    """Writes pictures of one size as a video (MPEG-4).

    Returns:
        Whether this OpenCV has a codec for it.

    Raises:
        DataError: the file cannot be written.
    """
    done = False

    def write(path: Path) -> None:
        nonlocal done
        # OpenCV chooses the container by the ending, which a temporary file does not have.
        ended = path.with_suffix(out.suffix)
        writer: cv2.VideoWriter | None = None
        for picture in pictures:
            colours = cv2.imread(str(picture))
            if colours is None:
                continue
            if writer is None:
                size = (colours.shape[1], colours.shape[0])
                writer = cv2.VideoWriter(str(ended), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
            writer.write(colours)
        if writer is not None:
            done = writer.isOpened()
            writer.release()
        if done:
            ended.replace(path)

    write_atomically(out, write, DataError)
    if not done:
        out.unlink(missing_ok=True)
    return done
