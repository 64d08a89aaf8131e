"""What a configuration may say of outputs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cen.config import Config
from cen.errors import ConfigError, DataError
from cen.training.setup import build_network, metadata, open_dataset, tasks_of

ROOMS = {"layout": "rooms", "options": {"size": [32, 48], "train": 8, "test": 3}}
MODEL = {
    "encoder": "resnet18",
    "width": 4,
    "decoder_channels": 4,
    "decoder_norm": "batch",
    "inputs": {"rgb": 3},
}


def config_of(outputs: dict[str, Any], **data: Any) -> Config:
    return Config.from_dict(
        {"data": ROOMS | data, "model": MODEL | {"outputs": outputs}, "train": {"batch_size": 2}}
    )


def test_tasks_take_classes_and_channels_from_the_data() -> None:
    config = config_of(
        {
            "segmentation": {"kind": "segmentation"},
            "depth": {"kind": "depth"},
            "edge_texture": {"kind": "edge", "channels": 1},
            "principal_curvature": {"kind": "image"},
        }
    )
    dataset = open_dataset(config, "train")
    tasks = tasks_of(config, dataset)
    assert {name: task.channels for name, task in tasks.items()} == {
        "segmentation": 15,
        "depth": 1,
        "edge_texture": 1,
        "principal_curvature": 2,
    }
    net = build_network(config, tasks)
    assert [head.out_channels for head in net.heads.values()] == [15, 1, 1, 2]
    sample = dataset[0]
    assert {name: tuple(sample[name].shape) for name in tasks} == {
        "segmentation": (32, 48),
        "depth": (1, 32, 48),
        "edge_texture": (1, 32, 48),
        "principal_curvature": (2, 32, 48),
    }
    facts = metadata(dataset)
    assert list(facts["preprocessing"]) == ["rgb"]
    assert list(facts["classes"]) == list(facts["palette"]) == ["segmentation"]
    assert list(facts["targets"]) == ["depth", "edge_texture", "principal_curvature"]


def test_one_segmentation_is_the_default() -> None:
    assert list(Config().model.outputs) == ["segmentation"]
    assert Config().model.outputs["segmentation"].kind == "segmentation"
    assert "targets" not in metadata(open_dataset(config_of({"segmentation": {}}), "train"))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, r"model\.outputs: is empty"),
        ({"a": {"kind": "normals"}}, r"outputs\.a\.kind: 'normals'.*did you mean normal"),
        ({"rgb": {"kind": "image"}}, r"model\.outputs\.rgb: is an input, too"),
        ({"depth": {"kind": "depth", "weight": 0}}, r"outputs\.depth\.weight: 0.*above 0"),
        ({"depth": {"kind": "depth", "channels": 3}}, r"kind depth has 1"),
        ({"a": {"kind": "image", "channels": 0}}, r"outputs\.a\.channels: 0"),
        ({"a": {"kin": "depth"}}, r"outputs\.a\.kin: is no key.*did you mean kind"),
    ],
)
def test_impossible_outputs_are_refused(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(outputs)


def test_several_outputs_need_norms_in_the_decoder() -> None:
    two = {"depth": {"kind": "depth"}, "normal": {"kind": "normal"}}
    plain = MODEL | {"outputs": two, "decoder_norm": "none"}
    with pytest.raises(ConfigError, match=r"decoder_norm: none.*task_streams shared"):
        Config.from_dict({"model": plain})
    Config.from_dict({"model": plain | {"task_streams": "shared"}})


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"depht": {"kind": "depth"}}, r"model\.outputs\.depht: no field.*did you mean 'depth'"),
        ({"normal": {"kind": "depth"}}, r"outputs\.normal\.kind: depth.*is of kind normal"),
        ({"segmentation": {"channels": 7}}, r"segmentation\.channels: 7.*have 15 classes"),
    ],
)
def test_outputs_that_do_not_fit_the_data_are_refused(
    outputs: dict[str, Any], message: str
) -> None:
    config = config_of(outputs)
    with pytest.raises(ConfigError, match=message):
        tasks_of(config, open_dataset(config, "train"))


def test_two_tasks_of_one_name_are_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "model:\n  outputs:\n    depth: {kind: depth}\n    normal: {kind: normal}\n"
        "    depth: {kind: edge}\n"
    )
    with pytest.raises(
        ConfigError, match=r"a\.yaml, line 5: model\.outputs\.depth: was given in line 3 already"
    ):
        Config.load(path)
    with pytest.raises(ConfigError, match=r"--model\.outputs.*a: was given in line 1 already"):
        Config.from_dict({}, {"model.outputs": "{a: {kind: depth}, a: {kind: edge}}"})


def test_partly_annotated_rooms() -> None:
    options = ROOMS["options"] | {"train": 60, "annotated": {"depth": 0.3}}  # type: ignore[operator]
    config = config_of({"segmentation": {}, "depth": {"kind": "depth"}}, options=options)
    dataset = open_dataset(config, "train")
    having = ["depth" in dataset.annotated(i) for i in range(len(dataset))]
    assert 0.1 < sum(having) / len(having) < 0.5
    assert ["depth" in dataset[i] for i in range(6)] == having[:6]
    test = open_dataset(config, "test")
    assert all("depth" in test.annotated(i) for i in range(len(test)))
    assert not test.partial


@pytest.mark.parametrize(
    ("annotated", "message"),
    [
        ({"depht": 0.3}, "depht is no field"),
        ({"depth": 1.3}, "depth is 1\\.3; expected: 0 to 1"),
        ({"depth": "many"}, "depth is many; expected: number"),
        ({"depth": True}, "depth is True; expected: number"),
        (0.3, "annotated is 0.3; expected: mapping"),
        (["depth"], "is a list; expected: mapping"),
        ({"rgb": 0.3}, "rgb is an input here"),
    ],
)
def test_shares_that_are_none_are_refused(annotated: object, message: str) -> None:
    wrong = config_of({"segmentation": {}}, options=ROOMS["options"] | {"annotated": annotated})  # type: ignore[operator]
    with pytest.raises(ConfigError, match=message):
        open_dataset(wrong, "train")


def test_rooms_without_any_ground_truth_are_left_out() -> None:
    options = ROOMS["options"] | {"train": 60, "annotated": {"segmentation": 0.3}}  # type: ignore[operator]
    dataset = open_dataset(config_of({"segmentation": {}}, options=options), "train")
    assert 5 < len(dataset) < 27
    assert all("segmentation" in dataset[i] for i in range(3))
    options["annotated"] = {"segmentation": 0.0}
    with pytest.raises(DataError, match="leaves no scene of the train split"):
        open_dataset(config_of({"segmentation": {}}, options=options), "train")


def test_missing_files_of_some_outputs_are_for_partial_data_alone(tmp_path: Path) -> None:
    from cen.data import write_rooms

    write_rooms(tmp_path, size=(32, 48), train=6, test=2)
    lines = (tmp_path / "train.txt").read_text().splitlines()
    (tmp_path / lines[0].split("\t")[2]).unlink()
    data = {"layout": "nyudv2", "options": {}, "root": str(tmp_path), "validation": 0.2}
    outputs = {"segmentation": {}, "depth": {"kind": "depth"}}
    with pytest.raises(DataError, match="line 1: no file depth"):
        open_dataset(config_of(outputs, **data), "train")
    dataset = open_dataset(config_of(outputs, partial=True, **data), "train")
    assert dataset.annotated(0) == ("segmentation",)
    assert "depth" not in dataset[0]
    assert "depth" in dataset[1]
