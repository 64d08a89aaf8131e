"""What the heap of a command keeps, counted in pages that the system hands out."""

import os
import subprocess
import sys

import pytest

from cen.cli import heap
from cen.cli.heap import keep_freed_memory

MEBIBYTES = 48
LARGE_PAGES = MEBIBYTES // 4  # pages may be of 4 KiB or of 2 MiB, but for those at both ends
PAGES = f"""
import ctypes, resource, sys
from cen.cli import main

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def touch(size={MEBIBYTES} << 20):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)

called_with = None if sys.argv[1] == "command" else ["configs"]
sys.argv = ["cen", "configs"]
main(called_with)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, file=sys.stderr)
"""

on_glibc = pytest.mark.skipif(not heap._is_glibc(), reason="the heap of glibc")


def pages_again(called: str, **environment: str) -> int:
    """Pages that the system clears for a block as large as the one freed before it."""
    left = {k: v for k, v in os.environ.items() if not heap._is_set_by_user({k: v})}
    run = [sys.executable, "-c", PAGES, called]
    done = subprocess.run(
        run, env=left | environment, capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stderr.split()[-1])


@on_glibc
def test_a_command_keeps_what_large_tensors_free() -> None:
    assert pages_again("command") < LARGE_PAGES


@on_glibc
def test_a_call_from_python_leaves_the_heap_as_it_is() -> None:
    assert pages_again("call") >= LARGE_PAGES


@on_glibc
def test_the_users_own_setting_stands() -> None:
    assert pages_again("command", MALLOC_MMAP_THRESHOLD_="1048576") >= LARGE_PAGES


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_MMAP_MAX_": "0"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"},
        {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"},
        {"LD_PRELOAD": "/usr/lib/libtcmalloc.so"},
    ],
)
def test_settings_of_the_users_are_seen(environment: dict[str, str]) -> None:
    assert not keep_freed_memory(environment)


def test_elsewhere_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.confstr_names", {}, raising=False)
    assert not keep_freed_memory({})
