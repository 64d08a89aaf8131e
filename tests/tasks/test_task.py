import json

import pytest

from cen.errors import ConfigError
from cen.models import Task


def test_a_number_is_a_segmentation():
    assert Task.of(13) == Task("segmentation", 13)


def test_a_task_survives_json():
    for task in (
        Task("segmentation", 2, classes=("wall", "floor"), ignore_index=0),
        Task("edge", 1),
    ):
        assert Task.of(json.loads(json.dumps(task.to_dict()))) == task


def test_classes_given_as_a_list_become_a_tuple():
    assert Task("segmentation", 2, classes=["wall", "floor"]).classes == ("wall", "floor")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "at least 1"),
        (True, "number of classes or a Task"),
        ("40", "number of classes or a Task"),
        ({"kind": "depth", "chanels": 1}, "chanels"),
        (
            {"kind": "dpeth", "channels": 1},
            "'dpeth' .did you mean 'depth'.*; the kinds are segmentation, depth",
        ),
        ({"kind": "depth", "channels": 2}, "a depth task has 1 channels, not 2"),
        ({"kind": "segmentation", "channels": 2, "classes": ["a"]}, "1 class names do not fit"),
        ({"kind": "depth", "channels": 1, "classes": ["a"]}, "class names do not fit a depth"),
    ],
)
def test_what_is_no_task(value, message):
    with pytest.raises(ConfigError, match=message):
        Task.of(value)
