"""What a writer of Rooms gets."""

import os
import signal

import pytest
import yaml

from cen.data.rooms.plan import Plan
from cen.errors import DataError


def _dies(root, scene, rendered):
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_death_of_a_process_that_renders_is_an_error(tmp_path):
    """Python's own says neither where nor what to do."""
    plan = Plan(tmp_path, "folder", "parts", (16, 16), 2, 1, 0, workers=2)
    with pytest.raises(DataError, match=r"was killed, .*--workers 1"):
        plan.each(_dies, ("depth",))


def test_what_a_layout_says_apart_stands_there_twice_and_not_by_reference():
    """Who reads dataset.yaml need not know what & and * mean in YAML."""
    plan = Plan(None, "taskonomy", "parts", (16, 16), 2, 1, 0)
    text = yaml.safe_dump(plan.described_apart())
    assert yaml.safe_load(text)["about"]["palette"] == plan.description()["palette"]
    assert "&" not in text
