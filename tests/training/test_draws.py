"""Draws of a step: seeds and modalities."""

from __future__ import annotations

from collections import Counter

import pytest

from cen.training.draws import draw_modalities, step_seed


def test_step_seeds_differ() -> None:
    seeds = {step_seed(s, k, r) for s in range(3) for k in range(50) for r in range(2)}
    assert len(seeds) == 300
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3)


def test_modalities_are_drawn_as_often_as_asked() -> None:
    inputs = ("rgb", "depth", "flow")
    drawn = Counter(draw_modalities(inputs, 0.6, 0, step) for step in range(3000))
    assert drawn.pop(inputs) / 3000 == pytest.approx(0.4, abs=0.04)
    assert len(drawn) == 6  # every proper non-empty subset
    assert all(count / 3000 == pytest.approx(0.1, abs=0.03) for count in drawn.values())
    assert all(tuple(n for n in inputs if n in subset) == subset for subset in drawn)


def test_modality_dropout_needs_a_choice() -> None:
    assert draw_modalities(("rgb",), 1.0, 0, 0) == ("rgb",)
    assert {draw_modalities(("rgb", "depth"), 0.0, 0, k) for k in range(50)} == {("rgb", "depth")}
