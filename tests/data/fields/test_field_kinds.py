"""The kinds of modality beside images and depth: files, geometry, ground truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.data import Modality, Transform, train_transform
from cen.data.formats.pictures import write_png
from cen.data.plotting import plot_sample
from cen.data.readers.dataset_yaml import Classes
from cen.errors import ConfigError, DataError
from cen.training.scoring_pass import mirror

generator = np.random.default_rng(0)


def unit_vectors(size=(12, 16)) -> np.ndarray:
    """Random directions towards the camera."""
    vectors = generator.normal(size=(*size, 3))
    vectors[..., 2] = -np.abs(vectors[..., 2]) - 0.2
    return (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("axes", ["+x +y +z", "+x -y -z", "z x -y"])
def test_normals_of_files(tmp_path, bits, axes):
    true = unit_vectors()
    true[2, 3] = np.nan
    white = 2**bits - 1
    named = {"x": true[..., 0], "y": true[..., 1], "z": true[..., 2]}
    planes = [named[word[-1]] * (-1 if word.startswith("-") else 1) for word in axes.split()]
    stored = np.nan_to_num((np.stack(planes, -1) + 1) / 2 * white, nan=white / 2).round()
    write_png(tmp_path / "n.png", stored.astype(f"uint{bits}"))
    read = Modality.of("normal", axes=axes).read(tmp_path / "n.png")
    assert read.dtype == np.float32
    assert np.isnan(read[2, 3]).all()
    np.testing.assert_allclose(read, true, atol=4 / white)
    lengths = np.linalg.norm(read, axis=2)
    np.testing.assert_allclose(lengths[np.isfinite(lengths)], 1, atol=1e-6)


def test_normals_of_float_files_and_what_is_none(tmp_path):
    true = unit_vectors()
    true[0, 0], true[0, 1] = (0, 0, 0), (2, 2, 2)
    np.save(tmp_path / "n.npy", true)
    read = Modality.of("normal").read(tmp_path / "n.npy")
    assert np.isnan(read[0, :2]).all()
    np.testing.assert_allclose(read[1:], true[1:], atol=1e-6)
    write_png(tmp_path / "n.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(DataError, match="1 channels; normals have three"):
        Modality.of("normal").read(tmp_path / "n.png")


def test_edges_of_files(tmp_path):
    for bits in (8, 16):
        white = 2**bits - 1
        write_png(tmp_path / "e.png", np.array([[0, white // 3, white]], f"uint{bits}"))
        read = Modality.of("edge").read(tmp_path / "e.png")
        np.testing.assert_allclose(read, [[0, 1 / 3, 1]], atol=1e-6)
    np.save(tmp_path / "e.npy", np.array([[0, 0.5, np.nan]]))
    np.testing.assert_array_equal(Modality.of("edge").read(tmp_path / "e.npy"), [[0, 0.5, np.nan]])
    np.save(tmp_path / "e.npy", np.array([[0.0, 700.0]]))
    with pytest.raises(DataError, match=r"e\.npy: an edge has a strength of 0 to 1.*700.*unit"):
        Modality.of("edge").read(tmp_path / "e.npy")
    scaled = Modality.of("edge", unit=1 / 700, missing=0).read(tmp_path / "e.npy")
    np.testing.assert_array_equal(scaled, [[np.nan, 1]])


def test_edges_and_images_of_booleans_are_black_and_white_like_those_of_one_bit(tmp_path):
    edges = np.eye(4, 5, dtype=bool)
    np.save(tmp_path / "e.npy", edges)
    np.savez(tmp_path / "e.npz", edges=edges)
    for name in ("e.npy", "e.npz"):
        np.testing.assert_array_equal(Modality.of("edge").read(tmp_path / name), edges)
        image = Modality.of("image", channels=1).read(tmp_path / name)
        np.testing.assert_array_equal(image, 255 * edges)
        # Numbers stay numbers.
        np.testing.assert_array_equal(Modality.of("continuous").read(tmp_path / name), edges)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32"])
def test_integers_of_which_nobody_knows_white_are_neither_edges_nor_normals(tmp_path, dtype):
    edges = np.eye(4, 5).astype(dtype)
    np.save(tmp_path / "e.npy", edges)
    with pytest.raises(DataError, match=rf"e\.npy: holds {dtype}, of which nothing .* set unit"):
        Modality.of("edge").read(tmp_path / "e.npy")
    np.testing.assert_array_equal(Modality.of("edge", unit=1).read(tmp_path / "e.npy"), edges)
    np.save(tmp_path / "n.npy", np.round(unit_vectors() * 127).astype(dtype))
    with pytest.raises(DataError, match=rf"n\.npy: holds {dtype}; normals are integers of 8 or 16"):
        Modality.of("normal").read(tmp_path / "n.npy")


@pytest.mark.parametrize("bits", [8, 16])
def test_edges_of_0_and_1_in_integers_are_no_strengths(tmp_path, bits):
    write_png(tmp_path / "e.png", np.eye(4, 5).astype(f"uint{bits}"))
    field, meant = Modality.of("edge"), Modality.of("edge", unit=1)
    assert "say unit: 1" in field.field_kind.impossible(field.read(tmp_path / "e.png"))
    assert not field.field_kind.impossible(meant.read(tmp_path / "e.png"))
    write_png(tmp_path / "e.png", 2 * np.eye(4, 5).astype(f"uint{bits}"))
    assert not field.field_kind.impossible(field.read(tmp_path / "e.png"))
    assert not field.field_kind.impossible(np.zeros((4, 5), np.float32))


def test_continuous_values_of_files(tmp_path):
    values = generator.normal(size=(6, 7, 2)).astype(np.float32)
    np.save(tmp_path / "c.npy", values)
    field = Modality.of("continuous", 2, mean=[1, 2], std=[2, 4], scale=3.0)
    read = field.read(tmp_path / "c.npy")
    np.testing.assert_array_equal(read, values)
    expected = (3 * values - (1, 2)) / (2, 4)
    np.testing.assert_allclose(field.to_target(read).transpose(1, 2, 0), expected, rtol=1e-5)
    np.testing.assert_allclose(field.to_network(read), field.to_target(read))
    np.testing.assert_allclose(field.from_network(field.to_network(read)), values, atol=1e-5)
    thermal = Modality.of("continuous", 1, unit=0.01, missing=65535)
    write_png(tmp_path / "t.png", np.array([[2731, 65535]], np.uint16))
    np.testing.assert_allclose(thermal.read(tmp_path / "t.png"), [[27.31, np.nan]], rtol=1e-6)


def test_labels_as_ground_truth_and_as_an_input(tmp_path):
    labels = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write_png(tmp_path / "l.png", labels)
    field = Modality.of("label", 3)
    read = field.read(tmp_path / "l.png")
    truth = field.to_target(read)
    assert truth.dtype == np.int64
    np.testing.assert_array_equal(truth, labels)
    planes = field.to_network(read)
    assert planes.shape == (3, 2, 3)
    np.testing.assert_array_equal(planes.sum(0), labels != 255)
    known = labels != 255
    np.testing.assert_array_equal(field.from_network(planes)[known], labels[known])
    with pytest.raises(DataError, match="as many channels as there are classes"):
        Modality.of("label").to_network(read)


def test_ground_truth_of_images_is_from_minus_one_to_one():
    image = np.array([[[0, 255, 51]]], np.uint8)
    np.testing.assert_allclose(Modality.of("image").to_target(image).ravel(), [-1, 1, -0.6])
    deep = np.array([[[0, 65535, 13107]]], np.uint16)
    truth = Modality.of("image", bits=16).to_target(deep).ravel()
    np.testing.assert_allclose(truth, [-1, 1, -0.6], atol=1e-6)


@pytest.mark.parametrize("kind", ["depth", "normal", "edge", "continuous"])
def test_ground_truth_keeps_what_is_missing(kind):
    channels = 3 if kind == "normal" else 1
    values = np.full((4, 5, channels), 0.5, np.float32)
    values[1, 2] = np.nan
    raw = values if kind == "normal" else values[..., 0]
    truth = Modality.of(kind, channels).to_target(raw)
    assert truth.shape == (channels, 4, 5)
    assert truth.dtype == np.float32
    assert np.isnan(truth[:, 1, 2]).all()
    assert np.isnan(truth).sum() == channels


FIELDS = {
    "depth": Modality.of("depth"),
    "normal": Modality.of("normal"),
    "edge": Modality.of("edge"),
    "curvature": Modality.of("continuous", 2),
    "segmentation": Modality.of("label"),
    "albedo": Modality.of("image"),
}


def whole_sample(size=(24, 32)) -> dict:
    shape = size
    return {
        "rgb": generator.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "depth": generator.uniform(1, 5, shape).astype(np.float32),
        "normal": unit_vectors(shape),
        "edge": generator.random(shape).astype(np.float32),
        "curvature": generator.normal(size=(*shape, 2)).astype(np.float32),
        "segmentation": generator.integers(0, 9, shape).astype(np.uint8),
        "albedo": generator.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "name": "one",
    }


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(5, 60), st.integers(5, 60)),
    st.sampled_from([None, 25.0]),
    st.integers(0, 2**32 - 1),
)
def test_padding_of_every_target_is_marked_at_the_same_pixels(crop, turn, seed):
    """NaN and ignore_index, so that no loss sees what a crop or a turn made up."""
    transform = train_transform(
        {"rgb": Modality.of("image", fill=-7.0)},
        targets=FIELDS,
        shorter_side=None,
        scale=(0.7, 1.5),
        rotate=turn,
        crop=crop,
        ignore_index=254,
    )
    result = transform(whole_sample(), np.random.default_rng(seed))
    padding = result["segmentation"] == 254
    assert result["segmentation"].dtype == torch.int64
    assert (result["rgb"][:, padding] == -7).all()
    for name, field in FIELDS.items():
        if field.kind == "label":
            continue
        values = result[name]
        assert values.dtype == torch.float32
        assert values.shape == (field.channels, *crop)
        assert torch.isnan(values[:, padding]).all()
        # Along the border of what a turn does not reach pixels may be missing, too.
        missing, inside = torch.isnan(values[:, ~padding]).any(0).sum(), (~padding).sum()
        assert missing <= (inside / 2 + sum(crop) if turn else 0)
    known = result["normal"][:, ~torch.isnan(result["normal"][0])]
    torch.testing.assert_close(known.norm(dim=0), torch.ones(known.shape[1]), atol=1e-4, rtol=0)
    assert result["edge"].nan_to_num(0.5).min() >= 0
    assert result["edge"].nan_to_num(0.5).max() <= 1


def test_mirrored_normals_point_the_other_way():
    sample = whole_sample()
    result = Transform({"rgb": Modality.of("image")}, targets=FIELDS, flip=1.0)(
        sample, np.random.default_rng(0)
    )
    mirrored = result["normal"].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(mirrored, sample["normal"][:, ::-1] * (-1, 1, 1))
    np.testing.assert_array_equal(result["segmentation"], sample["segmentation"][:, ::-1])
    twice = Modality.of("normal")
    np.testing.assert_array_equal(twice.mirror(twice.mirror(sample["normal"])), sample["normal"])


def test_depth_is_divided_by_the_zoom_on_demand():
    sample = {"depth": np.full((20, 30), 4.0, np.float32), "rgb": whole_sample((20, 30))["rgb"]}
    raw = Modality.of("depth", mean=[0], std=[1])
    for divide, expected in ((True, 2.0), (False, 4.0)):
        transform = Transform({"depth": raw}, scale=(2.0, 2.0), divide_depth=divide)
        result = transform({"depth": sample["depth"]}, np.random.default_rng(0))
        assert torch.unique(result["depth"]).tolist() == [expected]
        truth = Transform(
            {"rgb": Modality.of("image")},
            targets={"depth": raw},
            scale=(2.0, 2.0),
            divide_depth=divide,
        )(sample, np.random.default_rng(0))
        assert torch.unique(truth["depth"]).tolist() == [expected]


def test_turning_draws_no_other_numbers():
    """A run that does not turn sees the same crops as one that does not know of turning."""
    sample = {"rgb": whole_sample()["rgb"]}
    plain = Transform({"rgb": Modality.of("image")}, scale=(0.8, 1.2), crop=(8, 8), flip=0.5)
    still = Transform(
        {"rgb": Modality.of("image")}, scale=(0.8, 1.2), crop=(8, 8), flip=0.5, rotate=0.0
    )
    for seed in range(5):
        one, two = (t(sample, np.random.default_rng(seed))["rgb"] for t in (plain, still))
        assert torch.equal(one, two)
    with pytest.raises(ConfigError, match="rotate: 200"):
        Transform({"rgb": Modality.of("image")}, rotate=200)


def test_a_picture_of_every_kind():
    sample = whole_sample()
    for name, field in {**FIELDS, "rgb": Modality.of("image")}.items():
        picture = field.picture(sample[name])
        if field.kind in ("depth", "label"):
            assert picture is sample[name]
        else:
            assert picture.shape == (24, 32, 3)
            assert picture.dtype == np.uint8
            assert picture.std() > 0
    grey = sample["rgb"][..., 0]
    np.testing.assert_array_equal(Modality.of("image", 1).picture(grey)[..., 1], grey)
    thermal = np.full((4, 4), np.nan, np.float32)
    assert (Modality.of("continuous", 1).picture(thermal) == 0).all()


def test_old_metadata_is_read():
    """As checkpoints of the first version hold it."""
    old = {
        "kind": "depth", "channels": 1, "unit": 0.001, "missing": 0.0, "scale": 1.0,
        "mean": [3.0], "std": [1.25], "fill": 0.0, "interpolation": "nearest",
    }  # fmt: skip
    assert Modality.from_dict(old) == Modality.of("depth")
    image = {
        "kind": "image", "channels": 3, "unit": 1.0, "missing": 0.0, "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "fill": 0.0,
        "interpolation": "cubic",
    }  # fmt: skip
    field = Modality.from_dict(image)
    colours = generator.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(
        field.to_network(colours), Modality.of("image").to_network(colours)
    )


@pytest.mark.parametrize("name", FIELDS)
def test_ground_truth_comes_back(name):
    field, values = FIELDS[name], whole_sample()[name]
    back = field.from_target(field.to_target(values))
    assert back.shape == values.shape
    np.testing.assert_allclose(back, values, atol=1e-6)


def test_every_kind_is_plotted_raw_and_transformed():
    """Inputs, ground truth, an encoding with colours, a label, bands; the camera is no picture."""
    sample = {**whole_sample(), "intrinsics": np.array([[30.0, 0, 15], [0, 30, 11], [0, 0, 1]])}
    sample["thermal"] = generator.random((24, 32, 5)).astype(np.float32)
    modalities = {
        "rgb": Modality.of("image"),
        "depth": Modality.of("depth", 3, encoding="hha"),
        "thermal": Modality.of("continuous", 5),
    }
    targets = {name: field for name, field in FIELDS.items() if name not in modalities}
    palette = generator.integers(0, 256, (9, 3)).astype(np.uint8)
    labels = {"segmentation": Classes(tuple(map(str, range(9))), palette)}
    transformed = Transform(modalities, targets=targets, crop=(20, 40))(
        sample, np.random.default_rng(0)
    )
    for one in (sample, transformed):
        figure = plot_sample(one, modalities, targets, labels)
        titles = {axis.get_title() for axis in figure.axes} - {""}
        assert titles == {*modalities, *targets}
        figure.canvas.draw()


@pytest.mark.parametrize(
    "field",
    [
        Modality.of("normal", mean=[0.1, 0.2, -0.5], std=[0.5, 0.7, 0.3]),
        Modality.of("depth", 3, encoding="normals", intrinsics=(30, 30, 15.5, 11.5)),
        Modality.of("depth"),
        Modality.of("image"),
    ],
    ids=lambda field: f"{field.kind} {field.encoding}",
)
def test_a_mirrored_batch_is_what_the_network_sees_of_a_mirrored_scene(field):
    """Evaluation with flip mirrors numbers, training raw values: they must mean the same."""
    sample = whole_sample()
    raw = sample["albedo" if field.kind == "image" else field.kind]
    numbers = torch.from_numpy(field.to_network(raw))[None]
    if field.encoding == "normals":  # what is mirrored in training are the encoded values
        expected = field.normalise(field.mirror(field.prepare(raw)))
    else:
        expected = field.to_network(field.mirror(raw))
    torch.testing.assert_close(mirror(numbers, field)[0], torch.from_numpy(expected))
    assert torch.equal(mirror(numbers, None), numbers.flip(-1))
