"""Which data lie at a place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cen.data.data_identity import data_digest, data_identity
from cen.data.rooms.write import write_rooms
from cen.errors import DataError


def described(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "dataset.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_the_place_of_described_data_does_not_count(tmp_path: Path) -> None:
    content = {"name": "rooms", "labels": "parts", "seed": 0}
    first, second = described(tmp_path / "a", content), described(tmp_path / "b", content)
    other = described(tmp_path / "c", {**content, "seed": 1})
    assert data_identity(first) == data_identity(second)
    assert data_identity(first) != data_identity(other)


def test_a_description_that_a_user_wrote_is_no_content(tmp_path: Path) -> None:
    """Two sites with the same patterns and classes are two data sets."""
    content = {"fields": {"rgb": {"files": "rgb/{name}.png"}}, "classes": ["a", "b"]}
    sites = [described(tmp_path / name, content) for name in "ab"]
    first, second = map(data_identity, sites)
    assert first != second
    (sites[0] / "train.txt").write_text("one\n")
    assert data_identity(sites[0]) != first
    rooms = [described(tmp_path / n, {**content, "about": {"name": "rooms"}}) for n in "cd"]
    assert data_identity(rooms[0]) == data_identity(rooms[1])


def test_other_data_are_known_by_place_and_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\n")
    before = data_identity(tmp_path)
    assert before == data_identity(tmp_path)
    (tmp_path / "train.txt").write_text("a\nb\n")
    assert data_identity(tmp_path) != before
    container = tmp_path / "all.mat"
    container.write_bytes(b"12345")
    assert data_identity(container)["bytes"] == 5
    with pytest.raises(DataError, match="no such folder"):
        data_identity(tmp_path / "nowhere")
    (tmp_path / "dataset.yaml").write_text("a: [")
    with pytest.raises(DataError, match=r"dataset\.yaml, line \d+: is not valid YAML"):
        data_identity(tmp_path)


def test_lists_in_folders_and_of_matlab_are_lists(tmp_path: Path) -> None:
    """Not what lies beside every picture."""
    (tmp_path / "lists" / "own").mkdir(parents=True)
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "made.mat").write_bytes(b"MATLAB 7.3 MAT-file")
    identities = [data_identity(tmp_path)]
    for name in ("splits.mat", "lists/train.txt", "lists/own/test.csv"):
        (tmp_path / name).write_bytes(b"MATLAB 5.0 MAT-file")
        identities.append(data_identity(tmp_path))
        (tmp_path / name).write_bytes(b"MATLAB 5.0 MAT-file, other")
        identities.append(data_identity(tmp_path))
    assert len({data_digest(identity) for identity in identities}) == 7
    for number in range(65):
        (tmp_path / "depth" / f"{number}.txt").write_text("580 0 320")
        (tmp_path / "lists" / "own" / f"{number}").mkdir()
    assert data_identity(tmp_path) == identities[-1]


@pytest.mark.parametrize("layout", ["nyudv2-mat", "sunrgbd"])
def test_rooms_whose_matlab_lists_were_changed_are_other_data(tmp_path: Path, layout: str) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_rooms(tmp_path / name, layout=layout, size=(32, 32), train=3, test=1, seed=seed)
    first, second = tmp_path / "a", tmp_path / "b"
    assert data_identity(first) == data_identity(second) != data_identity(tmp_path / "c")
    (changed,) = [*second.rglob("splits.mat"), *second.rglob("allsplit.mat")]
    changed.write_bytes(changed.read_bytes() + b" ")
    assert data_identity(first) != data_identity(second)


@pytest.mark.parametrize("layout", ["nyudv2", "folder", "taskonomy"])
def test_rooms_whose_lists_were_changed_are_other_data(tmp_path: Path, layout: str) -> None:
    """Runs on half of the scenes are none of those on all of them."""
    for name in "ab":
        write_rooms(tmp_path / name, layout=layout, size=(32, 32), train=11, test=1)
    first, second = tmp_path / "a", tmp_path / "b"
    assert data_identity(first) == data_identity(second)
    assert set(data_identity(first)) == {"dataset"}
    scenes = (second / "train.txt").read_text().splitlines(keepends=True)
    changes = {"half": scenes[:6], "one twice": [*scenes[:-1], scenes[0]], "turned": scenes[::-1]}
    digests = {data_digest(data_identity(first))}
    for change in changes.values():
        (second / "train.txt").write_text("".join(change))
        digests.add(data_digest(data_identity(second)))
    assert len(digests) == 1 + len(changes)
