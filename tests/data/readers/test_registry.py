import subprocess
import sys

import pytest

from cen.config import Config
from cen.data.readers.registry import LAYOUTS
from cen.errors import ConfigError


def test_a_configuration_names_the_layouts_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"data.layout: no layout 'taskonmy'.*'taskonomy'"):
        Config.from_dict({"data": {"layout": "taskonmy"}})
    assert Config.from_dict({"data": {"layout": "taskonomy"}}).data.layout in LAYOUTS


def test_registrations_import_nothing() -> None:
    code = "import sys, cen.data.readers.registry; print({'torch', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
