"""Rooms written as Taskonomy and as an own folder reads back as rendered."""

from pkgutil import resolve_name

import numpy as np
import pytest
import yaml

from cen.data import render_scene, write_rooms
from cen.data.readers.opening import open_layout
from cen.data.readers.registry import ROOMS_WRITERS
from cen.data.rooms.labels import label_set
from cen.data.rooms.plan import Plan
from cen.data.rooms.render import scene_index
from cen.data.rooms.write_taskonomy import ROOMS_CURVATURE

SIZE, SEED = (32, 48), 3


@pytest.fixture(scope="session", params=["taskonomy", "folder"])
def root(request, tmp_path_factory):
    """3 training and 2 test scenes. Tests only read them."""
    out = tmp_path_factory.mktemp(request.param)
    return write_rooms(out, request.param, "functions", SIZE, train=3, test=2, seed=SEED)


def layout_of(root):
    return yaml.safe_load((root / "dataset.yaml").read_text())["about"]["layout"]


def everything(root, split):
    layout = layout_of(root)
    fields = open_layout(layout, root, split, inputs={}, outputs={}).fields
    wanted = {name: {} for name in fields}
    return open_layout(layout, root, split, inputs=wanted, outputs={}, validation=0.0)


def stretch(size):
    """Distance along the ray over depth."""
    plan = Plan(None, "x", "parts", size, 1, 1, SEED)
    camera = plan.intrinsics(plan.scenes[0])
    grid = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0]), indexing="xy"), -1)
    rays = (grid - camera[:2, 2]) / camera[(0, 1), (0, 1)]
    return np.sqrt(1 + (rays**2).sum(-1))


def expected(scene, field):
    """What the reader should give, and how far off the format may put it."""
    steps = {"depth_zbuffer": 1 / 512, "depth_euclidean": 1 / 512, "edge_occlusion": 1 / 11584}
    if field == "segment_semantic":
        return scene["functions"], 0
    if field == "depth_euclidean":
        return scene["depth"] * stretch(SIZE), 0.5 * steps[field]
    if field == "depth_zbuffer":
        return scene["depth"], 0.5 * steps[field]
    if field == "principal_curvature":
        return 1 + np.clip(scene[field] / ROOMS_CURVATURE, -1, 1), 0.5 / 127
    if field == "reshading":
        return 255 * scene[field], 0.5
    if field == "normal":
        return scene[field], 0.006
    if field in ("edge_texture", "edge_occlusion"):
        return scene[field], 0.5 / 11355
    return scene[field], 0


def as_written(scene, field):
    """The same for the folder of own files."""
    if field == "segmentation":
        return scene["functions"], 0
    tolerance = {"normal": 1e-6, "reshading": 1e-5, "edge_texture": 1e-5, "edge_occlusion": 1e-5}
    return scene[field], tolerance.get(field, 0)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_field_reads_back_as_rendered(root, split):
    data = everything(root, split)
    assert len(data) == {"train": 3, "test": 2}[split]
    wanted = expected if layout_of(root) == "taskonomy" else as_written
    for index in range(len(data)):
        scene = render_scene(SEED, scene_index(split, index), SIZE)
        sample = data.raw(index)
        for field in data.fields:
            true, tolerance = wanted(scene, field)
            assert sample[field].shape == true.shape, field
            np.testing.assert_allclose(
                sample[field].astype(np.float64), true, rtol=0, atol=tolerance + 1e-6, err_msg=field
            )
    assert np.isnan(data.raw(0)["depth" if "depth" in data.fields else "depth_zbuffer"]).any()


def test_classes_are_those_of_the_labels(root):
    data = everything(root, "train")
    names = label_set("functions")
    label = "segmentation" if "segmentation" in data.labels else "segment_semantic"
    assert data.labels[label].names == names.classes
    np.testing.assert_array_equal(data.labels[label].palette, names.palette)


def test_writing_again_does_nothing_and_other_labels_are_refused(root):
    before = (root / "dataset.yaml").stat().st_mtime_ns
    write_rooms(root, layout_of(root), "functions", SIZE, train=3, test=2, seed=SEED)
    assert (root / "dataset.yaml").stat().st_mtime_ns == before
    with pytest.raises(Exception, match="another data set"):
        write_rooms(root, layout_of(root), "parts", SIZE, train=3, test=2, seed=SEED)


def test_folders_give_the_camera(root):
    if layout_of(root) != "folder":
        return
    plan = Plan(None, "x", "parts", SIZE, 1, 1, SEED)
    given = everything(root, "test").raw(0)["intrinsics"]
    np.testing.assert_allclose(given, plan.intrinsics(plan.scenes[0]))


@pytest.mark.parametrize("layout", ROOMS_WRITERS)
def test_every_layout_has_a_writer(layout):
    assert callable(resolve_name(ROOMS_WRITERS[layout]))
