"""The released layout of generators and discriminators: reference vectors, round trips."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.recipe import recipe

from cen.errors import CheckpointError, StreamError
from cen.exchange import ExchangeRule, exchange_layers, instance_statistics
from cen.models import PatchGAN, build, load_released, released_state_dict, save_released

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def reference():
    facts = json.loads((REFERENCE / "unet.json").read_text())
    with np.load(REFERENCE / "unet.npz") as arrays:
        return facts | {key: torch.from_numpy(arrays[key]) for key in arrays}


def weights(keys):
    return {key: torch.from_numpy(recipe(key, shape)) for key, shape in keys.items()}


@pytest.fixture(scope="module")
def images():
    rngs = {name: np.random.default_rng(zlib.crc32(f"input.{name}".encode())) for name in "ab"}
    return {
        name: torch.from_numpy(rng.uniform(-1, 1, (2, 3, 256, 256)).astype(np.float32))
        for name, rng in rngs.items()
    }


@pytest.fixture(scope="module")
def generator(reference):
    return load_released(weights(reference["generator_keys"]), inputs=("a", "b"))


def close(found, expected):
    return (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def check_outputs(reference, out, mode):
    stride = reference["outputs_stride"]
    for name, found in {**out.streams, "ensemble": out.ensemble}.items():
        assert close(found[..., ::stride, ::stride], reference[f"generator.{mode}.{name}"]), name
    assert close(out.alpha, reference["alpha"])


def test_generator_and_discriminator_give_the_reference_outputs(reference, generator, images):
    rules = {layer.exchange for layer in exchange_layers(generator).values()}
    assert rules == {ExchangeRule(1e-2, scope="any")}
    assert len(exchange_layers(generator)) == 6
    discriminator = load_released(weights(reference["discriminator_keys"]), part="discriminator")
    with torch.no_grad():
        out = generator(images)["image"]
        check_outputs(reference, out, "eval")
        for number, name in enumerate("ab"):
            logits = discriminator(images[name], out.streams[name])
            expected = reference[f"discriminator.eval.{number}"]
            assert close(logits.sigmoid(), expected)


def test_generator_with_the_statistics_of_the_image(reference, generator, images):
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    with torch.no_grad(), instance_statistics(generator):
        out = generator(images)["image"]
    check_outputs(reference, out, "instance_stats")
    after = generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_released_keys_are_those_of_the_reference(reference, generator, tmp_path):
    state = released_state_dict(generator)
    assert {key: list(v.shape) for key, v in state.items()} == reference["generator_keys"]
    given = weights(reference["generator_keys"])
    unused = ("conv1.insnorm", "conv8.insnorm", "deconv8.insnorm")
    assert all(torch.equal(v, given[k]) for k, v in state.items() if not k.startswith(unused))
    # Norms that nothing uses are written as they were drawn before training.
    assert torch.equal(state["conv8.insnorm_conv.insnorm_1.weight"], torch.ones(128))
    save_released(generator, tmp_path / "checkpoint-gen.pkl")
    again = load_released(tmp_path / "checkpoint-gen.pkl")
    assert list(again.inputs) == ["input0", "input1"]
    assert all(torch.equal(v, state[k]) for k, v in released_state_dict(again).items())


def test_discriminator_makes_a_round_trip(reference, tmp_path):
    net = PatchGAN(6, 16)
    state = released_state_dict(net)
    assert {key: list(v.shape) for key, v in state.items()} == reference["discriminator_keys"]
    save_released(net, tmp_path / "checkpoint-dis.pkl")
    again = load_released(tmp_path / "checkpoint-dis.pkl", part="discriminator").train()
    pair = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    assert torch.equal(again(*pair), net(*pair))


@pytest.mark.parametrize("streams", [1, 3])
def test_any_number_of_streams_and_halvings(streams, tmp_path):
    inputs = {f"m{number}": 3 for number in range(streams)}
    target = {"image": {"kind": "image", "channels": 2}}
    rule = ExchangeRule(1e-2, "any")
    net = build("unet", encoder="unet4", width=4, inputs=inputs, outputs=target, exchange=rule)
    save_released(net.eval(), tmp_path / "gen.pkl")
    again = load_released(tmp_path / "gen.pkl", inputs=inputs)
    assert again.config == net.config
    batch = {name: torch.randn(1, 3, 32, 32) for name in inputs}
    with torch.no_grad():
        assert torch.equal(again(batch)["image"].ensemble, net(batch)["image"].ensemble)


def test_what_is_no_released_checkpoint(reference):
    generator = weights(reference["generator_keys"])
    discriminator = weights(reference["discriminator_keys"])
    with pytest.raises(CheckpointError, match="a discriminator; read it with part='discriminator'"):
        load_released(discriminator)
    with pytest.raises(CheckpointError, match="no discriminator; read it with part='network'"):
        load_released(generator, part="discriminator")
    with pytest.raises(StreamError, match="holds 2 streams but inputs names 1"):
        load_released(generator, inputs=("a",))
    for key in ("conv3.conv.module.bias", "deconv2.insnorm_deconv.insnorm_1.running_var"):
        damaged = {name: value for name, value in generator.items() if name != key}
        with pytest.raises(CheckpointError, match=f"{key} is missing"):
            load_released(damaged)
    with pytest.raises(CheckpointError, match="extra is unknown"):
        load_released(generator | {"extra": torch.zeros(1)})


TWO = {"inputs": {"rgb": 3, "depth": 1}}


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": {"parts": 3}},
        {"outputs": {"x": {"kind": "image", "channels": 3}, "y": {"kind": "image", "channels": 1}}},
        {"norm": "shared"},
        {"statistics": "instance"},
        {"first_norm": "batch"},
        {"inputs": {"rgb": 3, "flow": 2}},
        {"decoder_exchange": True},
        # What was written and then exchanged in another way, or not at all, when it was read back.
        *({"fusion": name, **TWO} for name in ("attention", "average", "concat", "gate", "sum")),
        {"fusion": "align", **TWO},
        {"fusion": "ensemble", **TWO},
        {"exchange_stages": [2], **TWO},
        {"exchange": ExchangeRule(1e-2, guide="random", rate=0.5), **TWO},
        {"exchange": ExchangeRule(1e-2, enabled=False), **TWO},
    ],
)
def test_networks_that_the_released_code_does_not_have(changes, tmp_path):
    options = {
        "encoder": "unet3",
        "width": 4,
        "inputs": {"rgb": 3},
        "outputs": {"image": {"kind": "image", "channels": 3}},
    }
    with pytest.raises(CheckpointError, match=r"save this network with cen\.save"):
        save_released(build("unet", **{**options, **changes}), tmp_path / "net.pkl")
    assert not list(tmp_path.iterdir())


def test_the_file_does_not_say_which_parts_may_be_replaced(tmp_path):
    """As the docstring says: a network of scope "own" comes back with scope "any"."""
    target = {"image": {"kind": "image", "channels": 3}}
    rule = ExchangeRule(1e-2, "own")
    net = build("unet", encoder="unet3", width=4, outputs=target, exchange=rule, **TWO)
    save_released(net, tmp_path / "net.pkl")
    again = load_released(tmp_path / "net.pkl", inputs=TWO["inputs"])
    assert {layer.exchange.scope for layer in exchange_layers(again).values()} == {"any"}
