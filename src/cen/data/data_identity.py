"""What says which data lie at a place: known runs and evaluations are told apart by it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cen.documents import read_yaml
from cen.errors import DataError
from cen.fetching import is_url

_LISTS = (".txt", ".yaml", ".json", ".csv", ".mat")
_LONG = 50_000_000
_DEEP, _MANY = 2, 64
"""How far below the root lists lie; of more files or folders in one folder, each is of a sample."""
_SPLIT_OF = {"train.txt": "train", "test.txt": "test", "val.txt": "test"}


def data_identity(root: str | Path, layout: str = "") -> dict[str, Any]:
    """What says which data lie at a place, of a layout.

    What dataset.yaml says of rendered data: Rooms of the same options is the same data set
    wherever it lies, unless its lists were changed afterwards. Elsewhere the place itself with the
    digests of the lists in it, the size of the file, or the URL. Layout ``rooms`` has no files:
    what it renders follows from ``data.options``, which are part of the configuration, and from
    the renderer's version.

    Raises:
        DataError: There is no such folder, or its dataset.yaml cannot be read.
    """
    if layout == "rooms":
        from cen.data.rooms.plan import VERSION  # imports torch

        return {"rooms": VERSION}
    if is_url(str(root)):
        return {"url": root}
    root = Path(root)
    if root.is_file():
        return {"file": str(root.resolve()), "bytes": root.stat().st_size}
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the data of the study with --data")
    description = root / "dataset.yaml"
    if description.is_file():
        content = read_yaml(description, DataError).value
        about = content.get("about", content) if isinstance(content, dict) else {}
        if isinstance(about, dict) and about.get("name") == "rooms":
            lists = _lists(root)
            if _as_rendered(root, about):
                # What cannot be compared with the description is the same bytes wherever it lies.
                lists = {name: digest for name, digest in lists.items() if name.endswith(".mat")}
            return {"dataset": content, **({"lists": lists} if lists else {})}
    return {"folder": str(root.resolve()), "lists": _lists(root)}


def data_digest(identity: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of what `data_identity` gives."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _lists(root: Path) -> dict[str, str]:
    """Digests of the files that name samples, by their path below the root.

    MATLAB files are those before 7.3; the others hold pictures.
    """
    digests: dict[str, str] = {}
    folders = [root]
    for _ in range(1 + _DEEP):
        deeper: list[Path] = []
        for folder in folders:
            lists, inner = _entries(folder)
            if folder == root or len(lists) <= _MANY:
                digests |= {_below(root, file): _digest(file) for file in lists}
            deeper += inner if len(inner) <= _MANY else []
        folders = deeper
    return {name: digest for name, digest in sorted(digests.items()) if digest}


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """What may be lists in a folder, and the folders in it; nothing of one that is not readable."""
    lists, folders = [], []
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if Path(entry.name).suffix in _LISTS and entry.is_file():
                lists.append(Path(entry.path))
            elif entry.is_dir():
                folders.append(Path(entry.path))
    return lists, folders


def _below(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()


def _digest(file: Path) -> str:
    """Of what a file holds; empty where it is no list."""
    if file.stat().st_size >= _LONG:
        return ""
    content = file.read_bytes()
    pictures = file.suffix == ".mat" and content.startswith(b"MATLAB 7.3")
    return "" if pictures else hashlib.sha256(content).hexdigest()[:16]


def _as_rendered(root: Path, about: Mapping[str, Any]) -> bool:
    """Whether the lists of Rooms name every scene that was rendered, once and in order."""
    counts = about.get("splits")
    if not isinstance(counts, dict):
        return True
    for name, split in _SPLIT_OF.items():
        if (root / name).is_file():
            scenes = (root / name).read_text("utf-8", "replace").splitlines()
            numbered = sorted(set(scenes), key=lambda scene: (len(scene), scene))
            if len(scenes) != counts.get(split) or scenes != numbered:
                return False
    return True
