"""Films whose frames a split at random has torn apart are told of ``group``."""

import cv2
import numpy as np
import pytest
import yaml

from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.checking import check_data

SIZE = (24, 32)


def film(root, names, alike):
    """Pictures of a place that moves slowly, or of places that have nothing in common."""
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (6, 24), np.uint8), (len(names) * 4 + 32, 24))
    for folder in ("rgb", "labels"):
        (root / folder).mkdir()
    for number, name in enumerate(names):
        at = 4 * number if alike else int(rng.integers(0, wide.shape[1] - 32))
        noise = rng.integers(0, 9, (*SIZE, 3), np.uint8)
        write_png(root / f"rgb/{name}.png", wide[:, at : at + 32, None] // 2 + noise)
        write_png(root / f"labels/{name}.png", rng.integers(0, 2, SIZE, np.uint8))


def notes(root, **more):
    said = {
        "modalities": {"rgb": {"pattern": "rgb/{id}.png"}},
        "outputs": {"segmentation": {"pattern": "labels/{id}.png", "classes": 2}},
        **more,
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    report = check_data(DatasetRecipe("folder", str(root)))
    assert report.errors == []
    return [finding.text for finding in report.findings if finding.kind == "neighbours"]


def test_a_film_is_told_of_group(tmp_path):
    """Its names are not padded: f9 is followed by f10."""
    film(tmp_path, [f"f{number}" for number in range(120)], alike=True)
    (text,) = notes(tmp_path)
    assert "look alike" in text
    assert "group: '^(.*)..$'" in text
    assert notes(tmp_path, group="^f(.*).$|^f.$") == []


@pytest.mark.parametrize("alike", [True, False])
def test_blocks_and_pictures_without_a_connection_are_fine(tmp_path, alike):
    names = [f"f{number}" for number in range(120)]
    film(tmp_path, names, alike)
    if alike:
        (tmp_path / "train.txt").write_text("\n".join(names[:80]))
        (tmp_path / "test.txt").write_text("\n".join(names[80:]))
    splits = {"train": "train.txt", "test": "test.txt"} if alike else {"test": 0.3}
    assert notes(tmp_path, splits=splits) == []
