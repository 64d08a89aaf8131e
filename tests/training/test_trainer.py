"""Lightning's hints are kept back while it is used here, and no longer."""

from __future__ import annotations

import logging
import warnings

from cen.training.trainer import quiet

HINT = "The 'train_dataloader' does not have many workers which may be a bottleneck"


def test_hints_are_silent_inside_alone() -> None:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn(HINT, stacklevel=1)
            warnings.warn("of somebody else", stacklevel=1)
            assert logger.level == logging.WARNING
        warnings.warn(HINT, stacklevel=1)
    assert logger.level == before
    assert [str(one.message) for one in seen] == ["of somebody else", HINT]
