"""Predictions of networks with other outputs than one segmentation."""

import cv2
import numpy as np
import pytest
import torch
from tests.predict.scene import CLASSES, MODALITIES, PALETTE

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import ConfigError, StreamError
from cen.models import Task, build
from cen.predict.predictions import DenseOutput
from cen.predict.predictor import Predictor

KINDS = {
    "segmentation": Task("segmentation", 4, CLASSES),
    "distance": Task("depth", 1),
    "normal": Task("normal", 3),
    "edge": Task("edge", 1),
    "picture": Task("image", 3),
}


@pytest.fixture(scope="module")
def several():
    torch.manual_seed(0)
    net = build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=4,
        outputs=KINDS, decoder_channels=4,
    )  # fmt: skip
    stored = {name: modality.to_dict() for name, modality in MODALITIES.items()}
    net.metadata = {"preprocessing": stored, "palette": {"segmentation": PALETTE}}
    return net


def test_every_output_is_predicted_in_its_unit(several, scene):
    found = Predictor(several).all(scene)
    assert list(found) == list(KINDS)
    assert np.array_equal(found["segmentation"].labels, Predictor(several)(scene).labels)
    inputs = {
        name: torch.from_numpy(m.to_network(m.read(scene[name])))[None]
        for name, m in MODALITIES.items()
    }
    with torch.no_grad():
        expected = several.eval()(inputs, size=(45, 61))
    distance = expected["distance"].ensemble[0, 0].numpy()
    assert found["distance"].values == pytest.approx(distance)
    assert found["edge"].streams["rgb"] == pytest.approx(
        torch.sigmoid(expected["edge"].streams["rgb"][0, 0]).numpy()
    )
    for vectors in (found["normal"].values, found["normal"].streams["depth"]):
        assert np.linalg.norm(vectors, axis=-1) == pytest.approx(np.ones((45, 61)), abs=1e-5)
    assert found["picture"].values.dtype == np.uint8
    assert sum(found["normal"].alpha.values()) == pytest.approx(1)
    assert {o.picture().shape for n, o in found.items() if n != "segmentation"} == {(45, 61, 3)}


def test_every_output_is_written(several, scene, tmp_path):
    found = Predictor(several).all({"rgb": scene["rgb"]})
    for name, prediction in found.items():
        files = prediction.save(tmp_path / "out", prefix=f"{name}-")
        assert all(path.is_file() and path.name.startswith(name) for path in files.values())
    assert np.array_equal(np.load(tmp_path / "out" / "normal-values.npy"), found["normal"].values)
    files = found["distance"].save(tmp_path / "out")
    if found["distance"].values.max() > 0:
        stored = cv2.imread(str(files["millimetres"]), cv2.IMREAD_UNCHANGED)
        wanted = np.clip(np.round(1000 * found["distance"].values), 0, 65535)
        assert np.array_equal(stored, wanted)
    assert not list((tmp_path / "out").glob(".*"))


def test_a_network_without_segmentation_says_what_it_has(scene):
    torch.manual_seed(0)
    net = build("refinenet", encoder="resnet18", inputs={"rgb": 3}, width=4,
                outputs={"normal": Task("normal", 3)}, decoder_channels=4)  # fmt: skip
    predictor = Predictor(net, preprocessing={"rgb": MODALITIES["rgb"]})
    with pytest.raises(ConfigError, match=r"normal \(normal\).*all\(\)"):
        predictor({"rgb": scene["rgb"]})
    assert list(predictor.all({"rgb": scene["rgb"]})) == ["normal"]


@pytest.fixture(scope="module")
def cycle_net():
    """Metadata as a run keeps them: every modality is described as the target it is, too."""
    torch.manual_seed(0)
    tasks = {
        "rgb": Task("image", 3),
        "shade": Task("image", 1),
        "segmentation": Task("segmentation", 4, CLASSES),
    }
    net = build("cycle", encoder="unet3", width=4, outputs=tasks,
                inputs={name: task.channels for name, task in tasks.items()})  # fmt: skip
    fields = {
        "rgb": Modality.of("image"),
        "shade": Modality.of("image", 1),
        "segmentation": Modality.of("label"),
    }
    net.metadata = {"preprocessing": {name: m.to_dict() for name, m in fields.items()}}
    return net


def test_a_segmentation_is_a_source_of_a_cycle_network(cycle_net, tmp_path):
    labels = np.random.default_rng(0).integers(0, 4, (40, 48), dtype=np.uint8)
    labels[:4] = 255
    write_png(tmp_path / "f.png", labels)
    found = Predictor(cycle_net).all({"segmentation": tmp_path / "f.png"})
    assert list(found) == ["rgb", "shade"]
    one_hot = torch.from_numpy((labels == np.arange(4)[:, None, None]).astype(np.float32))[None]
    with torch.no_grad():
        expected = cycle_net.eval()({"segmentation": one_hot}, size=(40, 48))["rgb"].ensemble
    picture = (127.5 * (expected[0].permute(1, 2, 0).numpy() + 1)).round().clip(0, 255)
    assert np.array_equal(found["rgb"].values, picture.astype(np.uint8))
    # The same array, not only the file.
    again = Predictor(cycle_net).all({"segmentation": labels})
    assert np.array_equal(again["rgb"].values, found["rgb"].values)


def test_a_segmentation_is_not_predicted_from_itself(cycle_net):
    labels = np.zeros((40, 48), np.int64)
    with pytest.raises(StreamError, match=r"'segmentation' from: .*at least one of rgb, shade"):
        Predictor(cycle_net)({"segmentation": labels})
    both = {"segmentation": labels, "shade": np.zeros((40, 48), np.uint8)}
    assert list(Predictor(cycle_net)(both).streams) == ["shade"]


def translator(channels, target):
    """A network whose output is the picture that an encoding makes of the target."""
    torch.manual_seed(0)
    net = build("unet", encoder="unet3", inputs={"rgb": 3}, width=4,
                outputs={"out": Task("image", channels)})  # fmt: skip
    stored = {"rgb": MODALITIES["rgb"].to_dict()}
    net.metadata = {"preprocessing": stored, "targets": {"out": target.to_dict()}}
    return net


def test_translated_depth_is_written_in_its_own_unit(scene, tmp_path):
    """The float values, decoded; 255 grey values of a logarithm would be steps of centimetres."""
    field = Modality.of("continuous", 1, unit=1 / 512, encoding="taskonomy_depth")
    net = translator(1, field)
    found = Predictor(net).all({"rgb": scene["rgb"]})["out"]
    rgb = torch.from_numpy(MODALITIES["rgb"].to_network(MODALITIES["rgb"].read(scene["rgb"])))
    with torch.no_grad():
        numbers = net.eval()({"rgb": rgb[None]}, size=(45, 61))["out"].ensemble[0, 0].double()
    metres = torch.expm1((numbers + 1) / 2 * 11.1).numpy() / 512
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, metres, rtol=1e-4)
    np.testing.assert_allclose(found.streams["rgb"], metres, rtol=1e-4)
    paths = found.save(tmp_path / "out")
    assert np.array_equal(np.load(paths["values"]), found.values)
    # The picture stays what the network gives.
    grey = np.round(127.5 * (numbers.numpy() + 1))
    assert np.abs(cv2.imread(str(paths["picture"]))[..., 0] - grey).max() <= 1
    picture = Predictor(translator(3, Modality.of("image"))).all({"rgb": scene["rgb"]})["out"]
    assert "values" not in picture.save(tmp_path / "rgb")


def test_two_bands_are_predicted_and_written(scene, tmp_path):
    field = Modality.of("continuous", 2, unit=1 / 127, mean=(1, 1), bands=3)
    found = Predictor(translator(2, field)).all({"rgb": scene["rgb"]})["out"]
    paths = found.save(tmp_path / "out")
    values = np.load(paths["values"])
    assert values.shape == (45, 61, 2)
    shown = cv2.imread(str(paths["picture"]))[..., 1]
    # Stored 127, which is 1, is flat: the middle of the grey values.
    assert np.abs(shown - 127.5 * values[..., 0]).max() <= 1


def test_no_file_of_an_output_of_another_kind_is_left_under_the_same_name(tmp_path):
    """Single outputs have no name before those of their files, whatever they are."""
    metres = np.linspace(1, 4, 20, dtype=np.float32).reshape(4, 5)
    DenseOutput("depth", metres, {}, {"rgb": 1.0}).save(tmp_path)
    assert {"values.npy", "millimetres.png", "scale.png"} < {p.name for p in tmp_path.iterdir()}
    colours = np.zeros((4, 5, 3), np.uint8)
    files = DenseOutput("image", colours, {}, {"depth": 1.0}).save(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files.values())
