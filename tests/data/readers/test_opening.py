from pathlib import Path

import pytest

from cen.data import open_layout
from cen.data.readers.opening import reader, reader_options
from cen.data.readers.registry import LAYOUTS
from cen.errors import ConfigError


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_has_a_reader_with_usual_fields(layout: str) -> None:
    found = reader(layout)
    assert found.usual_inputs
    assert "root" not in reader_options(layout)


def test_what_the_data_set_says_is_kept_and_overruled(written: Path) -> None:
    data = open_layout(
        "nyudv2",
        written,
        "train",
        inputs={"depth": {"unit": None, "mean": [2.0]}},
        outputs={},
        options={"columns": ["rgb", "segmentation", "depth"]},
    )
    depth = data.modalities["depth"]
    assert (depth.kind, depth.unit, depth.mean, data.targets) == ("depth", 0.001, (2.0,), {})


def test_another_kind_forgets_what_was_said_of_the_old_one(written: Path) -> None:
    data = open_layout("nyudv2", written, "train", inputs={"depth": {"kind": "image"}}, outputs={})
    assert data.modalities["depth"].unit == 1.0


@pytest.mark.parametrize(
    ("layout", "arguments", "message"),
    [
        ("nyu", {}, "data.layout: no layout 'nyu'"),
        ("nyudv2", {"options": {"colums": []}}, "data.options.colums: .*did you mean 'columns'"),
        ("nyudv2", {"inputs": {"rbg": {}}}, "model.inputs.rbg: no field .*did you mean 'rgb'"),
        ("nyudv2", {"outputs": {"normal": {}}}, "model.outputs.normal: no field of the data"),
        ("nyudv2", {"inputs": {"rgb": {"std": [0, 1, 1]}}}, "data.modalities.rgb: std and unit"),
    ],
)
def test_what_does_not_fit_is_refused(
    written: Path, layout: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_layout(layout, written, "train", **arguments)  # type: ignore[arg-type]
