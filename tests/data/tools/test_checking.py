import json
import shutil

import numpy as np
import pytest

from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.checking import check_data
from cen.errors import ConfigError

SOME = ("train", "test")


def test_sound_data_are_counted(layouts):
    seen = []
    report = check_data(
        DatasetRecipe("nyudv2", str(layouts("nyudv2"))), progress=lambda *words: seen.append(words)
    )
    assert report.findings == []
    told = json.loads(json.dumps(report.to_dict()))
    assert told["ok"]
    assert [told["splits"][s]["samples"] for s in ("train", "validation", "test")] == [7, 1, 3]
    assert told["splits"]["train"]["sizes"] == {"32 x 40": 7}
    assert sum(told["splits"]["train"]["labels"]["segmentation"].values()) == 7 * 32 * 40
    assert 0.5 < told["splits"]["test"]["depth"]["depth"]["median"] < 8
    assert seen[-1] == ("test", 3, 3)


def test_splits_of_an_own_folder_that_are_too_small_are_told(layouts):
    report = check_data(DatasetRecipe("folder", str(layouts("folder"))))
    told = {f.split: f.text for f in report.findings if f.kind == "split"}
    assert set(told) == {"validation", "test"}
    assert told["validation"].startswith("validation has 1 sample: too few to trust")
    assert told["test"].startswith("test has 3 samples: ")
    assert not report.errors


@pytest.mark.parametrize(
    ("unit", "severity", "text"),
    [
        (1.0, "error", "more likely in millimetres: unit 0.001"),
        (0.01, "note", "more likely in millimetres: unit 0.001"),
        (1e-6, "error", "is nearer than 0.00"),
        (1e-6, "error", "more likely in millimetres: unit 0.001"),
    ],
)
def test_a_wrong_unit_is_told_with_the_likely_one(layouts, unit, severity, text):
    given = {"depth": {"unit": unit}}
    report = check_data(DatasetRecipe("nyudv2", str(layouts("nyudv2")), given=given), ("test",))
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == ("unit", severity)
    assert text in finding.text


def test_the_same_frame_in_two_splits_is_an_error_and_within_one_a_note(root):
    for name in ("test_00002", "train_00001"):
        for folder in ("rgb", "depth", "masks"):
            shutil.copy(root / folder / "train_00000.png", root / folder / f"{name}.png")
    report = check_data(
        DatasetRecipe("nyudv2", str(root), common={"validation": 0.0}), ("train", "test")
    )
    assert [(f.kind, f.severity, f.split) for f in report.findings] == [
        ("duplicate", "note", "train"),
        ("duplicate", "error", "test"),
    ]
    assert "train.txt, line 1 and" in report.findings[1].text
    assert "the same rgb in two splits" in report.findings[1].text
    assert report.findings[1].place.endswith("val.txt, line 3")


def test_a_wrong_field_is_misuse_and_a_broken_split_a_finding(root):
    with pytest.raises(ConfigError, match="thermal"):
        check_data(DatasetRecipe("nyudv2", str(root), fields=("rgb", "thermal")))
    (root / "val.txt").unlink()
    report = check_data(DatasetRecipe("nyudv2", str(root)))
    assert [(f.kind, f.split) for f in report.findings] == [("layout", "test")]
    assert list(report.splits) == ["train", "validation"]


def test_what_holds_for_several_splits_is_told_once_with_their_names(root):
    (root / "train.txt").unlink()
    report = check_data(DatasetRecipe("nyudv2", str(root)))
    assert [(f.kind, f.split) for f in report.findings] == [("layout", "train, validation")]
    shutil.rmtree(root)
    report = check_data(DatasetRecipe("nyudv2", str(root)))
    assert {f.kind for f in report.findings} == {"layout"}
    assert len({f.text for f in report.findings}) == len(report.findings)


def test_grey_pictures_are_counted_over_all_splits(root):
    for name in ("train_00000", "train_00001", "test_00002"):
        grey = np.random.default_rng(0).integers(0, 255, (32, 40, 1), np.uint8)
        write_png(root / "rgb" / f"{name}.png", np.repeat(grey, 3, axis=2))
    report = check_data(DatasetRecipe("nyudv2", str(root), common={"validation": 0.0}), SOME)
    (told,) = (f.text for f in report.findings if f.kind == "values")
    assert told == ("rgb: 3 of 11 pictures are grey, read as three channels (train 2, test 1)")
