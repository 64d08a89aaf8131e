import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cen.data.readers.splitting import hashed_number, hashed_split, held_out
from cen.errors import DataError

NAMES = st.lists(st.integers(0, 40).map(str), min_size=3, max_size=40)


def split_all(groups, validation, test):
    return {
        name: hashed_split(groups, name, validation=validation, test=test, where="here")
        for name in ("train", "validation", "test")
    }


def test_the_number_is_the_same_on_every_machine():
    assert hashed_number("scene 1", "test") == 0.5108447057409479
    assert hashed_number("scene 1", "validation") != hashed_number("scene 1", "test")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES)
def test_splits_cover_the_samples_and_tear_no_group(groups):
    if len(set(groups)) < 3:
        return
    parts = split_all(groups, 0.3, 0.3)
    assert sorted(index for part in parts.values() for index in part) == list(range(len(groups)))
    of = {name: {groups[index] for index in part} for name, part in parts.items()}
    assert not of["train"] & of["validation"]
    assert not of["test"] & (of["train"] | of["validation"])


def test_more_files_change_nothing_for_those_that_were_there():
    few = [f"scene {n}" for n in range(200)]
    many = [*few, *(f"new {n}" for n in range(300))]
    for share in (0.1, 0.5):
        assert held_out(few, share, "test") == held_out(many, share, "test") & set(few)
    assert 20 < len(held_out(many, 0.1, "test")) < 80


def test_two_buildings_are_enough():
    parts = split_all(["a"] * 10 + ["b"] * 10, 0.2, 0.4)
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 8,
        "validation": 2,
        "test": 10,
    }


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_groups_give_both_sides(count):
    groups = [f"{n}" for n in range(count)]
    for share in (0.001, 0.5, 0.999):
        assert 0 < len(held_out(groups, share, "test")) < count


def test_an_empty_split_and_a_wrong_share_are_refused():
    with pytest.raises(DataError, match=r"here: of 2 frames in 1 groups.* test split empty"):
        hashed_split(["a", "a"], "test", validation=0.0, test=0.1, where="here")
    with pytest.raises(DataError, match="validation split empty"):
        hashed_split(["a", "b"], "validation", validation=0.0, test=0.5, where="here")
    with pytest.raises(DataError, match=r"test = 1\.0 is no share"):
        hashed_split(["a", "b"], "test", validation=0.0, test=1.0, where="here")
