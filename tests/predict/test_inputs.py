"""What a prediction may be given: files, arrays, tensors, pictures, and lists of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cen.errors import ConfigError, DataError, StreamError
from cen.predict.predictor import Predictor


@pytest.fixture
def predictor(net):
    return Predictor(net)


def test_every_form_of_a_scene_predicts_the_same(predictor, scene) -> None:
    rgb = cv2.imread(str(scene["rgb"]))[..., ::-1].copy()
    metres = cv2.imread(str(scene["depth"]), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
    wanted = predictor(scene).labels
    forms = [
        {name: str(path) for name, path in scene.items()},
        {"rgb": rgb, "depth": metres},
        {"rgb": torch.from_numpy(rgb).permute(2, 0, 1), "depth": torch.from_numpy(metres)[None]},
        {"rgb": Image.open(scene["rgb"]), "depth": Image.open(scene["depth"])},
        {"rgb": Image.open(scene["rgb"]), "depth": torch.from_numpy(metres)},
    ]
    for number, form in enumerate(forms):
        np.testing.assert_array_equal(predictor(form).labels, wanted, err_msg=str(number))
    for found in predictor(forms):
        np.testing.assert_array_equal(found.labels, wanted)
    columns = {name: [form[name] for form in forms] for name in scene}
    assert len(predictor(columns)) == 5
    smaller = {"rgb": rgb[:40], "depth": metres[:40]}
    assert [one.labels.shape for one in predictor([scene, smaller])] == [(45, 61), (40, 61)]
    assert predictor([]) == []


def test_a_list_is_predicted_in_batches_of_one_size_and_the_same_modalities(
    predictor, scene, monkeypatch
) -> None:
    rng = np.random.default_rng(3)
    sizes = [(40, 61), (45, 61), (40, 61), (45, 61), (40, 61), (40, 61), (40, 61)]
    scenes = [
        {
            "rgb": rng.integers(0, 255, (*size, 3), dtype=np.uint8),
            "depth": rng.uniform(1, 4, size).astype(np.float32),
        }
        for size in sizes
    ]
    del scenes[5]["depth"]
    alone = [predictor(one, probabilities=True) for one in scenes]
    calls, run = [], predictor.batch

    def counted(group, **options):
        calls.append([(one.size, tuple(one.values)) for one in group])
        return run(group, **options)

    monkeypatch.setattr(predictor, "batch", counted)
    together = predictor(scenes, probabilities=True, batch=3)
    assert sorted(map(len, calls)) == [1, 1, 2, 3]
    assert all(len(set(group)) == 1 for group in calls)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-5)
        np.testing.assert_array_equal(other.picture, one.picture)
        assert (other.labels == one.labels).mean() > 0.99
    with pytest.raises(ConfigError, match="batch is 0; give a number of scenes"):
        predictor(scenes, batch=0)


def test_what_cannot_be_meant_is_refused(predictor, scene, tmp_path: Path) -> None:
    picture = Image.open(scene["rgb"])
    with pytest.raises(DataError, match=r"mode RGBA; give picture.convert\('RGB'\)"):
        predictor({"rgb": picture.convert("RGBA")})
    exif = Image.Exif()
    exif[0x0112] = 3
    picture.save(tmp_path / "turned.png", exif=exif)
    with pytest.raises(DataError, match="exif_transpose"):
        predictor({"rgb": Image.open(tmp_path / "turned.png")})
    with pytest.raises(DataError, match="uint8"):
        predictor({"rgb": torch.rand(3, 45, 61)})
    with pytest.raises(DataError, match="'rgb': give a file, an array"):
        predictor({"rgb": object()})
    with pytest.raises(StreamError, match="as many of each modality; there are: rgb 2, depth 1"):
        predictor({"rgb": [picture, picture], "depth": [scene["depth"]]})


def test_masked_pixels_are_missing_and_not_what_is_hidden_there(predictor, scene) -> None:
    depth = predictor.modalities["depth"].read(scene["depth"])
    hidden = np.zeros(depth.shape, dtype=bool)
    hidden[10:30] = True
    masked = np.ma.MaskedArray(np.where(hidden, 3.0, depth), hidden)
    one = predictor({**scene, "depth": masked}, probabilities=True)
    other = predictor({**scene, "depth": np.where(hidden, np.nan, depth)}, probabilities=True)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    picture = np.ma.MaskedArray(np.asarray(Image.open(scene["rgb"])))
    expected = predictor(scene, probabilities=True)
    found = predictor({**scene, "rgb": picture}, probabilities=True)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    picture[3, 4] = np.ma.masked
    with pytest.raises(DataError, match="'rgb': pixels of the array are masked, and uint8 has no"):
        predictor({**scene, "rgb": picture})
