import numpy as np
import pytest

from cen.data import Modality
from cen.data.fields.field_kinds import KINDS
from cen.errors import ConfigError


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_defaults_that_pass_its_own_checks(kind: str) -> None:
    made = Modality.of(kind)
    assert Modality.from_dict(made.to_dict()) == made
    assert made.field_kind is KINDS[kind]


def test_options_are_for_the_kinds_that_name_them() -> None:
    given = {"fill_holes": "nearest", "axes": "+y +x +z", "missing": 3.0, "farthest": 2.0}
    for kind, known in KINDS.items():
        for name, value in given.items():
            if name in known.own_options:
                assert getattr(Modality.of(kind, **{name: value}), name) in (value, (value,))
            else:
                with pytest.raises(ConfigError, match=f"{name}: is for kind"):
                    Modality.of(kind, **{name: value})


def test_an_option_that_there_is_not_is_no_option() -> None:
    with pytest.raises(TypeError, match="no option 'interpolate'"):
        Modality.of("image", interpolate=None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "thermal"}, "modality.kind is thermal; expected: one of image"),
        ({"units": 1}, "units: no key"),
        ({"mean": [0.5]}, "mean: 1 numbers for 3 channels"),
        ({"std": [1, 0, 1]}, "std and unit must be positive"),
        ({"kind": "depth", "channels": 2}, "channels"),
        ({"kind": "depth", "unit": "mm"}, "modality.unit is mm; expected: number"),
        ({"mean": [0, 0, "a"]}, "mean.2 is a; expected: number"),
        ({"interpolation": "bicubic"}, "interpolation is bicubic; expected: one of nearest"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Modality.from_dict(values)


@pytest.mark.parametrize(
    ("kind", "option", "told"),
    [
        ("label", {"missing": 0}, "missing: is for kind .*ignore says which"),
        ("image", {"missing": [-9999]}, "missing: .*not for kind image.*kind: continuous"),
        ("image", {"unit": 0.001}, "unit: is for kind depth or edge or continuous"),
        ("label", {"unit": 2}, "unit: .*not for kind label"),
        ("continuous", {"axes": "+x -y -z"}, "axes: is for kind normal"),
        ("continuous", {"beyond": "missing"}, "beyond: is for kind depth"),
    ],
)
def test_options_that_would_change_nothing_are_refused(kind, option, told):
    """``missing: 0`` of a label, taken without a word, would train 0 as the first class."""
    with pytest.raises(ConfigError, match=told):
        Modality.of(kind, **option)
    # Checkpoints of a time when they were taken, to no effect, are loaded.
    assert Modality.from_dict({"kind": kind, **option}) == Modality.of(kind)


def test_old_metadata_is_read():
    """As checkpoints of the first version hold it."""
    old = {
        "kind": "depth", "channels": 1, "unit": 0.001, "missing": 0.0, "scale": 1.0,
        "mean": [3.0], "std": [1.25], "fill": 0.0, "interpolation": "nearest",
    }  # fmt: skip
    assert Modality.from_dict(old) == Modality.of("depth")
    image = {
        "kind": "image", "channels": 3, "unit": 1.0, "missing": 0.0, "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "fill": 0.0,
        "interpolation": "cubic",
    }  # fmt: skip
    field = Modality.from_dict(image)
    colours = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(
        field.to_network(colours), Modality.of("image").to_network(colours)
    )
