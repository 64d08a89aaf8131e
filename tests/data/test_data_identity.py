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
