"""One definition per option: `cen.build` and a run's configuration give the same network."""

import inspect
from typing import Any

import pytest
import torch

import cen
from cen.config import Config
from cen.errors import ConfigError
from cen.exchange import exchange_layers
from cen.models import build, builders
from cen.models.fpn import FPNDecoder
from cen.models.pspnet import PSPNetDecoder
from cen.models.refinenet import RefineNetDecoder
from cen.models.segformer import SegFormerDecoder
from cen.models.unet import UNetDecoder
from cen.models.upernet import UPerNetDecoder
from cen.options.network_options import unset
from cen.tasks import Task
from cen.training.setup import build_network

# Of the networks of segmentation_models_pytorch, which are built alike, one.
NAMES = [*(name for name in builders if "/" not in name), "smp/Unet"]
ENCODERS = {"unet": "unet3", "cycle": "unet3"}
TASK = Task("segmentation", 5)
DEPTH = Task("depth", 1)
IMAGE = Task("image", 3)

OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "narrow": {"width": 8},
    "wide decoder": {"decoder_channels": 24},
    "norms": {"decoder_norm": "batch", "decoder_exchange": True},
    "no norms": {"decoder_norm": "none"},
    "dropout": {"dropout": 0.25},
    "late fusion": {"fusion": "concat", "fusion_at": "late"},
    "voting": {"fusion": "ensemble"},
    "stages": {"exchange_stages": [2, 3]},
    "private convolutions": {"convolution": "private"},
    "separate decoders": {"task_streams": "separate"},
    "image statistics": {"statistics": "instance"},
    "first norm": {"first_norm": "batch"},
}
RULES: dict[str, dict[str, Any]] = {
    "default": {},
    "any": {"scope": "any"},
    "all": {"penalty": "all"},
    "theta": {"threshold": 0.05},
}


def network(name: str, options: dict[str, Any], rule: dict[str, Any], several: bool) -> Any:
    """The same network twice: from arguments, and from a configuration.

    Without options the defaults are compared, in full size and so without values.
    """
    of_smp = name.startswith("smp/")
    if of_smp:
        pytest.importorskip("segmentation_models_pytorch")
    cycle = name == "cycle"
    inputs = {"rgb": 3, "depth": 1, "edge": 1} if cycle else {"rgb": 3, "depth": 1}
    tasks = (
        {"segmentation": TASK, "normal": Task("normal", 3)} if several else {"segmentation": TASK}
    )
    if name == "unet":
        tasks = {"shade": IMAGE, "normal": Task("normal", 3)} if several else {"shade": IMAGE}
    if cycle:
        tasks = {"rgb": IMAGE, "depth": DEPTH, "edge": Task("edge", 1)}
    small: dict[str, Any] = {}
    if (options or rule) and not of_smp:
        small = {"width": 4} | ({} if name in ("unet", "cycle") else {"decoder_channels": 8})
    given = {"encoder": ENCODERS.get(name, "resnet18"), **small, **options}
    outputs = {key: {"kind": task.kind} for key, task in tasks.items()}
    model = {"name": name, "inputs": inputs, "outputs": outputs, **given, **rule}
    with torch.device("cpu" if small or of_smp else "meta"):
        torch.manual_seed(0)
        direct = build(name, inputs=inputs, outputs=tasks, exchange=rule or None, **given)
        config = Config.from_dict({"data": {"layout": "taskonomy"}, "model": model})
        torch.manual_seed(0)
        return direct, build_network(config, tasks)


CASES = [
    *((options, "default", False) for options in OPTIONS),
    *(("nothing", rule, False) for rule in RULES if rule != "default"),
    *((options, "default", True) for options in ("nothing", "norms", "separate decoders")),
]


@pytest.mark.parametrize(("options", "rule", "several"), CASES)
@pytest.mark.parametrize("name", NAMES)
def test_build_and_train_of_the_same_options_give_the_same_network(
    name: str, options: str, rule: str, several: bool
) -> None:
    try:
        direct, trained = network(name, OPTIONS[options], RULES[rule], several)
    except (ConfigError, TypeError):
        if options == "nothing":
            raise
        pytest.skip("not an option of this network")
    assert repr(direct) == repr(trained)
    assert direct.config == trained.config
    one, other = direct.state_dict(), trained.state_dict()
    assert list(one) == list(other)
    for key, value in one.items():
        assert value.shape == other[key].shape
        assert value.is_meta or torch.equal(value, other[key])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_out_is_the_same_everywhere(name: str) -> None:
    if name.startswith("smp/"):
        pytest.importorskip("segmentation_models_pytorch")
    names = ("rgb", "depth", "edge") if name == "cycle" else ("rgb", "depth")
    fields = dict.fromkeys(names, 1)
    tasks = dict.fromkeys(names if name == "cycle" else ("image",), Task("image", 1))
    outputs = {key: {"kind": "image"} for key in tasks}
    config = Config.from_dict({"model": {"name": name, "inputs": fields, "outputs": outputs}})
    with torch.device("meta"):
        direct = build(name, inputs=fields, outputs=tasks)
        trained = build_network(config, tasks)
    assert direct.config == trained.config
    encoder = "unet8" if name in ("unet", "cycle") else "resnet50"
    assert direct.config["encoder"] == ("resnet34" if name == "smp/Unet" else encoder)
    assert repr(direct) == repr(trained)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_that_the_pages_give(name: str) -> None:
    direct, _ = network(name, {}, {}, several=False)
    layers = exchange_layers(direct).values()
    assert {layer.exchange.threshold for layer in layers} == {unset(name, "threshold")}
    assert direct.config.get("dropout") == unset(name, "dropout")


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_a_rule_leaves_the_rest_to_the_network(name: str) -> None:
    direct, _ = network(name, {}, {"penalty": "all"}, several=False)
    rules = {layer.exchange for layer in exchange_layers(direct).values()}
    assert rules == {cen.ExchangeRule(unset(name, "threshold"), penalty="all")}


def test_decoders_by_themselves_have_the_same_defaults() -> None:
    for kind, name in (
        (RefineNetDecoder, "refinenet"),
        (PSPNetDecoder, "pspnet"),
        (UNetDecoder, "unet"),
        (SegFormerDecoder, "segformer"),
        (FPNDecoder, "fpn"),
        (UPerNetDecoder, "upernet"),
    ):
        known = inspect.signature(kind).parameters
        assert known["dropout"].default == unset(name, "dropout")
        if "channels" in known:
            assert known["channels"].default == unset(name, "decoder_channels")


def test_an_unknown_field_of_a_rule_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no field 'treshold'.*did you mean 'threshold'"):
        network("refinenet", {}, {"treshold": 0.1}, several=False)
