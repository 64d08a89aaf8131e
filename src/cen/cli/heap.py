"""The heap of a process that is this program's alone: what tensors free is kept for later ones."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_ON_HEAP = 1 << 30
_MOST_KEPT = (1 << 31) - 1  # the largest value that mallopt takes


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Lets glibc keep blocks of up to 1 GiB that were freed, 2 GiB of them at the end of the heap.

    By itself glibc asks the system for every block above 32 MiB anew and hands it back, so that all
    its pages are cleared again: an addition of two feature maps of that size takes five times
    as long. PyTorch on a CPU has no allocator of its own that would prevent it.

    Args:
        environment: Where the user's own settings of the heap are looked for; those stand.

    Returns:
        Whether it was set: not outside glibc, nor beside settings of the user's.
    """
    if not _is_glibc() or _is_set_by_user(environment):
        return False
    libc = ctypes.CDLL(None)
    return all(
        libc.mallopt(parameter, value) == 1
        for parameter, value in (
            (_MMAP_THRESHOLD, _LARGEST_ON_HEAP),
            (_TRIM_THRESHOLD, _MOST_KEPT),
        )
    )


def _is_glibc() -> bool:
    """Whether this process runs on the GNU C library."""
    names = getattr(os, "confstr_names", {})  # not on Windows
    return "CS_GNU_LIBC_VERSION" in names and bool(os.confstr("CS_GNU_LIBC_VERSION"))


def _is_set_by_user(environment: Mapping[str, str]) -> bool:
    """Whether mallopt(3)'s variables, or those of another allocator, are there."""
    return (
        any(name.startswith("MALLOC_") for name in environment)
        or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")
        or "malloc" in environment.get("LD_PRELOAD", "")
    )
