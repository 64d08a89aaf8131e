"""Training on data sets of one's own in memory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.toy import Blocks, same, tensors, toy_network
from torch.utils.data import Dataset, IterableDataset

import cen
from cen.cli import main
from cen.errors import CenError, ConfigError
from cen.training.own_data import CheckedSamples

SHORT = {"steps": 4, "batch_size": 2, "validate_every": 2, "log_every": 1, "accelerator": "cpu"}


class Own(Dataset[dict[str, Any]]):
    """Blocks by plain index, with random noise of every common kind; NumPy arrays and all."""

    def __init__(self, length: int = 6, **changed: Any) -> None:
        self.blocks, self.changed = Blocks(length), changed

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.blocks[index]
        noise = random.random() + np.random.rand() + float(torch.rand(()))  # noqa: NPY002
        sample["depth"] = sample["depth"].numpy() + noise
        sample["segmentation"] = sample["segmentation"].to(torch.uint8)
        return {**sample, "path": "of no concern", **self.changed}


def fit(folder: Path | None = None, **options: Any) -> Any:
    return cen.fit(
        toy_network(), Own(), Own(3), folder=folder, progress=False, **{**SHORT, **options}
    )


def test_a_data_set_of_dicts_is_trained_on_and_scored(tmp_path: Path) -> None:
    result = fit()
    assert result.folder is None
    assert 0 <= result.score == result.scores["segmentation"]["ensemble"]["mean_iou"] <= 1
    assert list(result.curves["train/loss"]) == [1, 2, 3, 4]
    assert "mean_iou" in result._repr_html_()
    assert not result.net.training

    fit(tmp_path / "parts", steps=2, schedule="constant")
    fit(tmp_path / "parts", resume=True, schedule="constant")
    fit(tmp_path / "whole", schedule="constant", workers=1)
    assert same(*(tensors(tmp_path / d / "last.safetensors") for d in ("whole", "parts")))
    with pytest.raises(ConfigError, match=r"train\.stepz"):
        cen.fit(toy_network(), Own(), stepz=1)


def test_reading_a_sample_leaves_the_common_generators_alone() -> None:
    data = CheckedSamples(Own(), toy_network(), "dataset", 0)
    before = random.getstate(), torch.get_rng_state()
    first, again, later = data[2, 1], data[2, 1], data[3, 1]
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.equal(first["depth"], again["depth"])
    assert not torch.equal(first["depth"], later["depth"])


def test_a_converted_network_is_trained_without_validation() -> None:
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 3, 1)
    )
    net = cen.convert(plain, {"rgb": 3, "depth": 1}, {"segmentation": 3})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = cen.fit(net, Own(), progress=False, **SHORT)
    assert result.net is net
    assert result.scores == {}
    assert result.score is None
    assert not same(before, net.state_dict())


class Stream(IterableDataset[Any]):
    """Has no length."""

    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Stream(), "dataset: .* has no length"),
        (Own(0), "dataset: is empty"),
        ([(1, 2)], r"dataset\[0\]: is .*give a dict"),
        ([{"rgb": torch.zeros(3, 32, 32)}], r"has no 'depth', only rgb"),
        (Own(rgb=[1]), r"dataset\[0\]\['rgb'\]: give a tensor or an array"),
        (Own(rgb=torch.zeros(3, 32, 32, dtype=torch.uint8)), "must be floating point.*255"),
        (Own(depth=torch.zeros(3, 32, 32)), r"\['depth'\]: must be \(1, H, W\), got \(3, 32, 32\)"),
        (Own(depth=torch.zeros(1, 16, 32)), r"\['depth'\]: is 16 × 32"),
        (Own(segmentation=torch.zeros(1, 32, 32).long()), r"must be \(H, W\) integers"),
        (Own(segmentation=torch.full((32, 32), 3)), r"segmentation'\] holds the label 3"),
    ],
)
def test_what_is_no_such_data_set_is_named(dataset: Any, said: str) -> None:
    with pytest.raises(CenError, match=said):
        cen.fit(toy_network(), dataset, progress=False, **SHORT)


def test_what_is_no_such_network_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cen.convert with outputs="):
        cen.fit(torch.nn.Conv2d(3, 3, 1), Own())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="resume needs the folder"):
        cen.fit(toy_network(), Own(), resume=True)


def test_a_run_of_a_call_is_gone_on_with_by_that_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    fit(folder, steps=2)
    with pytest.raises(ConfigError) as raised:
        fit(folder)
    assert "or go on with the run in it by: the same call and resume=True" in str(raised.value)
    assert "--" not in str(raised.value)
    before = tensors(folder / "last.safetensors")
    assert main(["train", "--resume", str(folder)]) == 2
    assert "cen.fit" in (told := capsys.readouterr().err)
    assert "resume=True" in told
    assert same(before, tensors(folder / "last.safetensors"))
    fit(folder, resume=True)


class Interrupting(Own):
    """The user presses Ctrl-C while a sample is read."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 3:
            raise KeyboardInterrupt
        return super().__getitem__(index)


@pytest.mark.parametrize("kept", [True, False])
def test_a_call_that_is_interrupted_says_what_is_left(tmp_path: Path, kept: bool) -> None:
    folder = tmp_path / "run" if kept else None
    left = r"with: the same call and resume=True" if kept else "without folder= nothing"
    with pytest.raises(KeyboardInterrupt, match=left):
        cen.fit(toy_network(), Interrupting(), folder=folder, progress=False, **SHORT)
