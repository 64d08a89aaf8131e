"""Standard output that says what is wrong with it, instead of an error without a name."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any, TextIO

from cen.errors import CenError


class OutputError(CenError):
    """Standard output does not take what is printed: a full disk, a pipe whose reader is gone."""


class _Told:
    """A stream whose refusals are `OutputError`, which no library swallows or takes for another."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, as the stream does."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _refused(error) from None

    def flush(self) -> None:
        """Flushes, as the stream does."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _refused(error) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class TellingOutput:
    """Lets the standard output of a process tell what is wrong with it, as a context.

    On leaving, what was kept back is written. A stream that something else has put in place of the
    process's own is left alone.

    Raises:
        OutputError: On entering where the output is closed; inside and on leaving where it takes
            no more.
    """

    def __init__(self) -> None:
        self._own = sys.stdout is sys.__stdout__
        self._former = sys.stdout

    def __enter__(self) -> None:
        if sys.stdout is None:  # Python's own sign of a closed descriptor
            raise OutputError("standard output is closed; send it to a file or to /dev/null")
        if self._own:
            sys.stdout = _Told(sys.stdout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._own:
            return
        try:
            sys.stdout.flush()
        except OutputError:
            _let_go()
            if error is None or isinstance(error, SystemExit):
                raise
        finally:
            sys.stdout = self._former
        if isinstance(error, OutputError):
            _let_go()


def _refused(error: OSError) -> OutputError:
    cause = error.strerror or error
    return OutputError(
        f"standard output does not take any more ({cause}); not everything was printed"
    )


def _let_go() -> None:
    """What is still kept back goes nowhere, so that the end of the process does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
