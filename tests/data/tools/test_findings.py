"""What a check of one sample finds."""

import numpy as np

from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.checking import Report, check_data


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_every_missing_file_is_told(root):
    for name in ("train_00000", "train_00005", "test_00001"):
        (root / "depth" / f"{name}.png").unlink()
    (root / "rgb" / "train_00005.png").unlink()
    report = check_data(
        DatasetRecipe("nyudv2", str(root), common={"validation": 0.0}), ("train", "test")
    )
    assert [finding.kind for finding in report.findings] == ["missing"] * 4
    assert {finding.files[0].removeprefix(f"{root}/") for finding in report.findings} == {
        "depth/train_00000.png",
        "depth/train_00005.png",
        "depth/test_00001.png",
        "rgb/train_00005.png",
    }
    assert report.findings[0].place.endswith("train.txt, line 1")


def test_labels_are_counted_where_they_are_wrong(root):
    mask = np.zeros((32, 40), np.uint8)
    mask[:3], mask[3] = 77, 88
    write_png(root / "masks" / "test_00000.png", mask)
    report = check_data(DatasetRecipe("nyudv2", str(root)))
    (finding,) = report.findings
    assert (finding.kind, finding.split) == ("label", "test")
    assert "label 77 (120 pixels), 88 (40 pixels) outside 0..14" in finding.text
    assert report.splits["test"].labels["segmentation"][77] == 120


def test_pictures_without_content_are_no_copies_of_each_other(root):
    for name in ("train_00000", "test_00000"):
        write_png(root / "depth" / f"{name}.png", np.zeros((32, 40), np.uint16))
    report = check_data(
        DatasetRecipe("nyudv2", str(root), common={"validation": 0.0}), ("train", "test")
    )
    assert "duplicate" not in kinds(report)
    assert "depth" in kinds(report)


def test_frames_of_other_sizes_are_counted_not_refused(root):
    for folder, channels in (("rgb", (3,)), ("depth", ()), ("masks", ())):
        rng = np.random.default_rng(0)
        values = rng.integers(0, 9, (40, 48, *channels), dtype=np.uint8)
        values = values.astype(np.uint16) * 500 if folder == "depth" else values
        write_png(root / folder / "test_00000.png", values)
    report = check_data(DatasetRecipe("nyudv2", str(root)), ("test",))
    assert report.findings == []
    assert report.splits["test"].sizes == {(32, 40): 2, (40, 48): 1}
