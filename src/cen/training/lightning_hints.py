"""Keeping Lightning's hints to itself that do not apply to how it is used here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_HINTS = (
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*Found .* module\(s\) in eval mode.*",
    # Nothing changes in place what a whole network returns; of its blocks it is told.
    r"FSDP2-wrapped module \(FSDP\w*Network\) returned a view tensor.*",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's start-up notes and some hints; restores everything on leaving."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _HINTS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
