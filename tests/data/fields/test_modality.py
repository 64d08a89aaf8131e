import numpy as np
import pytest

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_plain_dict_round_trip():
    for modality in (Modality.of("image", 5, mean=[1] * 5), Modality.of("depth", unit=0.0002)):
        values = modality.to_dict()
        assert all(not isinstance(value, tuple) for value in values.values())
        assert Modality.from_dict(values) == modality
    assert Modality.from_dict({"kind": "depth"}) == Modality.of("depth")


def test_wrong_channels_are_named(tmp_path):
    write_png(tmp_path / "rgb.png", np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"rgb\.png: 3 channels; depth"):
        Modality.of("depth").read(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png: 3 channels, .* declared with 4"):
        Modality.of("image", 4).read(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="1 channels"):
        Modality.of("image").to_network(np.zeros((4, 4), dtype=np.uint8))
    assert Modality.of("image", 1).read(tmp_path / "rgb.png").shape == (4, 4)


@pytest.mark.parametrize("kind", ["image", "depth", "normal", "continuous", "label"])
@pytest.mark.parametrize("kept", [bool, "U3", complex])
def test_what_is_no_number_is_refused_of_every_kind(kind, kept):
    """NumPy's own error came of Booleans as depth, and ones as normals."""
    stored = np.ones((2, 2, 3) if kind in ("image", "normal") else (2, 2), dtype=kept)
    with pytest.raises(DataError, match="not numbers"):
        Modality.of(kind).from_stored(stored)
