import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from cen import __version__
from cen.errors import CheckpointError
from cen.exchange import ExchangeRule, exchange_layers
from cen.models import Task, load, read_header, save


def test_file_says_everything_about_the_network(make_net, tmp_path):
    classes = ("wall", "floor")
    net = make_net(
        outputs={"segmentation": Task("segmentation", 2, classes)},
        exchange=ExchangeRule(0.05, scope="any"),
    )
    net.metadata = {"preprocessing": {"depth": {"unit": 0.001}}, "step": 1}
    save(net.train(), tmp_path / "a.safetensors", metadata={"step": 2})
    header = read_header(tmp_path / "a.safetensors")
    assert header["version"] == __version__
    loaded = load(tmp_path / "a.safetensors")
    assert not loaded.training
    assert loaded.outputs["segmentation"].classes == classes
    assert loaded.metadata == {
        "classes": {"segmentation": ["wall", "floor"]},
        "preprocessing": {"depth": {"unit": 0.001}},
        "step": 2,
    }
    rules = {layer.exchange for layer in exchange_layers(loaded).values()}
    assert rules == {ExchangeRule(0.05, scope="any")}
    assert net.metadata["step"] == 1


def test_run_folder_prefers_the_best(make_net, tmp_path):
    net = make_net()
    for step, name in enumerate(("last", "best")):
        save(net, tmp_path / f"{name}.safetensors", metadata={"step": step})
        assert load(tmp_path).metadata["step"] == step


def test_saving_writes_the_file_alone(make_net, tmp_path):
    save(make_net(), tmp_path / "run" / "a.safetensors")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["a.safetensors"]


def test_formats_of_tensors_do_not_matter(make_net, tmp_path):
    net = make_net()
    expected = {key: value.clone() for key, value in net.state_dict().items()}
    save(net.to(memory_format=torch.channels_last), tmp_path / "a.safetensors")
    for key, value in load(tmp_path / "a.safetensors").state_dict().items():
        assert torch.equal(value, expected[key])


def test_metadata_must_be_json(make_net, tmp_path):
    with pytest.raises(CheckpointError, match=r"a.safetensors: the metadata cannot be written"):
        save(make_net(), tmp_path / "a.safetensors", metadata={"x": torch.zeros(1)})
    assert not list(tmp_path.iterdir())


def rewrite(path, change_header=None, change_state=None):
    header = read_header(path)
    state = load_file(path)
    if change_header is not None:
        header = change_header(header)
    if change_state is not None:
        change_state(state)
    save_file(state, path, {"cen": json.dumps(header)})


def test_what_cannot_be_loaded(make_net, tmp_path):
    path = tmp_path / "a.safetensors"
    net = make_net()

    def refused(message):
        with pytest.raises(CheckpointError, match=message):
            load(path)
        save(net, path)

    refused(r"a.safetensors does not exist")
    path.write_bytes(path.read_bytes()[:5000])
    refused(r"a.safetensors is damaged")
    save_file({"w": torch.zeros(1)}, path)
    refused(r"a.safetensors holds weights but does not say of which network.*load_released")
    save_file({"w": torch.zeros(1)}, path, {"cen": "{}"})
    refused(r"a.safetensors: its header: config is missing")
    rewrite(path, lambda header: {**header, "config": {**header["config"], "encoder": "vit"}})
    refused(r"a.safetensors .*cannot build: unknown encoder 'vit'")
    rewrite(path, lambda header: {**header, "config": {**header["config"], "new_option": 1}})
    refused(r"a.safetensors .*cannot build: .*new_option")
    rewrite(path, change_state=lambda state: state.pop("encoder.conv1.weight"))
    refused(r"a.safetensors does not hold .*: encoder.conv1.weight is missing")
    rewrite(path, change_state=lambda s: s.update({"encoder.conv1.weight": torch.zeros(1)}))
    refused(r"encoder.conv1.weight has shape \(1,\), not \(4, 3, 7, 7\)")


def test_empty_run_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds neither best.safetensors nor last"):
        load(tmp_path)
