"""What is drawn in a training step: pure functions of seed, step and process."""

from __future__ import annotations

import numpy as np

from cen.training.fusion_scores import subsets


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of one step on one process, a pure function of its arguments."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0])


def draw_modalities(
    inputs: tuple[str, ...], probability: float, seed: int, step: int
) -> tuple[str, ...]:
    """The modalities of a step, the same on every process.

    Args:
        inputs: all modalities.
        probability: how likely a proper subset is; every non-empty one is equally likely.
        seed: seed of the run.
        step: the step, from 0.
    """
    proper = subsets(inputs)[1:]
    # The last entry keeps these draws apart from those of step_seed.
    rng = np.random.default_rng((seed, step, 0, 1))
    if not proper or rng.random() >= probability:
        return inputs
    return proper[int(rng.integers(len(proper)))]
