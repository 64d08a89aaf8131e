import shutil
from pathlib import Path

import pytest
from tests.data.conftest import Layouts


@pytest.fixture
def root(layouts: Layouts, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(layouts("nyudv2"), tmp_path / "data")
    return tmp_path / "data"
