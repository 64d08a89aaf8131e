import json
import shutil
import warnings

import cv2
import numpy as np
import pytest
import torch
import yaml

from cen import cli
from cen.data.fields.modality import Modality
from cen.data.formats.pictures import write_png
from cen.data.readers.opening import open_layout
from cen.data.readers.taskonomy import CLASSES, DOMAINS, Taskonomy
from cen.data.transforms import eval_transform
from cen.errors import ConfigError, DataError
from cen.models import ChannelExchangeNetwork
from cen.predict.predictor import Predictor
from cen.training.setup import metadata

INPUTS = {"rgb": Modality.of(**DOMAINS["rgb"])}
DEPTH = {"depth_zbuffer": Modality.of(**DOMAINS["depth_zbuffer"])}


def test_frames_without_all_files_are_left_out_by_name(bare):
    (bare / "depth_zbuffer" / "point_4_view_0_domain_depth_zbuffer.png").unlink()
    with pytest.warns(UserWarning, match=r"1 of 16 .*: point_4_view_0 has no depth_zbuffer"):
        count = sum(len(Taskonomy(bare, s, {**INPUTS, **DEPTH}, {})) for s in ("train", "test"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count < sum(len(Taskonomy(bare, s, INPUTS, {})) for s in ("train", "test"))
    shutil.rmtree(bare / "depth_zbuffer")
    (bare / "depth_zbuffer").mkdir()
    with pytest.raises(DataError, match="no frame has all of the files wanted; found rgb 16"):
        Taskonomy(bare, "train", {**INPUTS, **DEPTH}, {})


def test_partly_annotated_frames_need_one_of_the_targets(bare):
    for number in (1, 2):
        (bare / "depth_zbuffer" / f"point_{number}_view_0_domain_depth_zbuffer.png").unlink()
    (bare / "normal" / "point_2_view_0_domain_normal.png").unlink()
    targets = {**DEPTH, "normal": Modality.of(**DOMAINS["normal"])}
    found = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for split in ("train", "validation", "test"):
            data = Taskonomy(bare, split, {}, {})
            data.partial = True
            data.select(INPUTS, targets)
            found |= {data.name(index): data.annotated(index) for index in range(len(data))}
    assert "1 of 16 frames lack files" in str(told[0].message)
    assert len(found) == 15
    assert found["point_1_view_0"] == ("normal",)
    assert found["point_3_view_0"] == ("depth_zbuffer", "normal")


def test_the_commands_take_it(taskonomy, capsys):
    assert cli.main(["data", "taskonomy", "check", str(taskonomy)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    (taskonomy / "x").mkdir()
    assert cli.main(["data", "taskonomy", "check", str(taskonomy / "x")]) == 1
    (taskonomy / "x").rmdir()


def test_uncertain_is_ignored_and_the_rest_counts_from_0(frames):
    path = frames / "segment_semantic" / "point_0_view_0_domain_segmentsemantic.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored[0, :4] = (0, 1, 2, 17)
    write_png(path, stored)
    (frames / "dataset.yaml").write_text("lists: {train: train.txt, test: test.txt}")
    data = Taskonomy(frames, "train", INPUTS, validation=0.0)
    assert data.classes == CLASSES
    assert data.raw(0)["segment_semantic"][0, :4].tolist() == [255, 0, 1, 16]
    other = Taskonomy(frames, "train", INPUTS, validation=0.0, ignore_index=99)
    assert other.raw(0)["segment_semantic"][0, 0] == 99
    stored[0, 0] = 18
    write_png(path, stored)
    with pytest.raises(DataError, match=r"segmentsemantic\.png: label 18 .*outside 1\.\.17"):
        data.raw(0)


def test_values_of_the_files(frames):
    zero = frames / "normal" / "point_0_view_0_domain_normal.png"
    stored = np.full((24, 32, 3), 128, np.uint8)
    stored[0, 0] = (255, 128, 128)
    stored[0, 1] = (128, 255, 128)
    stored[0, 2] = (128, 128, 255)
    write_png(zero, stored)
    wanted = {name: {} for name in ("normal", "depth_euclidean", "edge_texture")}
    data = open_layout("taskonomy", frames, "train", inputs=wanted, outputs={}, validation=0.0)
    normal = data.raw(0)["normal"]
    np.testing.assert_allclose(normal[0, :3], [(1, 0, 0), (0, 1, 0), (0, 0, 1)], atol=0.01)
    assert np.isnan(normal[1:]).all()
    edges = np.zeros((24, 32), np.uint16)
    edges[0, :3] = (11355, 60000, 5678)
    write_png(frames / "edge_texture" / "point_0_view_0_domain_edge_texture.png", edges)
    np.testing.assert_allclose(data.raw(0)["edge_texture"][0, :4], [1, 1, 0.50004, 0], atol=1e-5)
    depth = np.full((24, 32), 65535, np.uint16)
    depth[0, 0] = 1024
    write_png(frames / "depth_euclidean" / "point_0_view_0_domain_depth_euclidean.png", depth)
    read = data.raw(0)["depth_euclidean"]
    assert read[0, 0] == 2.0
    assert np.isnan(read).sum() == 24 * 32 - 1


def test_stored_normals_of_a_wall_a_floor_and_a_side(frames):
    """As on the authors' files: z away from the camera, so a wall ahead has a small z."""
    stored = np.full((24, 32, 3), 128, np.uint8)
    stored[0, :3] = ((128, 128, 0), (128, 0, 128), (255, 128, 128))
    write_png(frames / "normal" / "point_0_view_0_domain_normal.png", stored)
    data = open_layout(
        "taskonomy", frames, "train", inputs={"normal": {}}, outputs={}, validation=0
    )
    found = data.raw(0)["normal"][0, :3]
    np.testing.assert_allclose(found, [(0, 0, -1), (0, -1, 0), (1, 0, 0)], atol=0.01)


def test_rooms_written_before_is_read_as_it_was_meant(frames):
    """Its files have z to the camera, and its dataset.yaml says nothing of axes."""
    wanted = {"inputs": {"normal": {}}, "outputs": {}, "validation": 0.0}
    now = open_layout("taskonomy", frames, "train", **wanted).raw(0)["normal"]
    said = yaml.safe_load((frames / "dataset.yaml").read_text())
    assert said.pop("axes") == {"normal": "+x +y +z"}
    (frames / "dataset.yaml").write_text(yaml.safe_dump(said))
    path = frames / "normal" / "point_0_view_0_domain_normal.png"
    stored = cv2.imread(str(path))[..., ::-1].copy()
    stored[..., 2] = 255 - stored[..., 2]
    write_png(path, stored)
    data = open_layout("taskonomy", frames, "train", **wanted)
    np.testing.assert_allclose(data.raw(0)["normal"], now, atol=1e-6)
    said["axes"] = {"normal": "+x +y"}
    (frames / "dataset.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(DataError, match="field normal is described wrongly: axes"):
        open_layout("taskonomy", frames, "train", **wanted)
    said["axes"] = {"normals": "+x +y +z"}
    (frames / "dataset.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(DataError, match=r"dataset\.yaml: axes: .*write axes: \{normal: "):
        open_layout("taskonomy", frames, "train", **wanted)


def test_depth_along_the_ray_is_refused_where_geometry_is_made_of_it(frames):
    wanted = {"depth_euclidean": {"encoding": "hha", "intrinsics": [30, 30, 15.5, 11.5]}}
    with pytest.raises(ConfigError, match=r"depth_euclidean is along the ray; take depth_zbuffer"):
        open_layout("taskonomy", frames, "train", inputs=wanted, outputs={})


@pytest.mark.parametrize("domain", ["depth_zbuffer", "edge_occlusion"])
def test_8_bit_files_are_refused_where_16_belong(frames, domain):
    file = f"point_0_view_0_domain_{domain}.png"
    write_png(frames / domain / file, np.zeros((24, 32), np.uint8))
    wanted = {domain: {}}
    data = open_layout("taskonomy", frames, "train", inputs=wanted, outputs={}, validation=0.0)
    with pytest.raises(DataError, match=rf"train\.txt, line 1: .*{file}: .* 8 bits, not of 16"):
        data.raw(0)


def test_released_encodings_by_name(frames):
    wanted = {
        "depth_zbuffer": {"encoding": "taskonomy_depth"},
        "edge_texture": {"encoding": "taskonomy_edge_texture"},
    }
    data = open_layout("taskonomy", frames, "test", inputs=wanted, outputs={})
    path = frames / "depth_zbuffer" / "point_12_view_0_domain_depth_zbuffer.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64)
    released = np.log(1 + stored) * 255 / 11.1 / 127.5 - 1
    seen = data.modalities["depth_zbuffer"].to_network(data.raw(0)["depth_zbuffer"])[0]
    there = stored < 65535
    np.testing.assert_allclose(seen[there], released[there], atol=1e-3)


def test_dataset_yaml_names_other_classes(frames):
    said = yaml.safe_load((frames / "dataset.yaml").read_text())
    said["classes"] = ["a", "b"]
    (frames / "dataset.yaml").write_text(yaml.safe_dump(said))
    assert Taskonomy(frames, "train").classes == ("a", "b")
    assert len(Taskonomy(frames, "train", classes=20).classes) == 20


SEMANTIC_CLASSES = 15


def changed(path, at, value):
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored[at] = value
    cv2.imwrite(str(path), stored)


@pytest.mark.parametrize("kept", ["modalities", "targets"])
def test_a_predictor_reads_the_files_as_the_data_set_does(frames, kept):
    """Every domain: what a network keeps of its fields gives the numbers it was trained on."""
    file = "point_0_view_0_domain_{}.png".format
    # Twice as bright as white and more, no class, the last class.
    changed(frames / "edge_texture" / file("edge_texture"), (0, slice(3)), 60000)
    changed(frames / "edge_occlusion" / file("edge_occlusion"), (0, slice(3)), 65535)
    changed(frames / "segment_semantic" / file("segmentsemantic"), (0, slice(3)), (0, 1, 15))
    there = Taskonomy(frames, "train", validation=0.0).fields
    assert len(there) == 9
    channels = {
        name: SEMANTIC_CLASSES if name == "segment_semantic" else Modality.of(**field).channels
        for name, field in there.items()
    }
    inputs = {name: {"channels": count} for name, count in channels.items()}
    data = open_layout("taskonomy", frames, "train", inputs=inputs, outputs={}, validation=0.0)
    raw, wanted = data.raw(0), eval_transform(data.modalities)(data.raw(0))
    assert raw["edge_texture"][0, 0] == raw["edge_occlusion"][0, 0] == 1.0
    assert raw["segment_semantic"][0, :3].tolist() == [255, 0, 14]
    assert raw["principal_curvature"].shape == (24, 32, 2)
    if kept == "targets":
        # A cycle network keeps its inputs as the targets they are, too.
        outputs = {name: {} for name in there}
        data = open_layout("taskonomy", frames, "train", inputs={}, outputs=outputs, validation=0.0)
    net = ChannelExchangeNetwork.__new__(ChannelExchangeNetwork)
    torch.nn.Module.__init__(net)
    stored = json.loads(json.dumps(metadata(data)["preprocessing"]))
    net.inputs, net.outputs, net.metadata = channels, {}, {"preprocessing": stored}
    predictor = Predictor(net)
    for name, path in data.files(0).items():
        read = predictor.readings[name].read(path)
        np.testing.assert_array_equal(read, raw[name], err_msg=name)
        numbers = predictor.modalities[name].normalise(predictor._prepared(name, read, None))
        np.testing.assert_array_equal(numbers, wanted[name].numpy(), err_msg=name)


def test_a_network_of_an_older_version_is_still_read():
    stored = Modality.of(**DOMAINS["segment_semantic"]).to_dict()
    old = {k: v for k, v in stored.items() if k not in ("bands", "first", "ignore", "ignore_index")}
    assert Modality.from_dict(old) == Modality.of("label")


def test_modalities_made_by_hand_learn_how_the_files_are(frames):
    fields = {
        "segment_semantic": Modality.of("label"),
        "edge_texture": Modality.of("edge", unit=1 / 11355),
        "principal_curvature": Modality.of("continuous", 2, unit=1 / 127),
    }
    changed(frames / "edge_texture/point_0_view_0_domain_edge_texture.png", (0, 0), 60000)
    sample = Taskonomy(frames, "train", INPUTS, fields, validation=0.0).raw(0)
    described = Taskonomy(frames, "train", INPUTS, {n: Modality.of(**DOMAINS[n]) for n in fields},
                          validation=0.0).raw(0)  # fmt: skip
    for name in fields:
        np.testing.assert_array_equal(sample[name], described[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "image", "first": 1}, "first: is for kind label"),
        ({"kind": "edge", "bands": [0, 1]}, r"bands: \[0, 1\] are 2, but 1 channels are read"),
        ({"kind": "continuous", "bands": [-1]}, r"bands: \[-1\] is no list of bands"),
        ({"kind": "label", "first": 1.5}, r"first: 1\.5 is no whole number"),
        ({"kind": "label", "ignore": ["a"]}, "ignore: 'a' is no whole number"),
    ],
)
def test_wrong_descriptions_of_files_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Modality.of(**options)
