"""The data benchmark compares pipelines that do the same; no test asserts a time."""

import numpy as np
import pytest

from cen import cli
from cen.bench.bench_data import NAMES, bench_data, pil_sample, pipelines
from cen.data import NYUDv2Folder, sample_rng, train_transform, write_rooms
from cen.errors import ConfigError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms"), size=(48, 64), train=4, test=1)


def test_the_plain_pipeline_gives_the_same_samples_but_for_its_interpolation(root):
    dataset = NYUDv2Folder(root, "train", validation=0.0)
    # 500 pixels: more than these pictures have, so that all of them are padded, too.
    for crop, scale in (((40, 40), (0.5, 2.0)), ((50, 50), (1.0, 1.0)), ((500, 500), (0.9, 1.1))):
        transform = train_transform(
            dataset.modalities, targets=dataset.targets, shorter_side=35, scale=scale, crop=crop
        )
        dataset.transform = transform
        for index in range(4):
            ours = dataset[(1, index)]
            plain = pil_sample(dataset.files(index), transform, sample_rng(0, 1, index))
            found = {name: (ours[name].numpy(), plain[name]) for name in plain}
            assert all(a.shape == b.shape for a, b in found.values())
            labels, depth, rgb = (found[name] for name in ("segmentation", "depth", "rgb"))
            if scale == (1.0, 1.0):
                np.testing.assert_array_equal(*labels)
                np.testing.assert_allclose(*depth, atol=1e-5)
                np.testing.assert_allclose(*rgb, atol=1e-5)
            # Pillow takes the nearest pixel by centres, OpenCV by corners: a neighbour's value.
            assert (labels[0] == labels[1]).mean() > 0.9
            assert np.median(np.abs(depth[0] - depth[1])) < 0.1
            assert np.abs(rgb[0] - rgb[1]).mean() < 0.15


def test_the_pipelines_read_the_same_files(root):
    made = pipelines(root)
    assert tuple(made) == NAMES
    assert [array.shape for array in made["decode"](0, 0)] == [(48, 64, 3), (48, 64), (48, 64)]
    assert made["cen"](0, 0)["rgb"].shape == made["pil"](0, 0)["rgb"].shape == (3, 500, 500)


def test_few_rounds_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match="at least 6"):
        bench_data(tmp_path, rounds=5)
    assert cli.main(["bench", "data", str(tmp_path), "--rounds", "5"]) == 2
    assert "--rounds 5: give a whole number between 6" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
