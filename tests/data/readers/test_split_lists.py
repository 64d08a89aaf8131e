from pathlib import Path

import pytest

from cen.data.readers.split_lists import official_list
from cen.errors import DataError


def test_a_list_gives_names_with_their_places(tmp_path: Path) -> None:
    for name, text in (("train", "a\nb\n"), ("val", "c\n"), ("test", "# none\nd\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    assert official_list(tmp_path, "test") == {"d": f"{tmp_path / 'test.txt'}, line 2"}
    (tmp_path / "val.txt").write_text("../c\n")
    with pytest.raises(DataError, match=r"val\.txt, line 1: '\.\./c' is no name"):
        official_list(tmp_path, "train")
    (tmp_path / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt: cannot read the list"):
        official_list(tmp_path, "train")
