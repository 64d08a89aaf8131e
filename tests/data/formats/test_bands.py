"""More or fewer bands than declared: never silently something else."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cen.data import Modality
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.opening import DatasetRecipe
from cen.errors import ConfigError, DataError

rng = np.random.default_rng(0)
FOUR = rng.integers(0, 256, (12, 16, 4)).astype(np.uint8)


def write_npz(path, values):
    np.savez(path, values)


def write_mat(path, values):
    from scipy.io import savemat

    savemat(path, {"picture": values, "about": "nothing"})


def write_h5(path, values):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["picture"] = values


FORMATS = {
    "a.png": lambda path, values: Image.fromarray(values).save(path),
    "a.tif": lambda path, values: tifffile.imwrite(path, values),
    "first.tif": lambda path, values: tifffile.imwrite(
        path, np.moveaxis(values, 2, 0), photometric="minisblack"
    ),
    "a.npy": np.save,
    "a.npz": write_npz,
    "a.mat": write_mat,
    "a.h5": write_h5,
    "a.webp": lambda path, values: Image.fromarray(values).save(path, lossless=True, exact=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_rgb_and_thermal_in_one_file_are_two_modalities(tmp_path, name):
    path = tmp_path / name
    FORMATS[name](path, FOUR)
    np.testing.assert_array_equal(Modality.of("image", bands=[0, 1, 2]).read(path), FOUR[..., :3])
    np.testing.assert_array_equal(Modality.of("image", bands=[3]).read(path), FOUR[..., 3])
    thermal = Modality.of("continuous", bands=[3], unit=0.5)
    np.testing.assert_array_equal(thermal.read(path), FOUR[..., 3] / np.float32(2))
    swapped = Modality.of("continuous", bands=[2, 0])
    np.testing.assert_array_equal(swapped.read(path), FOUR[..., [2, 0]].astype(np.float32))
    labels = Modality.of("label", bands=[3])
    if name != "a.webp":
        np.testing.assert_array_equal(labels.read(path), FOUR[..., 3])
    for modality in (Modality.of("image"), Modality.of("image", 1), Modality.of("continuous", 3)):
        with pytest.raises(DataError, match=rf"{name}: 4 channels, but this modality .*bands:"):
            modality.read(path)
    with pytest.raises(DataError, match=r"has 4 bands, counted from 0; bands: \[4\]"):
        Modality.of("image", bands=[4]).read(path)
    back = Modality.from_dict(thermal.to_dict())
    assert back == thermal


def test_only_what_says_nothing_is_left_out(tmp_path):
    """Opaque alpha, and colours that are three times the same grey."""
    grey = np.repeat(FOUR[..., :1], 3, axis=2)
    opaque = np.dstack([FOUR[..., :3], np.full((12, 16), 255, np.uint8)])
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    Image.fromarray(FOUR[..., 0]).save(tmp_path / "one.png")
    Image.fromarray(FOUR[..., 0]).convert("LA").save(tmp_path / "la.png")
    image, one = Modality.of("image"), Modality.of("image", 1)
    np.testing.assert_array_equal(image.read(tmp_path / "opaque.png"), FOUR[..., :3])
    for name in ("grey.png", "one.png", "la.png"):
        np.testing.assert_array_equal(one.read(tmp_path / name), FOUR[..., 0])
        np.testing.assert_array_equal(image.read(tmp_path / name), grey)
    with pytest.raises(DataError, match="4 channels, but this modality is declared with 1"):
        one.read(tmp_path / "opaque.png")


def test_an_array_that_was_written_as_pages_is_told(tmp_path):
    """As tifffile does with (H, W, 2) by itself; with the words of the message it is one page."""
    array = np.arange(12 * 16 * 2, dtype=np.float32).reshape(12, 16, 2)
    radar = Modality.of("continuous", 2)
    tifffile.imwrite(tmp_path / "pages.tif", array)
    with pytest.raises(DataError, match=r"12 pages of 16 × 2 an array of 12 × 16 × 2\? .*contig"):
        radar.read(tmp_path / "pages.tif")
    words = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "one.tif", array, **words)
    np.testing.assert_array_equal(radar.read(tmp_path / "one.tif"), array)


def test_a_palette_read_as_an_image_is_its_colours(tmp_path):
    picture = Image.fromarray(FOUR[..., 0] % 3, mode="P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "p.png")
    colours = (np.eye(3) * 255).astype(np.uint8)[FOUR[..., 0] % 3]
    np.testing.assert_array_equal(Modality.of("image").read(tmp_path / "p.png"), colours)
    with pytest.raises(DataError, match=r"p\.png: 3 channels"):
        Modality.of("depth").read(tmp_path / "p.png")


def test_four_inks_are_no_colours(tmp_path):
    Image.fromarray(FOUR, mode="CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: has four inks \(CMYK\)"):
        Modality.of("image").read(tmp_path / "a.jpg")


def test_deep_colours(tmp_path):
    deep = rng.integers(0, 2**16, (6, 7, 4)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., [2, 1, 0, 3]])
    read = Modality.of("image", bits=16, bands=[0, 1, 2]).read(tmp_path / "a.png")
    np.testing.assert_array_equal(read, deep[..., :3])
    with pytest.raises(DataError, match="4 channels"):
        Modality.of("image", bits=16).read(tmp_path / "a.png")


def test_bands_first_in_an_npy_are_hinted_at(tmp_path):
    np.save(tmp_path / "a.npy", np.moveaxis(FOUR, 2, 0))
    with pytest.raises(DataError, match=r"stored as \(C, H, W\)\? Save it as \(H, W, C\)"):
        Modality.of("continuous", 4).read(tmp_path / "a.npy")


def test_keys_that_are_for_other_files_are_named(tmp_path):
    Image.fromarray(FOUR[..., 0]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: page: is for TIFF"):
        Modality.of("image", 1, page=0).read(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: variable: is for NPZ"):
        Modality.of("image", 1, variable="x").read(tmp_path / "a.png")
    for options, message in (
        ({"bands": [], "channels": 1}, "no list of bands"),
        ({"bands": [0, 1], "channels": 3}, "are 2, but 3 channels"),
        ({"page": -1}, "page: -1"),
        ({"exif": "twist"}, "exif: 'twist' is none of turn, ignore"),
    ):
        with pytest.raises(ConfigError, match=message):
            Modality.of("image", **options)


YAML = """
modalities:
  rgb: {pattern: "in/{id}.SUFFIX", bands: [0, 1, 2]}
  thermal: {pattern: "in/{id}.SUFFIX", kind: image, bands: [3]}
outputs:
  segmentation: {pattern: "labels/{id}.png", kind: label, classes: 2}
splits: {test: 0.3}
"""


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.npz"])
def test_bands_in_a_folder_in_its_check_and_in_its_shards(tmp_path, name):
    pytest.importorskip("webdataset")
    from cen.data.readers.shards import Shards
    from cen.data.tools.checking import check_data
    from cen.data.tools.sharding import write_shards

    root = tmp_path / "data"
    (root / "in").mkdir(parents=True)
    (root / "labels").mkdir()
    suffix = name.partition(".")[2]
    for number in range(8):
        values = rng.integers(0, 256, (12, 16, 4)).astype(np.uint8)
        FORMATS[name](root / "in" / f"{number}.{suffix}", values)
        labels = (values[..., 0] > 99).astype(np.uint8)
        Image.fromarray(labels).save(root / "labels" / f"{number}.png")
    (root / "dataset.yaml").write_text(YAML.replace("SUFFIX", suffix))
    folder = AlignedFolder(root, "train")
    sample = folder.raw(0)
    assert sample["rgb"].shape == (12, 16, 3)
    assert sample["thermal"].shape == (12, 16)
    source = DatasetRecipe("folder", str(root))
    assert not check_data(source, workers=1).errors
    write_shards(source, tmp_path / "shards", workers=1)
    shards = Shards(tmp_path / "shards", "train")
    again = shards.raw(0)
    for field in ("rgb", "thermal", "segmentation"):
        np.testing.assert_array_equal(again[field], sample[field])


def test_sizes_that_differ_by_a_turned_photo_say_so(tmp_path):
    from cen.data.tools.checking import check_data

    for name in ("in", "labels"):
        (tmp_path / name).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(6):
        picture = rng.integers(0, 256, (16, 12, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png", exif=exif)
        labels = rng.integers(0, 2, (12, 16)).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "labels" / f"{number}.png")
    text = YAML.replace("SUFFIX", "png").replace(", bands: [0, 1, 2]", ", exif: EXIF")
    text = "\n".join(line for line in text.splitlines() if "thermal" not in line)
    (tmp_path / "dataset.yaml").write_text(text.replace("EXIF", "ignore"))
    with pytest.raises(DataError, match=r"sizes differ.*orientation 6.*exif: turn"):
        AlignedFolder(tmp_path, "train").raw(0)
    errors = check_data(DatasetRecipe("folder", str(tmp_path)), workers=1).errors
    assert errors
    assert all("sizes differ" in f.text and "exif: turn" in f.text for f in errors)
    (tmp_path / "dataset.yaml").write_text(text.replace("EXIF", "turn"))
    assert not check_data(DatasetRecipe("folder", str(tmp_path)), workers=1).errors


def test_grey_files_read_as_colours_are_told(tmp_path):
    from cen.data.tools.checking import check_data

    for name in ("in", "labels"):
        (tmp_path / name).mkdir()
    for number in range(6):
        picture = rng.integers(0, 256, (12, 16)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
        Image.fromarray(picture % 2).save(tmp_path / "labels" / f"{number}.png")
    text = YAML.replace("SUFFIX", "png").replace(", bands: [0, 1, 2]", "")
    text = "\n".join(line for line in text.splitlines() if "thermal" not in line)
    (tmp_path / "dataset.yaml").write_text(text)
    report = check_data(DatasetRecipe("folder", str(tmp_path)), workers=1)
    assert not report.errors
    assert any("pictures are grey, read as three channels" in f.text for f in report.findings)
