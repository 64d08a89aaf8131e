from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cen.data import Modality, NYUDv2Folder, cut_validation
from cen.errors import ConfigError, DataError


@given(st.integers(1, 900), st.floats(0.0, 0.99))
def test_without_scenes_the_validation_part_is_a_few_blocks(length: int, share: float) -> None:
    rows = [str(number) for number in range(length)]
    count = round(share * length)
    if count in (0, length):
        empty = "validation" if count == 0 else "train"
        with pytest.raises(DataError, match=f"{empty} split empty"):
            cut_validation(rows, share, empty, "train.txt")
        return
    held = cut_validation(rows, share, "validation", "train.txt")
    kept = cut_validation(rows, share, "train", "train.txt")
    assert sorted(held + kept) == list(range(length))
    assert len(held) == count
    assert 1 <= 1 + (np.diff(held) > 1).sum() <= 5


@given(st.lists(st.integers(1, 12), min_size=8, max_size=40), st.floats(0.1, 0.5))
def test_whole_scenes_are_held_out(sizes: list[int], share: float) -> None:
    sizes[0] = max(2, sizes[0])
    groups = [f"room {n}" for n, size in enumerate(sizes) for _ in range(size)]
    wanted = round(share * len(groups))
    try:
        held = cut_validation(groups, share, "validation", "list")
    except DataError:
        # Even the smallest scene would be further from the share than none.
        assert 2 * wanted <= max(sizes)
        return
    kept = cut_validation(groups, share, "train", "list")
    assert sorted(held + kept) == list(range(len(groups)))
    assert not {groups[n] for n in held} & {groups[n] for n in kept}
    assert abs(len(held) - wanted) <= max(sizes)


def test_the_split_of_scenes_does_not_depend_on_their_order() -> None:
    groups = [f"room {n // 3}" for n in range(60)]
    held = {groups[n] for n in cut_validation(groups, 0.2, "validation", "list")}
    turned = groups[::-1]
    assert {turned[n] for n in cut_validation(turned, 0.2, "validation", "list")} == held


def test_fields_may_be_input_and_target(written: Path) -> None:
    depth = Modality.of("depth")
    data = NYUDv2Folder(written, "train", {"rgb": Modality.of()}, {"depth": depth})
    assert list(data[0]) == ["rgb", "depth", "name"]
    assert data.classes == ()


def test_an_unknown_field_is_refused(written: Path) -> None:
    with pytest.raises(ConfigError, match=r"dept: no field .*did you mean 'depth'"):
        NYUDv2Folder(written, "train", {"dept": Modality.of("depth")})


def test_an_index_beyond_the_split_is_refused(written: Path) -> None:
    data = NYUDv2Folder(written, "test")
    with pytest.raises(IndexError):
        data[len(data)]
