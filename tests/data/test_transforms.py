import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.data import Modality, Transform, eval_transform, train_transform
from cen.errors import ConfigError, DataError

# Modalities whose network values are the raw ones, so that a pixel can be followed.
RAW = Modality.of(
    "image", scale=1.0, mean=[0, 0, 0], std=[1, 1, 1], fill=-1.0, interpolation="nearest"
)
METRES = Modality.of("depth", mean=[0], std=[1], fill=-1.0)
MODALITIES = {"rgb": RAW, "depth": METRES}


def make_sample(height=20, width=30):
    """A sample in which every modality says where a pixel came from."""
    rows, columns = np.mgrid[:height, :width]
    return {
        "rgb": np.stack((rows, columns, rows), -1).astype(np.uint8),
        "depth": (rows * 1000 + columns).astype(np.float32),
        "segmentation": ((rows * 7 + columns) % 200).astype(np.uint8),
        "name": "made",
    }


def assert_aligned(result, ignore=255):
    """Modalities and labels show the same pixel everywhere; padding is marked in all of them."""
    rows, columns = result["rgb"][0].long(), result["rgb"][1].long()
    padding = result["segmentation"] == ignore
    inside = ~padding
    assert torch.equal(result["depth"][0].long()[inside], (rows * 1000 + columns)[inside])
    assert torch.equal(result["segmentation"][inside], ((rows * 7 + columns) % 200)[inside])
    assert (result["rgb"][:, padding] == -1).all()
    assert (result["depth"][:, padding] == -1).all()
    return inside


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.integers(0, 2**32 - 1),
)
def test_geometry_is_joint_for_any_size(size, crop, seed):
    transform = train_transform(MODALITIES, shorter_side=None, crop=crop)
    result = transform(make_sample(*size), np.random.default_rng(seed))
    assert result["rgb"].shape == (3, *crop)
    assert result["depth"].shape == (1, *crop)
    assert result["segmentation"].shape == crop
    assert assert_aligned(result).any()


@pytest.mark.parametrize("kind", ["array", "tensor", "channels first"])
def test_a_picture_that_would_stay_where_it_is_is_refused(kind):
    """Labels of another name than those that are known by themselves are named as targets."""
    sample = make_sample()
    labels = sample.pop("segmentation")
    made = {"tensor": torch.from_numpy(labels), "channels first": labels[None]}
    sample["surface"] = made.get(kind, labels)
    sample["weights"] = np.ones(3)  # no picture
    with pytest.raises(DataError, match=r"surface: .*targets=data\.targets"):
        train_transform(MODALITIES, crop=(8, 8))(sample, np.random.default_rng(0))
    sample["surface"] = labels
    told = train_transform(MODALITIES, targets={"surface": Modality.of("label")}, crop=(8, 8))
    result = told(sample, np.random.default_rng(0))
    assert result["surface"].shape == (8, 8)
    assert result["weights"].shape == (3,)


def test_types_and_what_is_passed_on():
    result = train_transform(MODALITIES, crop=(8, 8))(make_sample(), np.random.default_rng(0))
    assert result["rgb"].dtype == result["depth"].dtype == torch.float32
    assert result["segmentation"].dtype == torch.int64
    assert result["name"] == "made"


def test_evaluation_keeps_every_pixel():
    sample = make_sample()
    result = eval_transform(MODALITIES)(sample)
    np.testing.assert_array_equal(result["rgb"].numpy().transpose(1, 2, 0), sample["rgb"])
    np.testing.assert_array_equal(result["segmentation"].numpy(), sample["segmentation"])
    assert assert_aligned(result).all()


def test_a_sample_without_labels_is_fine_for_prediction():
    sample = make_sample()
    del sample["segmentation"]
    assert set(eval_transform(MODALITIES)(sample)) == {"rgb", "depth", "name"}


def test_mirror_turns_left_and_right_for_half_of_the_samples():
    transform = Transform(MODALITIES, flip=0.5)
    mirrored = 0
    for seed in range(200):
        result = transform(make_sample(), np.random.default_rng(seed))
        assert_aligned(result)
        mirrored += int(result["rgb"][1, 0, 0] == 29)
    assert 75 < mirrored < 125


def test_the_shorter_side_reaches_its_least_length():
    transform = Transform(MODALITIES, scale=(0.5, 2.0), shorter_side=25)
    sizes = [
        transform(make_sample(), np.random.default_rng(seed))["rgb"].shape[1:]
        for seed in range(100)
    ]
    assert min(min(size) for size in sizes) == 25
    assert max(min(size) for size in sizes) > 36
    for height, width in sizes:
        assert abs(width / height - 1.5) < 0.06


def test_a_small_picture_is_padded_on_both_sides():
    result = Transform(MODALITIES, crop=(30, 40))(make_sample(), np.random.default_rng(0))
    inside = assert_aligned(result)
    assert inside.sum() == 20 * 30
    rows, columns = torch.nonzero(inside, as_tuple=True)
    assert rows.min() == 5
    assert rows.max() == 24
    assert columns.min() == 5
    assert columns.max() == 34


def test_every_crop_position_occurs():
    transform = Transform(MODALITIES, crop=(18, 30))
    tops = {
        int(transform(make_sample(), np.random.default_rng(seed))["rgb"][0, 0, 0])
        for seed in range(60)
    }
    assert tops == {0, 1, 2}


def test_the_generator_decides_alone():
    transform = train_transform(MODALITIES, shorter_side=15, crop=(16, 16))
    one, two, other = (
        transform(make_sample(), np.random.default_rng(seed))["depth"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="pass rng"):
        transform(make_sample())


def test_padding_is_the_mean_colour_for_real_modalities():
    real = {"rgb": Modality.of("image"), "depth": Modality.of("depth")}
    result = Transform(real, crop=(40, 40))(make_sample(), np.random.default_rng(0))
    assert (result["rgb"][:, 0, 0] == 0).all()
    assert result["depth"][0, 0, 0] == 0
    assert result["segmentation"][0, 0] == 255


def test_holes_do_not_spread():
    sample = make_sample()
    sample["depth"][4:8, 5:9] = np.nan
    result = Transform(MODALITIES, scale=(2.0, 2.0))(sample, np.random.default_rng(0))
    assert (result["depth"] == -1).sum() == 4 * 4 * 4


def test_wrong_samples_and_settings_are_named():
    sample = make_sample()
    with pytest.raises(DataError, match=r"sample made: sizes differ: .*depth \(10, 30\)"):
        eval_transform(MODALITIES)({**sample, "depth": sample["depth"][:10]})
    with pytest.raises(DataError, match="no 'depth'"):
        eval_transform(MODALITIES)({"rgb": sample["rgb"]})
    for wrong, message in (
        ({"scale": (2.0, 0.5)}, "scale"),
        ({"crop": (0, 5)}, "crop"),
        ({"shorter_side": 0}, "shorter_side"),
        ({"flip": 1.5}, "flip"),
    ):
        with pytest.raises(ConfigError, match=message):
            Transform(MODALITIES, **wrong)
    with pytest.raises(ConfigError, match="at least one"):
        Transform({})


def test_the_shorter_side_counts_without_a_random_scale():
    modalities = {"rgb": Modality.of("image")}
    transform = Transform(modalities, scale=None, shorter_side=60, flip=False, crop=None)
    sample = {"rgb": np.zeros((30, 40, 3), np.uint8), "segmentation": np.zeros((30, 40), np.uint8)}
    result = transform(sample, np.random.default_rng(0))
    assert result["rgb"].shape == (3, 60, 80)
    assert result["segmentation"].shape == (60, 80)


def test_resize_comes_first_and_in_evaluation_too():
    sample = make_sample(40, 60)
    whole = eval_transform(MODALITIES, resize=(20, 30))(sample)
    assert whole["rgb"].shape == (3, 20, 30)
    assert whole["segmentation"].shape == (20, 30)
    assert_aligned(whole)
    # 286 / 256 of the released translation: the zoom is relative to the size asked for.
    options = {"scale": (1.1, 1.1), "shorter_side": None, "crop": (20, 30), "flip": False}
    train = train_transform(MODALITIES, resize=(20, 30), **options)
    cropped = train(sample, np.random.default_rng(0))
    assert cropped["rgb"].shape == (3, 20, 30)
    assert cropped["rgb"][0].max() - cropped["rgb"][0].min() < 39
    with pytest.raises(ConfigError, match="resize"):
        eval_transform(MODALITIES, resize=(0, 3))


def test_depth_is_divided_by_the_zoom_alone():
    sample = make_sample(40, 60)
    plain = eval_transform(MODALITIES, resize=(20, 30))(sample)
    options = {"scale": None, "shorter_side": None, "crop": None, "flip": False}
    divided = train_transform(MODALITIES, resize=(20, 30), divide_depth=True, **options)
    assert torch.equal(divided(sample, np.random.default_rng(0))["depth"], plain["depth"])


def test_depth_that_inputs_see_as_normals_is_mirrored_and_turned_as_ground_truth() -> None:
    depth = np.linspace(1.0, 4.0, 32 * 40, dtype=np.float32).reshape(32, 40)
    encoded = Modality.of("depth", encoding="normals", intrinsics=[40, 40, 20, 16])
    mirrored = Transform({}, labels=(), targets={"depth": encoded}, flip=1.0)
    found = mirrored({"depth": depth}, np.random.default_rng(0))["depth"]
    np.testing.assert_array_equal(found[0].numpy(), depth[:, ::-1])
    turned = Transform({}, labels=(), targets={"depth": encoded}, rotate=20.0)
    plain = Transform({}, labels=(), targets={"depth": Modality.of("depth")}, rotate=20.0)
    np.testing.assert_array_equal(
        turned({"depth": depth}, np.random.default_rng(1))["depth"].numpy(),
        plain({"depth": depth}, np.random.default_rng(1))["depth"].numpy(),
    )
