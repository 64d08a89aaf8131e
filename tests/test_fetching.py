"""What a file says is not fetched; what a person asks for is."""

from typing import Any

import pytest

from cen.errors import ConfigError
from cen.fetching import refuse_fetched

URL = "https://example.org/a"
REFUSED: list[tuple[str, Any, str, str]] = [
    ("data.root", URL, "data.root", "is a URL"),
    ("data.root", "zip::here.zip", "data.root", "is a URL"),
    ("model.weights", URL, "model.weights", "is a URL"),
    ("data.options", {"lists": ["a", URL]}, "data.options.lists.1", "is a URL"),
    ("data.options.lists", URL, "data.options.lists", "is a URL"),
    ("data.options", {"storage": {"key": "x"}}, "data.options.storage.key", "no file decides"),
    ("data.options.storage.key", "x", "data.options.storage.key", "no file decides"),
    ("data.options.storage", {"anon": "x"}, "data.options.storage.anon", "no file decides"),
]


@pytest.mark.parametrize(("key", "value", "told", "why"), REFUSED)
def test_a_place_of_a_file_is_refused_unless_it_is_asked_for(
    key: str, value: Any, told: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        refuse_fetched({"seed": 1, key: value}, ["data.layout"], "a.yaml: ")
    assert str(caught.value).startswith(f"a.yaml: {told}: ")
    assert f"--{told} " in str(caught.value)
    for asked in {key, told}:
        refuse_fetched({key: value}, [asked], "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.root", "data/rooms"),
        ("model.weights", None),
        ("model.name", URL),  # no place
        ("data.rooted", URL),
        ("data.options", {"storage": {"anon": True, "requester_pays": False}, "columns": "raw"}),
        ("data.options", {"storage": {}, "stored": "x"}),
    ],
)
def test_what_names_no_place_elsewhere_passes(key: str, value: Any) -> None:
    refuse_fetched({key: value}, [], "")
