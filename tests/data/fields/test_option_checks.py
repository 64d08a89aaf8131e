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
