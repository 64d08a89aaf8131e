"""What can be read to its end is a file."""

from pathlib import Path

import pytest

from cen.data.formats.pictures import read_array
from cen.errors import DataError


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    for path, message in (
        (tmp_path, "folder or no ordinary file"),
        (tmp_path / "none.png", "No such file"),
        (Path("/dev/zero"), "folder or no ordinary file"),
    ):
        with pytest.raises(DataError, match=message):
            read_array(path)
