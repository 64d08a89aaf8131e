"""Means, paired differences and intervals against tables, hand computation and simulation."""

import random

import pytest

from cen.studies.intervals import paired_difference, summarise

# Two-sided 95 % points as printed in statistical tables (Fisher and Yates, Table III).
PRINTED = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}


@pytest.mark.parametrize("df", PRINTED)
def test_half_widths_are_those_of_printed_tables(df: int) -> None:
    n = df + 1
    values = {seed: float(seed % 3) for seed in range(n)}
    found = paired_difference(values, dict.fromkeys(values, 0.0))
    assert found is not None
    assert found.std is not None
    assert found.high is not None
    half = PRINTED[df] * found.std / n**0.5
    assert found.high - found.mean == pytest.approx(half, rel=2e-4)


def test_summary_by_hand() -> None:
    found = summarise([1.0, 2.0, 6.0])
    assert found is not None
    assert (found.n, found.mean) == (3, 3.0)
    assert found.std == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    alone = summarise([5.0])
    assert alone is not None
    assert (alone.mean, alone.std) == (5.0, None)
    assert summarise([]) is None


def test_difference_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, deviation 1, half width 4.3027 / sqrt(3)."""
    first, second = {0: 11.0, 1: 22.0, 2: 33.0, 9: 0.0}, {2: 30.0, 1: 20.0, 0: 10.0, 5: 1.0}
    found = paired_difference(first, second)
    assert found is not None
    assert (found.n, found.mean, found.std) == (3, 2.0, 1.0)
    assert found.low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)
    assert not found.clear


def test_pairing_takes_out_what_seeds_share() -> None:
    """Seeds that are far apart, rows that differ by nearly the same on each of them."""
    first = {0: 10.0, 1: 50.0, 2: 90.0}
    found = paired_difference(first, {seed: v - 1 - 0.01 * seed for seed, v in first.items()})
    assert found is not None
    assert found.clear
    assert found.mean == pytest.approx(1.01)


def test_one_seed_has_no_interval_and_none_no_difference() -> None:
    found = paired_difference({0: 3.0}, {0: 1.0})
    assert found is not None
    assert (found.n, found.mean, found.low, found.high) == (1, 2.0, None, None)
    assert not found.clear
    assert paired_difference({0: 3.0}, {1: 1.0}) is None


def test_intervals_cover_as_often_as_they_say() -> None:
    """3,000 studies of 3 seeds whose true difference is 0.7: about 95 % of intervals hold it."""
    draw = random.Random(20201)
    covered = 0
    for _ in range(3000):
        shared = [draw.gauss(0, 5) for _ in range(3)]
        first = {s: shared[s] + 0.7 + draw.gauss(0, 1) for s in range(3)}
        second = {s: shared[s] + draw.gauss(0, 1) for s in range(3)}
        found = paired_difference(first, second)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.7 <= found.high
    # Binomial standard deviation 0.4 %: four of them either way.
    assert 0.934 < covered / 3000 < 0.966
