"""Predictions from files and arrays of any subset of the modalities."""

import copy
import json

import cv2
import numpy as np
import pytest
import torch
from tests.predict.scene import CLASSES, MODALITIES, PALETTE

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.data.transforms import eval_transform
from cen.errors import CenWarning, CheckpointError, ConfigError, DataError, ShapeError, StreamError
from cen.models import build, save
from cen.predict.predictor import Predictor
from cen.report.runfolder import read_run


def test_files_give_the_same_as_the_network_itself(net, scene):
    prediction = Predictor(net)(scene)
    inputs = {
        name: torch.from_numpy(m.to_network(m.read(scene[name])))[None]
        for name, m in MODALITIES.items()
    }
    net.eval()
    with torch.no_grad():
        expected = net(inputs, size=(45, 61))["segmentation"]
    assert prediction.labels.dtype == np.uint8
    assert np.array_equal(prediction.labels, expected.ensemble[0].argmax(0).numpy())
    for name in ("rgb", "depth"):
        assert np.array_equal(prediction.streams[name], expected.streams[name][0].argmax(0).numpy())
    assert prediction.alpha == pytest.approx({"rgb": 0.5, "depth": 0.5})
    assert prediction.probabilities is None


def test_arrays_give_the_same_as_files(net, scene):
    arrays = {name: m.read(scene[name]) for name, m in MODALITIES.items()}
    assert np.isnan(arrays["depth"][:5]).all()
    arrays["depth"][:5] = 0  # also missing
    predictor = Predictor(net)
    assert np.array_equal(predictor(arrays).labels, predictor(scene).labels)


def test_what_is_no_number_is_no_first_class(net, scene):
    """It was, without a word: of a network that overflows in fp16, and of damaged weights."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        net.heads["segmentation"].weight *= 1e8
    Predictor(net)(scene)
    with pytest.raises(ConfigError, match=r"segmentation: .*% of .* NaN or infinite in fp16, .*bf"):
        Predictor(net, precision="fp16")(scene)
    Predictor(net, precision="bf16")(scene)
    net.encoder.conv1.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"segmentation: 100\.0% of .* are damaged"):
        Predictor(net)(scene)


def test_a_run_folder_and_a_file_work_alone(net, scene, tmp_path):
    run = tmp_path / "run"
    save(net, run / "best.safetensors")
    (run / "config.yaml").write_text("seed: 0")
    expected = Predictor(net)(scene)
    for source in (run, run / "best.safetensors"):
        prediction = Predictor(source, device="cpu")(scene)
        assert np.array_equal(prediction.labels, expected.labels)
        assert prediction.classes == CLASSES
        assert prediction.palette.tolist() == PALETTE
    files = read_run(run)  # the report reads names and colours from the same file
    assert tuple(files.classes("segmentation")) == CLASSES
    assert files.colours("segmentation") == PALETTE


@pytest.mark.parametrize("present", ["rgb", "depth"])
def test_a_missing_modality_leaves_the_other_stream(net, scene, present):
    prediction = Predictor(net)({present: str(scene[present])})
    assert list(prediction.streams) == [present]
    assert prediction.alpha == {present: 1.0}
    assert np.array_equal(prediction.labels, prediction.streams[present])
    assert prediction.picture.shape == (45, 61, 3)


def test_probabilities_sum_to_one_and_agree_with_the_labels(net, scene):
    prediction = Predictor(net)(scene, probabilities=True)
    assert prediction.probabilities.shape == (4, 45, 61)
    assert np.allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(prediction.probabilities.argmax(0), prediction.labels)


def test_saved_files_hold_the_prediction(net, scene, tmp_path):
    prediction = Predictor(net)(scene)
    paths = prediction.save(tmp_path / "new" / "out")
    assert {p.name for p in (tmp_path / "new" / "out").iterdir()} == {
        "labels.png", "colours.png", "overlay.png", "legend.png", "classes.json",
    }  # fmt: skip
    stored = cv2.imread(str(paths["labels"]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored, prediction.labels)
    painted = cv2.imread(str(paths["colours"]))[..., ::-1]
    assert np.array_equal(painted, np.array(PALETTE)[prediction.labels])
    assert cv2.imread(str(paths["overlay"])).shape == (45, 61, 3)
    assert cv2.imread(str(paths["legend"])) is not None
    plain = json.loads(paths["classes"].read_text())
    assert [entry["class"] for entry in plain["classes"]] == list(CLASSES)
    assert sum(entry["share"] for entry in plain["classes"]) == pytest.approx(1)
    assert plain["classes"][2]["pixels"] == (prediction.labels == 2).sum()
    assert prediction.save(tmp_path, prefix="x_")["labels"].name == "x_labels.png"


def test_sizes_that_differ_are_refused_with_both_files_and_sizes(net, scene, tmp_path):
    small = tmp_path / "small.png"
    write_png(small, np.zeros((40, 61), np.uint16))
    with pytest.raises(ShapeError, match=r"a\.png is 45 × 61 and .*small\.png is 40 × 61"):
        Predictor(net)(scene | {"depth": small})


def test_images_that_are_too_small_are_refused_by_name(net):
    with pytest.raises(ShapeError, match=r"array 'rgb' is 31 × 64"):
        Predictor(net)({"rgb": np.zeros((31, 64, 3), np.uint8)})


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, StreamError, "at least one of rgb, depth"),
        ({"dept": "b.png"}, StreamError, "did you mean 'depth'"),
        ({"rgb": "nowhere.png"}, DataError, r"nowhere\.png"),
        ({"depth": np.zeros((40, 40), np.uint16)}, DataError, "metres as float"),
        ({"rgb": np.zeros((40, 40, 3), np.float32)}, DataError, "uint8"),
        ({"rgb": np.zeros((40, 40), np.uint8)}, DataError, r"\(H, W, 3\)"),
    ],
)
def test_wrong_inputs_are_refused(net, inputs, error, message):
    with pytest.raises(error, match=message):
        Predictor(net)(inputs)


def test_preprocessing_may_be_given_and_is_asked_for(net):
    plain = build(**net.config)
    with pytest.raises(CheckpointError, match="rgb, depth"):
        Predictor(plain)
    prediction = Predictor(plain, preprocessing=MODALITIES)(
        {"depth": np.full((32, 32), 2.0, np.float32)}
    )
    assert prediction.labels.shape == (32, 32)


def test_an_unknown_output_is_refused(net):
    with pytest.raises(ConfigError, match="segmentation"):
        Predictor(net, output="depth")


SEEN = {"depth": {"low": 0.8, "high": 6.0, "medians": [1.5, 4.0]}}


@pytest.mark.parametrize("factor", [1, 5, 10, 1000])
def test_depth_far_from_training_is_warned_of(net, scene, factor, recwarn):
    """Metres read as millimetres, or a unit of SUN RGB-D or of the released code."""
    net.metadata["seen"] = SEEN
    try:
        wrong = Modality.of("depth", unit=0.001 * factor)
        Predictor(net, preprocessing={"depth": wrong})(scene)
    finally:
        del net.metadata["seen"]
    told = [str(w.message) for w in recwarn if issubclass(w.category, CenWarning)]
    assert len(told) == (factor > 1)
    if told:
        assert "b.png: half of the depths lie below" in told[0]
        assert "unit" in told[0]


def test_scenes_are_resized_as_in_training(net, scene):
    """The network sees what the transform of its evaluation makes; the files keep their size."""
    seen = eval_transform(MODALITIES, resize=(40, 48))(
        {name: m.read(scene[name]) for name, m in MODALITIES.items()}
    )
    net.eval()
    with torch.no_grad():
        expected = net({k: v[None] for k, v in seen.items()}, size=(45, 61))["segmentation"]
    net.metadata["resize"] = [40, 48]
    try:
        found = Predictor(net)(scene, probabilities=True)
    finally:
        del net.metadata["resize"]
    assert np.allclose(found.probabilities, expected.ensemble[0].softmax(0).numpy(), atol=1e-6)
    own = Predictor(net)(scene, probabilities=True)
    assert not np.allclose(found.probabilities, own.probabilities, atol=1e-3)


@pytest.mark.parametrize("encoding", ["raw", "log", "released_segmentation"])
def test_files_of_another_unit_look_the_same_to_the_network(net, scene, tmp_path, encoding):
    """Also where the encoding is one of stored values, and whatever bits were declared."""
    trained = {"depth": Modality.of("depth", unit=0.001, bits=16, encoding=encoding)}
    metres = cv2.imread(str(scene["depth"]), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
    np.save(tmp_path / "metres.npy", metres)
    known = Predictor(net, preprocessing=trained)({"depth": scene["depth"]}, probabilities=True)
    other = Predictor(net, preprocessing=trained, unit=1.0)
    given = other({"depth": tmp_path / "metres.npy"}, probabilities=True)
    assert np.allclose(known.probabilities, given.probabilities, atol=1e-5)
    wrong = other({"depth": scene["depth"]}, probabilities=True)
    assert not np.allclose(known.probabilities, wrong.probabilities, atol=1e-3)
    with pytest.raises(ConfigError, match="unit: nan is no length"):
        Predictor(net, unit=float("nan"))


def test_depth_without_any_value_is_warned_of(net, scene):
    net.metadata["seen"] = SEEN
    try:
        with pytest.warns(CenWarning, match="array 'depth': no depth was measured"):
            Predictor(net)({"depth": np.zeros((45, 61))})
    finally:
        del net.metadata["seen"]


def test_an_encoding_is_part_of_the_saved_network(net, scene, tmp_path):
    """HHA, clipping, filling and the camera come from the file; only the pictures are given."""
    torch.manual_seed(0)
    field = Modality.of(
        "depth", 3, encoding="hha", intrinsics=(50, 50, 30, 22), clip=(0.5, 5), fill_holes="inpaint"
    )
    three = build(
        "refinenet", encoder="resnet18", inputs={"depth": 3}, width=8, outputs={"segmentation": 4},
        decoder_channels=8,
    )  # fmt: skip
    save(
        three, tmp_path / "net.safetensors", metadata={"preprocessing": {"depth": field.to_dict()}}
    )
    predictor = Predictor(tmp_path / "net.safetensors")
    assert predictor.modalities["depth"] == field
    prediction = predictor({"depth": scene["depth"]})
    encoded = torch.from_numpy(field.to_network(field.read(scene["depth"])))[None]
    with torch.no_grad():
        expected = predictor.net({"depth": encoded}, size=(45, 61))["segmentation"].ensemble
    assert np.array_equal(prediction.labels, expected[0].argmax(0).numpy())
    other = predictor({"depth": scene["depth"]}, intrinsics=(90, 90, 30, 22))
    assert not np.array_equal(other.labels, prediction.labels)


def test_arrays_of_every_kind_are_checked(net):
    """An array must be what reading a file gives."""
    good = {
        "normal": (Modality.of("normal"), np.zeros((4, 5, 3), np.float32)),
        "edge": (Modality.of("edge"), np.zeros((4, 5))),
        "thermal": (Modality.of("continuous", 1), np.zeros((4, 5), np.float32)),
        "bands": (Modality.of("continuous", 4), np.zeros((4, 5, 4), np.float32)),
        "label": (Modality.of("label", 9), np.zeros((4, 5), np.int64)),
        "deep": (Modality.of("image", bits=16), np.zeros((4, 5, 3), np.uint16)),
        "spectrum": (Modality.of("image", 7), np.zeros((4, 5, 7), np.uint16)),
    }
    for name, (modality, array) in good.items():
        modality.check_array(name, array)
    bad = {
        "normal": np.zeros((4, 5), np.float32),
        "edge": np.zeros((4, 5), np.uint8),
        "thermal": np.zeros((4, 5, 2), np.float32),
        "bands": np.zeros((4, 5), np.float32),
        "label": np.zeros((4, 5)),
        "deep": np.zeros((4, 5, 3), np.uint8),
        "spectrum": np.zeros((4, 5, 3), np.uint16),
    }
    for name, array in bad.items():
        with pytest.raises(DataError, match=f"array '{name}' must be"):
            good[name][0].check_array(name, array)


def test_a_unit_that_changes_nothing_is_refused(net):
    thermal = {
        "rgb": MODALITIES["rgb"],
        "depth": Modality.of("continuous", 1, encoding="taskonomy_depth"),
    }
    with pytest.raises(ConfigError, match=r"only rgb \(image\), depth \(continuous\)"):
        Predictor(net, preprocessing=thermal, unit=0.001)
