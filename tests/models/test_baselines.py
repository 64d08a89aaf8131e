"""What every fusion baseline must do, wherever it fuses, and what each one computes."""

import itertools

import pytest
import torch
from tests.models.predicting import predict

from cen.errors import ConfigError, ShapeError, StreamError
from cen.exchange import StreamNorm, exchange_layers, sparsity
from cen.models import Task, load, save
from cen.models.baselines import FUSIONS, PLACES

THREE = {"rgb": 3, "depth": 1, "flow": 2}
CASES = {
    **{
        f"{fusion} {place}": {"name": "segformer", "fusion": fusion, "fusion_at": place}
        for fusion, place in [
            *((fusion, "all") for fusion in FUSIONS),
            *(("concat", place) for place in PLACES if place != "all"),
        ]
    },
    "refinenet": {"fusion": "concat"},
    "three inputs": {"name": "segformer", "fusion": "concat", "inputs": THREE},
    "three inputs, early": {
        "name": "segformer",
        "fusion": "concat",
        "fusion_at": "early",
        "inputs": THREE,
    },
    "three inputs, gated early": {
        "name": "segformer",
        "fusion": "gate",
        "fusion_at": "early",
        "inputs": THREE,
    },
    "pspnet": {"name": "pspnet", "fusion": "concat"},
    "pspnet, middle": {"name": "pspnet", "fusion": "attention", "fusion_at": "middle"},
    "unet": {
        "name": "unet",
        "encoder": "unet4",
        "fusion": "attention",
        "outputs": {"image": Task("image", 3)},
    },
    "unet, middle": {"name": "unet", "encoder": "unet4", "fusion": "sum", "fusion_at": "middle"},
    "private convolutions": {
        "name": "segformer",
        "fusion": "concat",
        "fusion_at": "middle",
        "convolution": "private",
    },
    "shared norms": {
        "name": "segformer",
        "fusion": "average",
        "fusion_at": "late",
        "norm": "shared",
    },
    "several outputs": {"fusion": "gate", "outputs": {"parts": 5, "normal": Task("normal", 3)}},
    "several outputs, late": {
        "name": "segformer",
        "fusion": "attention",
        "fusion_at": "late",
        "outputs": {"a": 5, "b": 3},
    },
}


@pytest.fixture(scope="module")
def make(make_net):
    """A tiny network; a U-Net takes fewer options."""

    def build(**changes):
        if changes.get("name") == "unet":
            changes = {"width": 4, **changes}
            from cen.models import build as plain

            torch.manual_seed(0)
            return plain(**{"inputs": {"rgb": 3, "depth": 1}, "outputs": {"a": 5}, **changes})
        return make_net(**changes)

    return build


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


@pytest.fixture(scope="module")
def net(case, make):
    """A network that the tests of a case share; it stays as it is."""
    return make(**case).eval()


def test_one_prediction_without_streams_at_any_size(net, inputs):
    for name, out in predict(net, inputs, size=(50, 31)).items():
        assert out.ensemble.shape == (2, net.outputs[name].channels, 50, 31)
        assert out.ensemble.isfinite().all()
        assert (out.streams, out.alpha.shape) == ({}, (0,))
    assert (len(net.alpha), net.alpha_weights()) == (0, {})


def test_every_parameter_learns_from_the_prediction(case, make, make_inputs):
    net = make(**case)
    out = net(make_inputs(net, (64, 64)))
    sum(o.ensemble.square().mean() for o in out.values()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("conv.weight") or "fusion" not in name:
            assert parameter.grad.abs().sum() > 0, name


def test_nothing_is_exchanged_and_nothing_penalised(net):
    assert not exchange_layers(net)
    assert sparsity(net) == 0
    assert net.auxiliary_loss() == 0


def test_every_subset_of_the_inputs_runs_and_differs(net, inputs, expected):
    for count in range(1, len(inputs)):
        for names in itertools.combinations(inputs, count):
            for name, out in predict(net, {key: inputs[key] for key in names}).items():
                assert out.ensemble.shape == expected[name].ensemble.shape
                assert not torch.equal(out.ensemble, expected[name].ensemble)
    assert net.encoder_streams.all_active
    assert net.decoder_streams.all_active


def test_save_and_load(net, inputs, expected, tmp_path):
    save(net, tmp_path / "net.safetensors")
    loaded = load(tmp_path / "net.safetensors")
    assert (type(loaded), loaded.config) == (type(net), net.config)
    again = predict(loaded, inputs)
    for name, out in expected.items():
        assert torch.equal(out.ensemble, again[name].ensemble)


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "place"), [("concat", "early"), ("gate", "all")])
def test_compiles_as_one_graph(make_net, make_inputs, fusion, place):
    torch.compiler.reset()  # each network is a recompilation, of which few are allowed
    net = make_net(fusion=fusion, fusion_at=place).eval()
    inputs = make_inputs(net)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    expected = predict(net, inputs)["segmentation"].ensemble
    assert torch.equal(predict(compiled, inputs)["segmentation"].ensemble, expected)


@pytest.mark.parametrize(
    ("place", "rows"),
    [("early", (2, 2, 2)), ("middle", (4, 2, 2)), ("late", (4, 4, 4)), ("all", (4, 4, 2))],
)
def test_streams_become_one_where_it_is_said(make_net, make_inputs, place, rows):
    """Rows that the second stage, the last stage and the decoder give, for two samples."""
    net = make_net(fusion="average", fusion_at=place).eval()
    seen = {}

    def note(name):
        def hook(module, args, out):
            seen.setdefault(name, len(out))

        return hook

    for name in ("encoder.layer2", "encoder.layer4", "decoder"):
        net.get_submodule(name).register_forward_hook(note(name))
    predict(net, make_inputs(net))
    assert tuple(seen.values()) == rows
    private = {name: len(m.streams) for name, m in net.named_modules() if isinstance(m, StreamNorm)}
    assert private["encoder.layer1.0.bn1"] == (1 if place == "early" else 2)
    assert private["encoder.layer3.0.bn1"] == (1 if place in ("early", "middle") else 2)


def test_early_concatenation_is_a_plain_network_of_all_channels(make_net, make_inputs):
    net = make_net(fusion="concat", fusion_at="early").eval()
    single = make_net(inputs={"both": 4}).eval()
    state = {key.replace("stems.fused", "stems.both"): v for key, v in net.state_dict().items()}
    single.load_state_dict({**state, "alpha.segmentation": torch.zeros(1)})
    inputs = make_inputs(net)
    both = {"both": torch.cat(list(inputs.values()), 1)}
    expected = predict(single, both)["segmentation"].ensemble
    torch.testing.assert_close(predict(net, inputs)["segmentation"].ensemble, expected)
    both["both"][:, :3] = 0
    alone = predict(net, {"depth": inputs["depth"]})["segmentation"].ensemble
    torch.testing.assert_close(alone, predict(single, both)["segmentation"].ensemble)


def test_ensemble_is_the_method_without_exchange(make_net, make_inputs):
    ensemble = make_net(fusion="ensemble").eval()
    off = make_net(exchange={"enabled": False}).eval()
    off.load_state_dict(ensemble.state_dict())
    inputs = make_inputs(ensemble)
    first, second = (predict(n, inputs)["segmentation"] for n in (ensemble, off))
    assert torch.equal(first.ensemble, second.ensemble)
    assert not exchange_layers(ensemble)


def test_late_ensemble_of_private_convolutions_is_separate_networks(make_net, make_inputs):
    net = make_net(fusion="ensemble", convolution="private", decoder_norm="batch").eval()
    inputs = make_inputs(net)
    whole = predict(net, inputs)["segmentation"].streams
    inputs["depth"] = inputs["depth"] + 1
    assert torch.equal(predict(net, inputs)["segmentation"].streams["rgb"], whole["rgb"])
    out = net({"rgb": inputs["rgb"]})["segmentation"].streams["rgb"]
    out.square().mean().backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is not None and "stems" not in name:
            assert not parameter.grad[1].any(), name


def test_other_classes_keep_the_fusion(make_net):
    net = make_net(fusion="gate")
    with torch.no_grad():
        net.fusion["stage2"].conv.bias.fill_(0.3)
    new = net.adapt(outputs={"segmentation": 3})
    assert torch.equal(new.fusion["stage2"].conv.bias, net.fusion["stage2"].conv.bias)
    wider = net.adapt(inputs={**net.inputs, "thermal": 1})
    assert wider.fusion["stage2"].conv.bias.abs().sum() == 0  # a gate of three starts afresh


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fusion": "concatenate"}, ConfigError, "fusion is .*'concat'.*, not 'concatenate'"),
        ({"fusion": "concat", "fusion_at": "start"}, ConfigError, "fusion_at is .*not 'start'"),
        ({"fusion_at": "early"}, ConfigError, "fusion='exchange' fuses none"),
        ({"fusion": "concat", "inputs": {"rgb": 3}}, ConfigError, "at least 2 inputs"),
        (
            {"fusion": "sum", "decoder_norm": "batch", "decoder_exchange": True},
            ConfigError,
            "fusion='sum' exchanges no channels",
        ),
        ({"fusion": "ensemble", "exchange_stages": [1]}, ConfigError, "exchanges no channels"),
        (
            {"name": "pspnet", "fusion": "concat", "fusion_at": "all"},
            ConfigError,
            "the deepest alone",
        ),
    ],
)
def test_what_cannot_be_fused_is_refused(make_net, changes, error, message):
    with pytest.raises(error, match=message):
        make_net(**changes)


def test_wrong_inputs_are_named_as_by_the_method(make_net, make_inputs):
    net = make_net(fusion="concat")
    with pytest.raises(StreamError, match="unknown input 'dpeth'"):
        net({"dpeth": make_inputs(net)["depth"]})
    with pytest.raises(ShapeError, match=r"'depth' has shape"):
        net({**make_inputs(net), "depth": torch.zeros(2, 3, 33, 47)})
