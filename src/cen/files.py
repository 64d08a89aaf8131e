"""Writing files in one step: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from cen.errors import CenError


def write_atomically(
    path: str | Path, write: Callable[[Path], object], error: type[CenError] = CenError
) -> Path:
    """Lets ``write`` fill a temporary file beside ``path``, then renames it to ``path``.

    Args:
        path: The file to make or to replace; its folder is made where it is missing.
        write: Called with the path of the temporary file.
        error: Type of the exception for a file that cannot be written.

    Returns:
        ``path``.

    Raises:
        CenError: Of type ``error``, where the disk or the permissions do not allow it.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        # mkstemp makes files for the owner alone; give the permissions of an ordinary new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as problem:
        raise error(f"{path} cannot be written: {problem.strerror or problem}") from problem
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: str | Path, content: bytes, error: type[CenError] = CenError) -> Path:
    """Writes ``content`` in one step; see :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_bytes(content), error)


def write_text(path: str | Path, text: str, error: type[CenError] = CenError) -> Path:
    """Writes ``text`` as UTF-8 in one step; see :func:`write_atomically`."""
    return write_bytes(path, text.encode(), error)
