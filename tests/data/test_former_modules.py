"""What the pages of 0.1.0 imported goes on working."""

from importlib import import_module

import pytest

import cen.data
from cen.data.fields.hha import hha
from cen.data.formats.headers import PIXEL_LIMIT
from cen.data.readers.taskonomy import DOMAINS

DOCUMENTED = [
    ("folder", "AlignedFolder", cen.data.AlignedFolder),
    ("headers", "PIXEL_LIMIT", PIXEL_LIMIT),
    ("hha", "hha", hha),
    ("layouts", "LAYOUTS", cen.data.LAYOUTS),
    ("layouts", "open_layout", cen.data.open_layout),
    ("taskonomy", "DOMAINS", DOMAINS),
]


@pytest.mark.parametrize(("module", "name", "today"), DOCUMENTED)
def test_former_modules_give_what_is_elsewhere_today(module: str, name: str, today: object) -> None:
    former = import_module(f"cen.data.{module}")
    with pytest.warns(DeprecationWarning, match=f"cen.data.{module}.{name} has moved"):
        assert getattr(former, name) is today


def test_the_warning_says_where_to_import_from() -> None:
    with pytest.warns(DeprecationWarning, match="import it from cen.data$"):
        from cen.data.folder import AlignedFolder  # type: ignore[import-not-found]
    assert AlignedFolder is cen.data.AlignedFolder


def test_names_that_were_never_there_are_refused() -> None:
    with pytest.raises(ImportError, match="Nothing"):
        from cen.data.layouts import Nothing  # type: ignore[import-not-found]  # noqa: F401


def test_the_function_has_the_place_of_its_former_module() -> None:
    assert cen.data.hha is hha
    assert vars(cen.data.hha)["hha"] is hha
