"""Files whose compression changes values, told by their first bytes."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.data.own_folder import SIZE

from cen.data.formats.label_maps import read_labels
from cen.errors import DataError


@pytest.mark.parametrize(
    ("form", "options", "name"),
    [
        ("JPEG", {"quality": 100}, "JPEG"),
        ("WEBP", {"quality": 90}, "lossy WebP"),
        ("AVIF", {}, "AVIF"),
        ("JPEG2000", {"irreversible": True}, "JPEG 2000"),
        ("TIFF", {"compression": "jpeg"}, "TIFF with JPEG compression"),
        ("PNG", {}, None),
        ("WEBP", {"lossless": True}, None),
        ("JPEG2000", {}, None),
        ("TIFF", {"compression": "tiff_lzw"}, None),
        ("GIF", {}, None),
    ],
)
def test_labels_in_files_that_change_values_are_refused(tmp_path, form, options, name):
    """Numbers and colours alike, whatever the file is called."""
    numbers = np.random.default_rng(0).integers(0, 3, SIZE, np.uint8)
    image = Image.fromarray(numbers)
    if form == "WEBP":
        image = image.convert("RGB")
    try:
        image.save(stream := io.BytesIO(), form, **options)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow does not write {form}")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    if name is None and form != "WEBP":
        np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), numbers)
    elif name is None:
        with pytest.raises(DataError, match="one integer per pixel"):
            read_labels(tmp_path / "a.png")
    else:
        with pytest.raises(DataError, match=f"labels in a {name} file"):
            read_labels(tmp_path / "a.png")
