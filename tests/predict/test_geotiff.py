"""GeoTIFF in, GeoTIFF out: the same numbers, with the coordinate system kept."""

import json

import numpy as np
import pytest
from tests.predict.local import local_network
from tests.predict.scene import MODALITIES, PALETTE

from cen import cli
from cen.data import Modality
from cen.errors import CenWarning, DataError
from cen.models import Task
from cen.predict import geotiff
from cen.predict.geotiff import is_geotiff, predict_geotiff
from cen.predict.predictor import Predictor

rasterio = pytest.importorskip("rasterio")

PLACE = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 400000, 0, -0.5, 5200000)}


def write(path, values, **changes):
    planes = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
    count, height, width = planes.shape
    profile = {"height": height, "width": width, "count": count, "dtype": planes.dtype}
    with rasterio.open(path, "w", driver="GTiff", **{**profile, **PLACE, **changes}) as raster:
        raster.write(planes)
    return path


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (230, 300, 3), dtype=np.uint8)
    depth = rng.integers(500, 6000, (230, 300), dtype=np.uint16)
    depth[:30, :40] = 0
    return {
        "rgb": write(tmp_path / "rgb.tif", rgb, photometric="rgb"),
        "depth": write(tmp_path / "depth.tif", depth),
    }


def predictor(task=None, tile=96, **changes):
    net = local_network(8, task)
    described = {**MODALITIES, **changes}
    net.metadata = {
        "preprocessing": {name: m.to_dict() for name, m in described.items()},
        "palette": {"out": PALETTE},
    }
    return Predictor(net, tile=tile)


@pytest.mark.parametrize("fill_holes", [None, "inpaint"])
def test_labels_are_those_of_the_pictures_and_keep_their_place(files, tmp_path, fill_holes):
    """By windows, and as a whole where holes are filled."""
    depth = Modality.of("depth", unit=0.001, fill_holes=fill_holes)
    found = predict_geotiff(predictor(depth=depth), files, tmp_path / "out", probabilities=True)[
        "out"
    ]
    expected = predictor(tile=None, depth=depth)(files, probabilities=True)
    with rasterio.open(found["labels"]) as raster:
        labels, colours = raster.read(1), raster.colormap(1)
        assert (raster.crs.to_string(), raster.transform) == tuple(PLACE.values())
    assert (labels == expected.labels).mean() > 0.9999
    assert [list(colours[number][:3]) for number in range(4)] == PALETTE
    with rasterio.open(found["probabilities"]) as raster:
        np.testing.assert_allclose(raster.read(), expected.probabilities, atol=1e-5)
    entries = json.loads(found["classes"].read_text())["classes"]
    assert [entry["pixels"] for entry in entries] == np.bincount(
        labels.ravel(), minlength=4
    ).tolist()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "labels.tif", "probabilities.tif", "classes.json", "legend.png",
    }  # fmt: skip
    predict_geotiff(predictor(depth=depth), files, tmp_path / "out")
    assert not (tmp_path / "out" / "probabilities.tif").exists(), "they are not of these labels"


def test_files_are_read_by_windows(files, tmp_path, monkeypatch):
    def refuse(*given):
        raise AssertionError("read as a whole")

    monkeypatch.setattr(Predictor, "read", refuse)
    predict_geotiff(predictor(), files, tmp_path / "out")


def test_other_outputs_are_bands_of_numbers(files, tmp_path):
    (found,) = predict_geotiff(predictor(Task("normal", 3)), files, tmp_path / "out").values()
    expected = predictor(Task("normal", 3), tile=None).all(files)["out"].values
    with rasterio.open(found["values"]) as raster:
        np.testing.assert_allclose(np.moveaxis(raster.read(), 0, 2), expected, atol=1e-4)


@pytest.mark.parametrize("fill_holes", [None, "inpaint"])
def test_depth_that_scales_its_own_numbers_is_refused(files, tmp_path, fill_holes):
    """By windows, and as a whole; the scale that is the unit says nothing else."""
    way = predictor(depth=Modality.of("depth", unit=0.001, fill_holes=fill_holes))
    with rasterio.open(files["depth"], "r+") as raster:
        raster.scales = [0.001]
    predict_geotiff(way, files, tmp_path / "out")
    with rasterio.open(files["depth"], "r+") as raster:
        raster.scales = [0.01]
    with pytest.raises(DataError, match=r"multiplied by 0\.01, and 0 added, .* unit: 0\.001\. Ap"):
        predict_geotiff(way, files, tmp_path / "other")


def test_files_of_other_places_are_refused(files, tmp_path):
    moved = rasterio.Affine(0.5, 0, 400001, 0, -0.5, 5200000)
    with rasterio.open(files["depth"], "r+") as raster:
        raster.transform = moved
    with pytest.raises(DataError, match=r"rgb\.tif and .*depth\.tif have other grids"):
        predict_geotiff(predictor(), files, tmp_path / "out")


def test_a_plain_tiff_is_a_picture(files, tmp_path, monkeypatch):
    import tifffile

    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((40, 50), np.uint8))
    assert is_geotiff(files["rgb"])
    assert not is_geotiff(tmp_path / "plain.tif")
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.warns(CenWarning, match=r"cen\[geo\]"):
        assert not geotiff.is_geotiff(files["rgb"])


def test_the_command_writes_geotiff_of_one_scene_and_of_many(net, files, tmp_path, capsys):
    from cen.models import save

    save(net, tmp_path / "net.safetensors")
    words = ["predict", str(tmp_path / "net.safetensors"), "--tile", "96", "--json"]
    one = [f"--{name}={file}" for name, file in files.items()]
    assert cli.main([*words, *one, "-o", str(tmp_path / "one")]) == 0
    labels = json.loads(capsys.readouterr().out)["outputs"]["segmentation"]["files"]["labels"]
    for name, file in files.items():
        (tmp_path / name).mkdir()
        file.rename(tmp_path / name / "a.tif")
    many = [f"--{name}={tmp_path / name}" for name in files]
    assert cli.main([*words, *many, "-o", str(tmp_path / "many")]) == 0
    with rasterio.open(labels) as a, rasterio.open(tmp_path / "many" / "a" / "labels.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())
        assert a.crs == b.crs
