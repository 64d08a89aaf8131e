"""What `cen.build` and the networks are called with: wrong values are told by what they are."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cen
from cen.errors import CenError, ConfigError, described
from cen.models import load, save
from cen.models.network_description import check_description

BLOCKS = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
IMAGE = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)


def made(name: str = "refinenet", **changed: Any) -> Any:
    given = {
        "encoder": "resnet18",
        "inputs": {"rgb": 3},
        "outputs": {"s": 3},
        "width": 4,
        "decoder_channels": 4,
    }
    return cen.build(name, **{**given, **changed})


WRONG = [
    ({"inputs": ["rgb"]}, r"inputs is a dict such as \{'rgb': 3.*not \['rgb'\]"),
    ({"inputs": {"rgb": "3"}}, "channels of input 'rgb' is a whole number, not '3'"),
    ({"inputs": {"rgb": IMAGE}}, r"not a Tensor of shape \(1, 3, 32, 32\)"),
    ({"inputs": {"rgb": 3.0}}, "whole number, not 3.0"),
    ({"inputs": {1: 3}}, "input 1 cannot be named so"),
    ({"outputs": 40}, r"outputs is a dict such as \{'segmentation': 40\}.*not 40"),
    ({"outputs": ["s"]}, r"outputs is a dict .* not \['s'\]"),
    ({"outputs": {"s": "depth"}}, r"not 'depth'; for depth give cen.Task\('depth', 1\)"),
    ({"outputs": {"s": IMAGE}}, r"not a Tensor of shape"),
    ({"outputs": {"s": BLOCKS}}, "not a Sequential"),
    ({"outputs": {"s": {"knd": "depth"}}}, "no 'knd' .did you mean 'kind'"),
    ({"outputs": {"s": {"kind": "depth"}}}, "give its channels"),
    ({"encodr": "resnet18"}, "no option 'encodr' .did you mean 'encoder'"),
    ({"encoder": BLOCKS}, "encoder is text, not a Sequential"),
    ({"width": "8"}, "width is a whole number, not '8'"),
    ({"decoder_channels": 0}, "decoder_channels is at least 1"),
    ({"dropout": IMAGE}, "dropout is a number .* not a Tensor of shape"),
    ({"exchange": 0.02}, "exchange is an ExchangeRule .* not 0.02"),
    ({"exchange": {"threshold": IMAGE}}, "threshold is a number .* not a Tensor"),
    ({"exchange_stages": 3}, r"list of whole numbers such as \[3, 4\], not 3"),
    ({"norm": IMAGE}, "norm is 'private' or 'shared', not a Tensor of shape"),
    ({"fusion": ["concat"]}, r"fusion is 'exchange' or .* not \['concat'\]"),
    ({"weights": {"a": IMAGE}}, "not {'a': a Tensor of shape .* load_state_dict"),
    ({"decoder_exchange": "yes"}, "decoder_exchange is True or False or None, not 'yes'"),
    ({"name": ["refinenet"]}, "unknown network"),
    ({"name": "resnet18"}, "it is an encoder"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
def test_a_wrong_argument_is_told(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CenError, match=message) as caught:
        made(**changed)
    short(caught.value)


def test_missing_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="needs outputs, such as outputs="):
        cen.build("unet", inputs={"rgb": 3})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: n({"rgb": IMAGE.numpy()}), "'rgb' is an ndarray .*; torch.from_numpy makes"),
        (lambda n: n(IMAGE), r"a dict of tensors by input.* not with a Tensor of shape"),
        (lambda n: n(IMAGE.numpy()), "not with an ndarray of shape"),
        (lambda n: n(["rgb"]), r"not with \['rgb'\]"),
        (lambda n: n({"rgb": None}), "'rgb' is None.*leave out a missing input"),
        (lambda n: n({"rgb": IMAGE.tolist()}), "'rgb' is .* not a torch tensor"),
        (lambda n: n({"rgb": torch.tensor(1.0)}), "'rgb' is a scalar"),
        (lambda n: n({"rgb": IMAGE}, size=64), r"size is \(height, width\) in pixels, not 64"),
        (lambda n: n({"rgb": IMAGE}, size=(64.0, 64.0)), "size is"),
        (lambda n: n({"rgb": IMAGE}, size=(0, 64)), "size is"),
        (lambda n: n({"rgb": IMAGE}, size=IMAGE), "size is .* not a Tensor of shape"),
        (lambda n: n.adapt(outputs=40), "outputs is a dict"),
        (lambda n: n.adapt(inputs=["rgb"]), "inputs is a dict"),
        (lambda n: cen.finetune(BLOCKS, outputs={"s": 3}), "not a Sequential"),
        (lambda n: load(n), "path of a file .* not a ChannelExchangeNetwork"),
        (lambda n: save(BLOCKS, "x.safetensors"), "not? .*Sequential|of a Sequential"),
        (lambda n: n.encoder_streams.activate("rgb"), r"a list of names, \['rgb'\], not as text"),
    ],
)
def test_a_wrong_call_is_told(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(CenError, match=message) as caught:
        call(made().eval())
    short(caught.value)


def short(error: Exception) -> None:
    """No tensor and no module is printed."""
    text = str(error)
    assert len(text) < 450
    assert "\n" not in text
    assert not re.search(r"tensor\(|array\(|Conv2d\(", text)


def test_whole_numbers_of_numpy_are_whole_numbers(tmp_path: Any) -> None:
    labels = np.array([0, 1, 2])
    net = made(outputs={"s": labels.max() + 1}, inputs={"rgb": np.int64(3)}, width=np.int32(4))
    save(net, tmp_path / "net.safetensors")
    assert load(tmp_path / "net.safetensors").outputs["s"].channels == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("a", "'a'"),
        (IMAGE, "a Tensor of shape (1, 3, 32, 32)"),
        ({"a": [IMAGE.numpy()]}, "{'a': [an ndarray of shape (1, 3, 32, 32)]}"),
        (BLOCKS, "a Sequential"),
        (nn.Conv2d, "the class Conv2d"),
        (torch.float32, "torch.float32"),
    ],
)
def test_values_as_messages_quote_them(value: object, text: str) -> None:
    assert described(value) == text


def test_long_values_are_shortened_to_one_line() -> None:
    for value in ("a\n" * 1000, list(range(10**5)), {str(k): k for k in range(999)}, 10**5000):
        assert len(described(value)) < 200
        assert "\n" not in described(value)


RULE = {"threshold": 0.01, "scope": "any", "penalty": "own", "enabled": True, "guide": "scale"}
FORMER: dict[str, Any] = {
    "inputs": {"rgb": 3, "depth": 1},
    "outputs": {"s": {"kind": "segmentation", "channels": 5, "classes": None, "ignore_index": 255}},
    "width": 4,
    "decoder_exchange": False,
    "task_streams": "private",
    "exchange": {**RULE, "rate": 0.0, "seed": 0},
    "exchange_stages": None,
    "norm": "private",
    "convolution": "shared",
    "fusion": "exchange",
    "fusion_at": None,
    "dropout": 0.25,
}


@pytest.mark.parametrize(
    "own",
    [
        {"name": "refinenet", "encoder": "resnet18", "decoder_channels": 8, "decoder_norm": "none"},
        {"name": "pspnet", "encoder": "resnet18", "decoder_channels": 8, "decoder_norm": "batch"},
        {"name": "unet", "encoder": "unet5", "statistics": "running", "first_norm": None},
    ],
    ids=lambda own: str(own["name"]),
)
def test_headers_of_older_checkpoints_describe_the_same_networks(own: dict[str, Any]) -> None:
    """As written before options were one dataclass."""
    header = {**FORMER, **own}
    check_description(header, "config")
    with torch.device("meta"):
        config = cen.build(**header).config
    config["outputs"]["s"].pop("loss", None)  # came later
    assert config["exchange"].pop("parts") == "paper"  # later still
    for later in ("drop_path", "exchange_norms"):
        assert config.pop(later, None) is None
    assert config == header
