"""Plain values to dataclasses: what is taken as it is, and what is refused."""

import pytest

from cen import parsing
from cen.config import Config
from cen.errors import ConfigError
from cen.options.constraints import walk


def test_every_key_is_documented() -> None:
    keys = list(parsing.keys(Config))
    assert all(len(key.text) > 5 for key in keys)
    plain = {key for key, _ in walk(Config())}
    assert plain == {key.name for key in keys if "<" not in key.name}


def test_what_was_read_before_changes_nothing_read_later() -> None:
    """Equal numbers of other types are other values; what is read belongs to the reader."""
    for classes in ("[wall, floor]", ["wall", "floor"]):
        first = Config.from_dict({}, {"data.classes": classes, "model.exchange": True})
        assert isinstance(first.data.classes, list)
        first.data.classes.append("ceiling")
        assert Config.from_dict({}, {"data.classes": classes}).data.classes == ["wall", "floor"]
    with pytest.raises(ConfigError, match=r"model\.exchange: 1 does not fit"):
        Config.from_dict({}, {"model.exchange": 1})
    assert type(Config.from_dict({}, {"train.steps": 7}).train.steps) is int
    with pytest.raises(ConfigError, match=r"train\.steps: true does not fit"):
        Config.from_dict({}, {"train.steps": True})


def test_numbers_that_python_does_not_write_are_out_of_range() -> None:
    for steps in (16**5000, -(16**5000)):
        with pytest.raises(ConfigError, match=r"train\.steps: .* is out of range"):
            Config.from_dict({"train": {"steps": steps}})


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("train.exchange_rate", 1, 1.0),
        ("train.exchange_rate", "null", None),
        ("train.class_weights", ["1", 2], [1.0, 2.0]),
        ("model.decoder_norm", "null", None),
        ("model.decoder_norm", "batch", "batch"),
        ("train.compile", "true", True),
        ("train.compile", "auto", "auto"),
        ("data.root", "null", "null"),
        ("train.start", "null", None),
    ],
)
def test_text_means_the_same_wherever_it_stands(key: str, value: object, meant: object) -> None:
    """Also of types whose values are mostly taken as they are."""
    section, name = key.split(".")
    for config in (Config.from_dict({}, {key: value}), Config.from_dict({section: {name: value}})):
        found = getattr(getattr(config, section), name)
        assert (found, type(found)) == (meant, type(meant))
