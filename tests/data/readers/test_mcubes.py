"""MCubeS's own layout: polarisation in NPY files, a mask of pixels without infrared."""

from pathlib import Path

import numpy as np
import pytest
from tests.data.readers.made_up import mcubes

from cen.data.formats.pictures import read_array
from cen.data.readers.mcubes import LEFT, MCubeS
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return mcubes(tmp_path / "multimodal_dataset")


def test_every_field_is_what_is_stored_beside_the_columns_cut_off(root: Path) -> None:
    data = MCubeS(root, "train")
    sample = data.raw(0)
    name = sample["name"]
    rgb = read_array(root / f"polL_color/{name}.png")
    assert rgb.dtype == np.uint16
    np.testing.assert_array_equal(sample["rgb"], rgb[:, LEFT:])
    sine, cosine = (read_array(root / f"polL_aolp_{of}/{name}.npy") for of in ("sin", "cos"))
    np.testing.assert_array_equal(sample["aolp"], np.stack([sine, cosine], axis=2)[:, LEFT:])
    np.testing.assert_array_equal(
        sample["dolp"], read_array(root / f"polL_dolp/{name}.npy")[:, LEFT:]
    )
    np.testing.assert_array_equal(
        sample["nir"], read_array(root / f"NIR_warped/{name}.png")[:, LEFT:]
    )
    assert (data.modalities["rgb"].bits, data.modalities["nir"].bits) == (16, 8)
    assert (len(data.classes), data.classes[19]) == (20, "sky")


def test_pixels_without_infrared_are_ignored_unless_said_otherwise(root: Path) -> None:
    labels = MCubeS(root, "train").raw(0)["segmentation"]
    whole = MCubeS(root, "train", masked=False, left=0).raw(0)["segmentation"]
    assert (labels[:2] == 255).all()
    assert (whole[0] < 20).all()
    np.testing.assert_array_equal(labels[1:], whole[1:, LEFT:])


def test_the_splits_are_the_lists_and_scenes_stay_together(root: Path) -> None:
    splits = [MCubeS(root, split) for split in ("train", "validation", "test")]
    assert [len(data) for data in splits] == [6, 2, 2]
    assert splits[1].group(0) == splits[1].group(1) == "outsceneval_2"


def test_a_missing_cosine_and_a_wrong_option_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.options\.left: -1"):
        MCubeS(root, "train", left=-1)
    (root / "polL_aolp_cos/outscenetrain_2_0000000001.npy").unlink()
    with pytest.raises(DataError, match=r"train\.txt, line 2: no file .*polL_aolp_cos"):
        MCubeS(root, "train")
