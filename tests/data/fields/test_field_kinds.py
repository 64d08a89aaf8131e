"""The kinds of modality beside images and depth: files, geometry, ground truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.fields.vectors import unit_vectors

from cen.data import Modality, Transform, train_transform
from cen.data.plotting import plot_sample
from cen.data.readers.dataset_yaml import Classes
from cen.errors import ConfigError
from cen.predict.flips import mirror

generator = np.random.default_rng(0)


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
