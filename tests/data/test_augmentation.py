"""Augmentation of single inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cen.data import Modality, train_transform
from cen.data.augmentation import changed_picture, changed_values
from cen.errors import ConfigError
from cen.options.augmentation_options import AugmentConfig

RGB, DEPTH = Modality.of("image"), Modality.of("depth", 1)
SAMPLE = {
    "rgb": np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8),
    "depth": np.full((40, 60), 2.0, np.float32),
    "segmentation": np.zeros((40, 60), np.int64),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def transformed(seed: int = 0, **augment: AugmentConfig) -> dict[str, Any]:
    transform = train_transform(
        {"rgb": RGB, "depth": DEPTH}, crop=(32, 32), scale=(0.8, 1.5), augment=augment
    )
    return transform(SAMPLE, rng(seed))


ALL = AugmentConfig(
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur=2.0, noise=0.1, patches=3
)


def test_one_input_alone_is_changed_and_the_generator_decides() -> None:
    plain, changed = transformed(), transformed(rgb=ALL)
    for name in ("depth", "segmentation"):
        assert torch.equal(plain[name], changed[name]), name
    assert not torch.equal(plain["rgb"], changed["rgb"])
    assert torch.equal(changed["rgb"], transformed(rgb=ALL)["rgb"])
    assert not torch.equal(changed["rgb"], transformed(1, rgb=ALL)["rgb"])
    both = transformed(rgb=ALL, depth=AugmentConfig(noise=0.1, holes=0.3))
    assert torch.equal(both["rgb"], changed["rgb"])
    assert not torch.equal(both["depth"], plain["depth"])
    off = transformed(rgb=AugmentConfig(), depth=AugmentConfig(patch_size=0.5))
    assert all(torch.equal(off[name], plain[name]) for name in plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_light_changes_as_much_as_is_said(dtype: Any) -> None:
    white = np.iinfo(dtype).max
    picture = np.full((8, 8, 3), white // 4, dtype)
    field = Modality.of("image", bits=8 * dtype().itemsize)
    how = AugmentConfig(brightness=0.5)
    means = [changed_picture(picture, how, field, rng(seed)).mean() for seed in range(200)]
    assert 0.125 * white <= min(means) < 0.15 * white
    assert 0.35 * white < max(means) <= 0.38 * white
    same = changed_picture(picture, AugmentConfig(contrast=0.9, saturation=0.9), field, rng())
    assert same.dtype == dtype
    np.testing.assert_array_equal(same, picture)  # grey and flat: there is nothing to change


def test_colours_keep_their_brightness_and_turn() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    turned = [
        changed_picture(red, AugmentConfig(hue=0.5), RGB, rng(seed))[0, 0] for seed in range(60)
    ]
    assert all(pixel.max() in (199, 200, 201) and pixel.min() <= 1 for pixel in turned)
    assert {int(pixel.argmax()) for pixel in turned} == {0, 1, 2}
    blurred = changed_picture(SAMPLE["rgb"], AugmentConfig(blur=3.0), RGB, rng())
    assert blurred.std() < 0.5 * SAMPLE["rgb"].std()


def test_depth_gets_noise_by_its_distance_and_holes_in_blobs() -> None:
    near, far = np.full((64, 64), 1.0, np.float32), np.full((64, 64), 10.0, np.float32)
    noise = AugmentConfig(noise=0.02)
    spreads = [changed_values(d, noise, DEPTH, rng()).std() for d in (near, far)]
    assert spreads[1] == pytest.approx(10 * spreads[0], rel=1e-3)
    assert 0 < spreads[0] < 0.02
    holed = [
        np.isnan(changed_values(near, AugmentConfig(holes=0.4), DEPTH, rng(seed)))
        for seed in range(60)
    ]
    shares = [float(one.mean()) for one in holed]
    assert 0 <= min(shares) < 0.05
    assert 0.35 < max(shares) <= 0.41
    edges = sum(int((one[:, 1:] != one[:, :-1]).sum()) for one in holed)
    assert edges < 0.2 * sum(int(one.sum()) for one in holed), "holes are single pixels"
    assert not np.isnan(near).any()


def test_a_failing_sensor_shows_nothing_in_rectangles() -> None:
    fill = Modality.of("depth", 1, fill=7.0)
    transform = train_transform(
        {"depth": fill}, crop=None, scale=None, shorter_side=None, flip=False,
        augment={"depth": AugmentConfig(patches=2, patch_size=0.5)},
    )  # fmt: skip
    alone = {"depth": SAMPLE["depth"]}
    gone = [(transform(alone, rng(seed))["depth"] == 7.0).float().mean() for seed in range(60)]
    assert min(gone) == 0
    assert 0.2 < max(gone) <= 0.5


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("depth", {"hue": 0.1}, "augment.hue: is for images of three channels"),
        ("depth", {"blur": 1.0}, "augment.blur: is for kind image"),
        ("rgb", {"holes": 0.1}, "augment.holes: is for kind depth and continuous"),
        ("thermal", {"noise": 0.1}, "augment: is for inputs, which thermal is not"),
    ],
)
def test_what_means_nothing_for_a_field_is_refused(
    name: str, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"data.modalities.{name}.{said}"):
        transformed(**{name: AugmentConfig(**how)})
