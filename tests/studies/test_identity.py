"""The hashes of runs, and what two of one hash may differ in."""

from pathlib import Path
from typing import Any

import pytest

from cen.config import Config
from cen.studies.identity import differences, run_hash

DATA: dict[str, Any] = {"dataset": {"name": "rooms"}}


def test_the_hash_knows_what_counts_and_what_does_not() -> None:
    def of(**overrides: Any) -> str:
        config = Config.from_dict({}, {k.replace("__", "."): v for k, v in overrides.items()})
        return run_hash(config, DATA, {})

    same = of()
    assert len(same) == 12
    assert of(data__root="/elsewhere", data__workers=3, train__accelerator="cpu") == same
    assert of(train__steps=1000) == same  # its default
    different = {of(seed=1), of(train__steps=1001), of(model__inputs__depth=None), of(
        data__transforms__flip=False)}  # fmt: skip
    assert len(different | {same}) == 5
    config = Config()
    assert run_hash(config, {"dataset": {"name": "other"}}, {}) != same
    assert run_hash(config, DATA, {"flip": True}) != same


def test_of_a_file_of_weights_its_content_counts(tmp_path: Path) -> None:
    def of(weights: Path | str) -> Config:
        return Config.from_dict({"model": {"weights": str(weights)}})

    one, copy, other = (tmp_path / name for name in ("one.pth", "copy.pth", "other.pth"))
    for file, content in ((one, b"a"), (copy, b"a"), (other, b"b")):
        file.write_bytes(content)
    hashes = [run_hash(of(path), DATA, {}) for path in (one, copy, other, "imagenet")]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert differences(of(one), of(copy).to_dict()) == {}
    assert list(differences(of("imagenet"), of(one).to_dict())) == ["model.weights"]
    one.write_bytes(b"cc")  # made anew
    assert run_hash(of(one), DATA, {}) not in hashes

    def started(run: Path) -> Config:
        return Config.from_dict({"train": {"start": str(run)}})

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.safetensors").write_bytes(b"n")
    one, copy = (started(tmp_path / name) for name in ("a", "b"))
    assert run_hash(one, DATA, {}) == run_hash(copy, DATA, {}) != run_hash(Config(), DATA, {})
    assert differences(one, copy.to_dict()) == {}


def test_augmentation_that_changes_nothing_does_not_count() -> None:
    def of(**augment: float) -> Config:
        said = {"kind": "depth", "augment": augment} if augment else {"kind": "depth"}
        return Config.from_dict({"data": {"modalities": {"depth": said}}})

    assert run_hash(of(), {}, {}) == "c809fa666aee"  # as before there was any
    assert run_hash(of(noise=0.0), {}, {}) == "c809fa666aee" != run_hash(of(noise=0.1), {}, {})
    kept = of().to_dict()
    del kept["data"]["modalities"]["depth"]["augment"]
    assert differences(of(), kept) == {}


def test_when_a_rate_is_reached_counts_where_one_is_asked_for() -> None:
    """The default has changed from 0.75 to 0.3 since runs were first hashed."""

    def of(rate: float | None, **train: float) -> Config:
        return Config.from_dict({"train": {"exchange_rate": rate, **train}})

    late, early = of(0.3, exchange_rate_by=0.75), of(0.3, exchange_rate_by=0.3)
    assert run_hash(early, DATA, {}) == run_hash(of(0.3), DATA, {}) != run_hash(late, DATA, {})
    kept = late.to_dict()
    del kept["train"]["exchange_rate_by"]  # a run of a program that had no such key
    assert differences(late, kept) == {}
    assert list(differences(early, kept)) == ["train.exchange_rate_by"]
    fixed = run_hash(of(None), DATA, {})
    assert fixed == run_hash(of(None, exchange_rate_by=0.75), DATA, {})
    assert differences(of(None), of(None, exchange_rate_by=0.75).to_dict()) == {}


def test_the_hash_is_the_same_tomorrow() -> None:
    """Pinned: a change would orphan all runs that people have."""
    config = Config.from_dict({"model": {"exchange": False}, "train": {"steps": 7}, "seed": 3})
    assert run_hash(config, DATA, {}) == "485753f5a8bf"
    # Defaults that have changed since, said aloud.
    former = {"exchange": False, "decoder_norm": "none", "decoder_exchange": False}
    told = Config.from_dict({"model": former, "train": {"steps": 7}, "seed": 3})
    assert run_hash(told, DATA, {}) == "485753f5a8bf"
    assert differences(config, told.to_dict()) == differences(told, config.to_dict()) == {}
    outputs = {"model.outputs.normal": "{kind: normal}"}
    off = {"model": {"exchange": False, "decoder_exchange": False}}
    several = Config.from_dict({}, outputs), Config.from_dict(off, outputs)
    assert run_hash(several[0], DATA, {}) != run_hash(several[1], DATA, {})


RECORDED: list[tuple[dict[str, Any], str]] = [
    (
        {
            "data": {"modalities": {"depth": {"kind": "depth", "unit": 0.001}}},
            "model": {"outputs": {"segmentation": {}, "normal": {"kind": "normal", "weight": 2.0}}},
        },
        "b699e6d76c6e",
    ),
    ({"model": {"encoder": "resnet50", "width": 16}}, "9d9a258f30aa"),
    (
        {
            "model": {
                "name": "unet",
                "encoder": "unet4",
                "threshold": 0.01,
                "dropout": 0.5,
                "inputs": {"depth": 1},
                "outputs": {"rgb": {"kind": "image"}},
            },
            "train": {"adversarial": "bce"},
        },
        "7e619fb27757",
    ),
]


@pytest.mark.parametrize(("values", "name"), RECORDED, ids=[name for _, name in RECORDED])
def test_keys_that_came_later_leave_the_names_of_runs_alone(
    values: dict[str, Any], name: str
) -> None:
    """Pinned, from the version before bands, pages and losses could be chosen."""
    config = Config.from_dict(values)
    assert run_hash(config, DATA, {}) == name
    old = config.to_dict()
    for key, later in (
        ("modalities", ("bands", "exif", "page", "variable")),
        ("outputs", ("loss",)),
    ):
        for entry in old["model" if key == "outputs" else "data"][key].values():
            for gone in later:
                assert entry.pop(gone) is None
    assert differences(config, old) == {}


def test_a_key_that_came_later_counts_where_it_says_something() -> None:
    values, name = RECORDED[0]
    told = Config.from_dict(values, {"data.modalities.depth.bands": "[0]"})
    assert run_hash(told, DATA, {}) != name
    assert list(differences(told, Config.from_dict(values).to_dict())) == ["data.modalities"]


def test_differences_name_keys_that_count() -> None:
    def of(values: dict[str, Any]) -> dict[str, Any]:
        return Config.from_dict(values).to_dict()

    ours = Config()
    theirs = of({"data": {"root": "x"}, "train": {"momentum": 0.5}})
    assert differences(ours, theirs) == {"train.momentum": (0.9, 0.5)}
    assert list(differences(ours, of({"model": {"inputs": {"rgb": 3}}}))) == ["model.inputs"]


def test_keys_that_came_or_went_are_no_difference() -> None:
    config = Config.from_dict({"train": {"momentum": 0.5}})
    kept = config.to_dict()
    del kept["train"]["clip_norm"]
    kept["model"]["forgotten"] = 3
    assert differences(config, kept) == {}
    del kept["train"]["momentum"]
    assert differences(config, kept) == {"train.momentum": (0.5, 0.9)}
