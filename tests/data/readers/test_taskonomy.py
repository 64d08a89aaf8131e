import json
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from cen import cli
from cen.data import write_rooms
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


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rooms as Taskonomy: 12 training and 4 test frames of 24 x 32. Tests only read it."""
    root = tmp_path_factory.mktemp("taskonomy")
    return write_rooms(root, "taskonomy", size=(24, 32), train=12, test=4, seed=3)


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(written, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def bare(root):
    """As the authors distribute the sample building: no lists, no dataset.yaml."""
    for name in ("dataset.yaml", "train.txt", "test.txt"):
        (root / name).unlink()
    return root


def names(root, split, **options):
    data = Taskonomy(root, split, INPUTS, {}, **options)
    return [data.name(index) for index in range(len(data))]


def into_buildings(root, form):
    """Moves the frames into two buildings."""
    for path in sorted(root.glob("*/point_*.png")):
        building = "alpha" if int(path.name.split("_")[1]) % 2 else "beta"
        target = root / form.format(domain=path.parent.name, building=building, file=path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def test_the_lists_of_the_folder_are_followed(written):
    assert names(written, "train", validation=0.0) == [f"point_{n}_view_0" for n in range(12)]
    assert names(written, "test") == [f"point_{n}_view_0" for n in range(12, 16)]
    held = names(written, "validation", validation=0.25)
    assert len(held) == 3
    assert not set(held) & set(names(written, "train", validation=0.25))


def test_without_lists_a_hash_decides_for_good(bare):
    before = {split: names(bare, split, test=0.3) for split in ("train", "validation", "test")}
    every = [name for part in before.values() for name in part]
    assert sorted(every) == sorted(f"point_{n}_view_0" for n in range(16))
    for number in range(100, 110):
        for view in (0, 1):
            shutil.copy(
                bare / "rgb" / "point_0_view_0_domain_rgb.png",
                bare / "rgb" / f"point_{number}_view_{view}_domain_rgb.png",
            )
    after = {split: names(bare, split, test=0.3) for split in before}
    for split, old in before.items():
        assert set(old) <= set(after[split])
        views = [name.rpartition("_view_") for name in after[split] if len(name) > 15]
        assert all(sum(v[0] == point[0] for v in views) == 2 for point in views)


@pytest.mark.parametrize(
    "form",
    [
        "{building}/{domain}/{file}",
        "{domain}/{building}/{file}",
        "{domain}/taskonomy/{building}/{file}",
    ],
)
def test_buildings_are_split_whole(bare, form):
    into_buildings(bare, form)
    for folder in bare.glob("[a-z]*"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    parts = {split: names(bare, split, test=0.5, validation=0.0) for split in ("train", "test")}
    assert {len(part) for part in parts.values()} == {8}
    for part in parts.values():
        assert len({name.split("/")[0] for name in part}) == 1
    data = Taskonomy(bare, "test", test=0.5)
    assert data.group(0) in ("alpha", "beta")
    assert data.raw(0)["segment_semantic"].shape == (24, 32)
    assert data.files(0)["rgb"].is_file()


def test_the_csv_of_the_authors_splits_buildings(bare):
    into_buildings(bare, "{domain}/taskonomy/{building}/{file}")
    table = bare / "split.csv"
    table.write_text("id,train,val,test\rAlpha,1,0,0\rbeta,0,1,0\rgamma,0,0,1\r")
    assert all(name.startswith("alpha/") for name in names(bare, "train", lists="split.csv"))
    assert len(names(bare, "validation", lists=str(table))) == 8
    with pytest.raises(DataError, match=r"split\.csv: leaves the test split"):
        names(bare, "test", lists="split.csv")
    table.write_text("id,train,val,test\ndelta,1,0,0\n")
    with pytest.raises(DataError, match=r"split\.csv: names none of the buildings \(alpha, beta\)"):
        names(bare, "train", lists="split.csv")
    table.write_text("building\nalpha\n")
    with pytest.raises(DataError, match="is no CSV with the columns id,train,val,test"):
        names(bare, "train", lists="split.csv")


def test_lists_of_the_user_in_the_forms_there_are(bare):
    (bare / "a.txt").write_text(
        "# 1,000 of them\n{domain}/point_3_view_0_domain_{domain}.png\n\npoint_1_view_0\n"
    )
    (bare / "b.txt").write_text("rgb/point_5_view_0_domain_rgb.png\n")
    lists = {"train": str(bare / "a.txt"), "test": "b.txt"}
    options = {"lists": lists, "validation": 0.0}
    assert names(bare, "train", **options) == ["point_3_view_0", "point_1_view_0"]
    assert names(bare, "test", **options) == ["point_5_view_0"]
    assert Taskonomy(bare, "test", INPUTS, {}, lists=lists).place(0).endswith("b.txt, line 1")
    (bare / "c.txt").write_text("point_6_view_0\n")
    lists["validation"] = "c.txt"
    assert names(bare, "validation", lists=lists) == ["point_6_view_0"]
    assert len(names(bare, "train", lists=lists)) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../point_1_view_0", r"a\.txt, line 2: path '\.\./point_1_view_0' leaves"),
        ("/rgb/point_1_view_0_domain_rgb.png", "line 2: path .* leaves"),
        ("image_1.png", r"line 2: 'image_1\.png' names no frame"),
        ("point_0_view_0", r"line 2: point_0_view_0 is also in .*a\.txt, line 1"),
        ("point_2_view_0", r"b\.txt, line 1: point_2_view_0 is also in .*a\.txt, line 2"),
        ("point_77_view_0", r"a\.txt, line 2: no file rgb/point_77_view_0_domain_rgb\.png"),
        (f"point_{2**40}_view_0", "line 2: point_.* numbers this large"),
    ],
)
def test_wrong_lines_are_named(bare, line, message):
    (bare / "a.txt").write_text(f"point_0_view_0\n{line}\n")
    (bare / "b.txt").write_text("point_2_view_0\n")
    with pytest.raises(DataError, match=message):
        names(bare, "train", lists={"train": "a.txt", "test": "b.txt"}, validation=0.0)


def test_wrong_lists_are_named(bare):
    (bare / "a.txt").write_text("\n")
    with pytest.raises(DataError, match=r"a\.txt: the list is empty"):
        names(bare, "train", lists={"train": "a.txt", "test": "a.txt"})
    with pytest.raises(DataError, match=r"no\.txt: cannot read the list"):
        names(bare, "train", lists={"train": "no.txt", "test": "a.txt"})
    with pytest.raises(ConfigError, match=r"data\.options\.lists: .* must be a CSV"):
        names(bare, "train", lists={"train": "a.txt"})
    for lists in ({"train": 1, "test": 2}, 5):
        with pytest.raises(ConfigError, match=r"data\.options\.lists.* expected: .*text"):
            names(bare, "train", lists=lists)
    with pytest.raises(ConfigError, match=r"data\.options\.test is half; expected: number"):
        names(bare, "train", test="half")
    (bare / "a.txt").write_text("point_1_view_0")
    (bare / "b.txt").write_text("point_2_view_0")
    lists = {"train": "a.txt", "test": "b.txt", "valid": "a.txt"}
    with pytest.raises(ConfigError, match=r"lists\.valid: no split \(did you mean 'validation'"):
        names(bare, "train", lists=lists)


def test_a_line_needs_its_building_where_there_are_some(bare):
    into_buildings(bare, "{domain}/{building}/{file}")
    (bare / "a.txt").write_text("{domain}/alpha/point_1_view_0_domain_{domain}.png\n")
    (bare / "b.txt").write_text("point_2_view_0\n")
    lists = {"train": "a.txt", "test": "b.txt"}
    with pytest.raises(DataError, match=r"b\.txt, line 1: 'point_2_view_0' names no building"):
        names(bare, "train", lists=lists)


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


def test_label_files_may_be_called_as_their_folder_is(root):
    for path in sorted((root / "segment_semantic").glob("*.png")):
        path.rename(path.with_name(path.name.replace("segmentsemantic", "segment_semantic")))
    assert Taskonomy(root, "train").raw(0)["segment_semantic"].shape == (24, 32)


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


def test_the_commands_take_it(written, capsys):
    assert cli.main(["data", "taskonomy", "check", str(written)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    (written / "x").mkdir()
    assert cli.main(["data", "taskonomy", "check", str(written / "x")]) == 1
    (written / "x").rmdir()


def test_uncertain_is_ignored_and_the_rest_counts_from_0(root):
    path = root / "segment_semantic" / "point_0_view_0_domain_segmentsemantic.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored[0, :4] = (0, 1, 2, 17)
    write_png(path, stored)
    (root / "dataset.yaml").write_text("lists: {train: train.txt, test: test.txt}")
    data = Taskonomy(root, "train", INPUTS, validation=0.0)
    assert data.classes == CLASSES
    assert data.raw(0)["segment_semantic"][0, :4].tolist() == [255, 0, 1, 16]
    other = Taskonomy(root, "train", INPUTS, validation=0.0, ignore_index=99)
    assert other.raw(0)["segment_semantic"][0, 0] == 99
    stored[0, 0] = 18
    write_png(path, stored)
    with pytest.raises(DataError, match=r"segmentsemantic\.png: label 17 .*outside 0\.\.16"):
        data.raw(0)


def test_values_of_the_files(root):
    zero = root / "normal" / "point_0_view_0_domain_normal.png"
    stored = np.full((24, 32, 3), 128, np.uint8)
    stored[0, 0] = (255, 128, 128)
    stored[0, 1] = (128, 255, 128)
    stored[0, 2] = (128, 128, 255)
    write_png(zero, stored)
    wanted = {name: {} for name in ("normal", "depth_euclidean", "edge_texture")}
    data = open_layout("taskonomy", root, "train", inputs=wanted, outputs={}, validation=0.0)
    normal = data.raw(0)["normal"]
    np.testing.assert_allclose(normal[0, :3], [(1, 0, 0), (0, 1, 0), (0, 0, 1)], atol=0.01)
    assert np.isnan(normal[1:]).all()
    edges = np.zeros((24, 32), np.uint16)
    edges[0, :3] = (11355, 60000, 5678)
    write_png(root / "edge_texture" / "point_0_view_0_domain_edge_texture.png", edges)
    np.testing.assert_allclose(data.raw(0)["edge_texture"][0, :4], [1, 1, 0.50004, 0], atol=1e-5)
    depth = np.full((24, 32), 65535, np.uint16)
    depth[0, 0] = 1024
    write_png(root / "depth_euclidean" / "point_0_view_0_domain_depth_euclidean.png", depth)
    read = data.raw(0)["depth_euclidean"]
    assert read[0, 0] == 2.0
    assert np.isnan(read).sum() == 24 * 32 - 1


def test_stored_normals_of_a_wall_a_floor_and_a_side(root):
    """As on the authors' files: z away from the camera, so a wall ahead has a small z."""
    stored = np.full((24, 32, 3), 128, np.uint8)
    stored[0, :3] = ((128, 128, 0), (128, 0, 128), (255, 128, 128))
    write_png(root / "normal" / "point_0_view_0_domain_normal.png", stored)
    data = open_layout("taskonomy", root, "train", inputs={"normal": {}}, outputs={}, validation=0)
    found = data.raw(0)["normal"][0, :3]
    np.testing.assert_allclose(found, [(0, 0, -1), (0, -1, 0), (1, 0, 0)], atol=0.01)


def test_rooms_written_before_is_read_as_it_was_meant(root):
    """Its files have z to the camera, and its dataset.yaml says nothing of axes."""
    wanted = {"inputs": {"normal": {}}, "outputs": {}, "validation": 0.0}
    now = open_layout("taskonomy", root, "train", **wanted).raw(0)["normal"]
    said = yaml.safe_load((root / "dataset.yaml").read_text())
    assert said.pop("axes") == {"normal": "+x +y +z"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    path = root / "normal" / "point_0_view_0_domain_normal.png"
    stored = cv2.imread(str(path))[..., ::-1].copy()
    stored[..., 2] = 255 - stored[..., 2]
    write_png(path, stored)
    data = open_layout("taskonomy", root, "train", **wanted)
    np.testing.assert_allclose(data.raw(0)["normal"], now, atol=1e-6)
    said["axes"] = {"normal": "+x +y"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(DataError, match="field normal is described wrongly: axes"):
        open_layout("taskonomy", root, "train", **wanted)
    said["axes"] = {"normals": "+x +y +z"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(DataError, match=r"dataset\.yaml: axes: .*write axes: \{normal: "):
        open_layout("taskonomy", root, "train", **wanted)


def test_depth_along_the_ray_is_refused_where_geometry_is_made_of_it(root):
    wanted = {"depth_euclidean": {"encoding": "hha", "intrinsics": [30, 30, 15.5, 11.5]}}
    with pytest.raises(ConfigError, match=r"depth_euclidean is along the ray; take depth_zbuffer"):
        open_layout("taskonomy", root, "train", inputs=wanted, outputs={})


def test_point_info_gives_the_camera_to_encodings(root):
    """The field of view of 90 degrees over 32 pixels has a focal length of 16."""
    (root / "point_info").mkdir()
    info = root / "point_info" / "point_0_view_0_domain_point_info.json"
    info.write_text(json.dumps({"field_of_view_rads": np.pi / 2}))
    wanted = {"depth_zbuffer": {"encoding": "normals", "channels": 3}}
    data = open_layout("taskonomy", root, "train", inputs=wanted, outputs={}, validation=0.0)
    camera = data.raw(0)["intrinsics"]
    np.testing.assert_allclose(camera, [[16, 0, 15.5], [0, 16, 11.5], [0, 0, 1]])
    plain = open_layout("taskonomy", root, "train", inputs={"rgb": {}}, outputs={}, validation=0.0)
    assert "intrinsics" not in plain.raw(0)
    info.write_text("{}")
    with pytest.raises(DataError, match="says no field_of_view_rads"):
        data.raw(0)


@pytest.mark.parametrize("domain", ["depth_zbuffer", "edge_occlusion"])
def test_8_bit_files_are_refused_where_16_belong(root, domain):
    file = f"point_0_view_0_domain_{domain}.png"
    write_png(root / domain / file, np.zeros((24, 32), np.uint8))
    wanted = {domain: {}}
    data = open_layout("taskonomy", root, "train", inputs=wanted, outputs={}, validation=0.0)
    with pytest.raises(DataError, match=rf"train\.txt, line 1: .*{file}: .* 8 bits, not of 16"):
        data.raw(0)


def test_released_encodings_by_name(root):
    wanted = {
        "depth_zbuffer": {"encoding": "taskonomy_depth"},
        "edge_texture": {"encoding": "taskonomy_edge_texture"},
    }
    data = open_layout("taskonomy", root, "test", inputs=wanted, outputs={})
    path = root / "depth_zbuffer" / "point_12_view_0_domain_depth_zbuffer.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64)
    released = np.log(1 + stored) * 255 / 11.1 / 127.5 - 1
    seen = data.modalities["depth_zbuffer"].to_network(data.raw(0)["depth_zbuffer"])[0]
    there = stored < 65535
    np.testing.assert_allclose(seen[there], released[there], atol=1e-3)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Taskonomy(tmp_path / "x", "train")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"no folder of a Taskonomy domain .* there are images"):
        Taskonomy(tmp_path, "train")
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DataError, match="the folders rgb hold no point_"):
        Taskonomy(tmp_path, "train")


def test_dataset_yaml_names_other_classes(root):
    said = yaml.safe_load((root / "dataset.yaml").read_text())
    said["classes"] = ["a", "b"]
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    assert Taskonomy(root, "train").classes == ("a", "b")
    assert len(Taskonomy(root, "train", classes=20).classes) == 20


SEMANTIC_CLASSES = 15


def changed(path, at, value):
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored[at] = value
    cv2.imwrite(str(path), stored)


@pytest.mark.parametrize("kept", ["modalities", "targets"])
def test_a_predictor_reads_the_files_as_the_data_set_does(root, kept):
    """Every domain: what a network keeps of its fields gives the numbers it was trained on."""
    file = "point_0_view_0_domain_{}.png".format
    # Twice as bright as white and more, no class, the last class.
    changed(root / "edge_texture" / file("edge_texture"), (0, slice(3)), 60000)
    changed(root / "edge_occlusion" / file("edge_occlusion"), (0, slice(3)), 65535)
    changed(root / "segment_semantic" / file("segmentsemantic"), (0, slice(3)), (0, 1, 15))
    there = Taskonomy(root, "train", validation=0.0).fields
    assert len(there) == 9
    channels = {
        name: SEMANTIC_CLASSES if name == "segment_semantic" else Modality.of(**field).channels
        for name, field in there.items()
    }
    inputs = {name: {"channels": count} for name, count in channels.items()}
    data = open_layout("taskonomy", root, "train", inputs=inputs, outputs={}, validation=0.0)
    raw, wanted = data.raw(0), eval_transform(data.modalities)(data.raw(0))
    assert raw["edge_texture"][0, 0] == raw["edge_occlusion"][0, 0] == 1.0
    assert raw["segment_semantic"][0, :3].tolist() == [255, 0, 14]
    assert raw["principal_curvature"].shape == (24, 32, 2)
    if kept == "targets":
        # A cycle network keeps its inputs as the targets they are, too.
        outputs = {name: {} for name in there}
        data = open_layout("taskonomy", root, "train", inputs={}, outputs=outputs, validation=0.0)
    net = ChannelExchangeNetwork.__new__(ChannelExchangeNetwork)
    torch.nn.Module.__init__(net)
    stored = json.loads(json.dumps(metadata(data)["preprocessing"]))
    net.inputs, net.outputs, net.metadata = channels, {}, {"preprocessing": stored}
    predictor = Predictor(net)
    for name, path in data.files(0).items():
        read = predictor._read(name, path)
        np.testing.assert_array_equal(read, raw[name], err_msg=name)
        numbers = predictor.modalities[name].normalise(predictor._prepared(name, read, None))
        np.testing.assert_array_equal(numbers, wanted[name].numpy(), err_msg=name)


def test_a_network_of_an_older_version_is_still_read():
    stored = Modality.of(**DOMAINS["segment_semantic"]).to_dict()
    old = {k: v for k, v in stored.items() if k not in ("bands", "first", "ignore", "ignore_index")}
    assert Modality.from_dict(old) == Modality.of("label")


def test_modalities_made_by_hand_learn_how_the_files_are(root):
    fields = {
        "segment_semantic": Modality.of("label"),
        "edge_texture": Modality.of("edge", unit=1 / 11355),
        "principal_curvature": Modality.of("continuous", 2, unit=1 / 127),
    }
    changed(root / "edge_texture/point_0_view_0_domain_edge_texture.png", (0, 0), 60000)
    sample = Taskonomy(root, "train", INPUTS, fields, validation=0.0).raw(0)
    described = Taskonomy(root, "train", INPUTS, {n: Modality.of(**DOMAINS[n]) for n in fields},
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
