"""Writing files in one step: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cen.errors import CenError

LONGEST_NAME = 255
"""Bytes that file systems give the name of a file or a folder."""
_LONGEST_PATH = 4095
UNFINISHED = ".part"
"""Ending of the temporary files of :func:`write_atomically`."""
_DRAFT = re.compile(r"\..+\.(\d+)\.[^.]+\.part")

NETWORKS = ("best.safetensors", "last.safetensors")
"""Networks of a run folder, in the order in which `cen.load` looks for them."""
SHARED_NETWORK = "model.safetensors"
"""The network of a folder that is sent to the Hugging Face Hub."""


def network_of(folder: Path, names: Sequence[str] = NETWORKS) -> Path | None:
    """The first network of these names in a folder, by which it is scored; None: there is none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def path_problem(path: str | os.PathLike[str]) -> str | None:
    """Why no file can have this path, as the end of a message; None where one can.

    Asking the system for such a path raises other exceptions than those of a missing file.
    """
    text = os.fspath(path)
    if not text.strip():
        return "is empty; give a path"
    if "\0" in text:
        return "holds a NUL character, which no path can"
    try:
        names = [os.fsencode(name) for name in Path(text).parts]
    except UnicodeEncodeError:
        return "holds half a character, which no path can"
    if longest := max((len(name) for name in names if len(name) > LONGEST_NAME), default=0):
        return f"holds a name of {longest} bytes; file systems take {LONGEST_NAME}"
    if len(os.fsencode(text)) > _LONGEST_PATH:
        return f"is longer than the {_LONGEST_PATH} bytes that the system takes"
    return None


def write_atomically(
    path: str | Path, write: Callable[[Path], object], error: type[CenError] = CenError
) -> Path:
    """Lets ``write`` fill a temporary file beside ``path``, then renames it to ``path``.

    The folder is made where it is missing.

    Returns:
        ``path``.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Who writes it stands in its name: see `remove_unfinished`.
        start = f".{path.name[:150]}.{os.getpid()}."
        handle, name = tempfile.mkstemp(prefix=start, suffix=UNFINISHED, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        # mkstemp makes files for the owner alone; give the permissions of an ordinary new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except Exception as problem:
        cause = write_problem(problem)
        if cause is None:
            raise
        raise error(f"{path} cannot be written: {cause}") from problem
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_problem(problem: BaseException) -> str | None:
    """Why a file could not be written, in the system's words; None where that is not the matter.

    Safetensors and torch report a full disk by exceptions of their own.
    """
    if isinstance(problem, OSError):
        return problem.strerror or str(problem)
    text = str(problem)
    if number := re.search(r"\(os error (\d+)\)", text):
        return os.strerror(int(number.group(1)))
    if "PytorchStreamWriter" in text or "inline_container" in text:
        return f"{os.strerror(errno.ENOSPC)}, or the file system does not take it whole"
    return None


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is one that this module writes, before it is whole."""
    return _DRAFT.match(name) is not None


def remove_unfinished(folder: Path) -> None:
    """Removes what processes that are gone left half-written below a folder.

    Only files that this module names, and only where no process of the number in the name runs.
    Links are not followed.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            match = _DRAFT.match(name)
            if match and not _runs(int(match.group(1))):
                with suppress(OSError):  # a folder that is only read keeps what is in it
                    Path(place, name).unlink(missing_ok=True)


def is_written(
    folder: Path,
    described: str,
    begun: str,
    same: Callable[[Path], bool],
    other: str,
    error: type[CenError] = CenError,
) -> bool:
    """Whether a folder holds all of what is to be written there; refuses one that holds else.

    What processes that are gone left half-written is removed.

    Args:
        folder: absent, empty, or begun before.
        described: the file that says what is there, which is written last.
        begun: the file that says the same before all is there.
        same: whether such a file says what is to be written now.
        other: what messages call what it says otherwise.
        error: what a refusal is.
    """
    if not folder.is_dir():
        return False
    remove_unfinished(folder)
    for name in (described, begun):
        path = folder / name
        if path.is_file():
            if same(path):
                return name == described
            raise error(
                f"{path}: the folder holds {other}; choose another folder or delete this one"
            )
    if any(folder.iterdir()):
        raise error(f"{folder}: holds files of something else; choose another or a new folder")
    return False


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of a file, which goes with the process however that ends."""
    from filelock import FileLock, Timeout  # the help of commands waits for nothing

    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that is only read
        return False


def contained(folder: Path, path: Path, error: type[CenError] = CenError) -> Path:
    """A path below a folder, which no symbolic link leads out of it.

    Returns:
        ``path``.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise error(
            f"{path} is or lies behind a symbolic link out of {folder} (to {path.resolve()}), "
            "where nothing is written or deleted; put a folder or file in its place"
        )
    return path


def write_bytes(path: str | Path, content: bytes, error: type[CenError] = CenError) -> Path:
    """Writes ``content`` in one step; see :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_bytes(content), error)


def write_text(path: str | Path, text: str, error: type[CenError] = CenError) -> Path:
    """Writes ``text`` as UTF-8 in one step; see :func:`write_atomically`."""
    return write_bytes(path, text.encode(), error)


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> Path:
    """Writes a JSON file in one step; NaN is refused because JSON has none.

    ``indent=None`` is for large files: indenting is many times slower.
    """
    return write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")
