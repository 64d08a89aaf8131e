"""Which scenes of the endless sequence belong to which split."""

from __future__ import annotations

# Number of the first scene of each split; far enough apart that the splits never meet.
SPLITS = {"train": 0, "validation": 2**30, "test": 2**31}


def scene_index(split: str, number: int) -> int:
    """Index, for ``render_scene``, of the ``number``-th scene of a split."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if not 0 <= number < 2**30:
        raise ValueError(f"scene {number} is outside 0..{2**30 - 1}")
    return SPLITS[split] + number
