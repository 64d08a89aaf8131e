"""What every fusion baseline must do, wherever it fuses, and what each one computes."""

import copy
import itertools

import pytest
import torch
from tests.models.predicting import predict
from torch import nn
from torch.nn import functional as F

from cen.errors import ConfigError, DataError, ShapeError, StreamError
from cen.exchange import StreamNorm, exchange_layers, sparsity
from cen.models import Task, load, save
from cen.models.baselines import FUSIONS, PLACES, Attention, Average, Concat, Gate, Sum, discrepancy
from cen.models.baselines.alignment import GRID

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


@pytest.mark.parametrize("kind", FUSIONS.values(), ids=FUSIONS)
def test_blocks_compile_as_one_graph(kind):
    block = kind(4, 3).eval()
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    for present in ((0, 1, 2), (0, 2)):
        packed = torch.randn(2 * len(present), 4, 3, 5)
        torch.testing.assert_close(compiled(packed, present), block(packed, present))


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


def test_averages_leave_out_what_is_absent():
    packed = torch.randn(6, 4, 3, 5)
    a, b, c = packed.view(2, 3, 4, 3, 5).unbind(1)
    torch.testing.assert_close(Average(4, 3)(packed, (0, 1, 2)), (a + b + c) / 3)
    torch.testing.assert_close(Sum(4, 3)(packed, (0, 1, 2)), a + b + c)
    pair = torch.stack([a, c], 1).flatten(0, 1)
    torch.testing.assert_close(Average(4, 3)(pair, (0, 2)), (a + c) / 2)
    torch.testing.assert_close(Sum(4, 3)(pair, (0, 2)), a + c)


@pytest.mark.parametrize("kind", [Concat, Attention])
def test_absent_streams_count_as_zeros_in_their_place(kind):
    block = kind(4, 3).eval()
    packed = torch.randn(4, 4, 3, 5)
    zeros = torch.zeros(2, 4, 3, 5)
    b, c = packed.view(2, 2, 4, 3, 5).unbind(1)
    full = torch.stack([zeros, b, c], 1).flatten(0, 1)
    torch.testing.assert_close(block(packed, (1, 2)), block(full, (0, 1, 2)))


def test_concatenation_is_a_convolution_of_all_channels():
    block = Concat(2, 2, norm=False)
    packed = torch.randn(2, 2, 3, 3)
    expected = F.conv2d(packed.view(1, 4, 3, 3), block.conv.weight, block.conv.bias)
    torch.testing.assert_close(block(packed, (0, 1)), expected)
    assert (Concat(2, 2).eval()(packed, (0, 1)) >= 0).all()


def test_attention_multiplies_the_features_with_its_gates():
    block = Attention(4, 2, norm=False).eval()
    assert block.squeeze.out_channels == 4
    assert Attention(64, 2).squeeze.out_channels == 8
    packed = torch.randn(2, 4, 5, 5)
    nn.init.zeros_(block.excite.weight)
    nn.init.zeros_(block.excite.bias)
    half = block.join(packed.view(1, 8, 5, 5) / 2)
    torch.testing.assert_close(block(packed, (0, 1)), half)
    nn.init.constant_(block.excite.bias, -50.0)  # all gates shut
    torch.testing.assert_close(block(packed, (0, 1)), block.join(torch.zeros(1, 8, 5, 5)))


def test_gates_are_weights_that_add_up_over_those_present():
    block = Gate(4, 3)
    packed = torch.randn(6, 4, 3, 5)
    torch.testing.assert_close(block(packed, (0, 1, 2)), Average(4, 3)(packed, (0, 1, 2)))
    nn.init.normal_(block.conv.weight)
    equal = packed[:2].repeat_interleave(2, 0)
    torch.testing.assert_close(block(equal, (0, 2)), packed[:2])
    with torch.no_grad():
        block.conv.weight.zero_()
        block.conv.bias[4:8] = 50.0  # the second stream alone has a say
    torch.testing.assert_close(block(packed, (0, 1, 2)), packed[1::3])


def test_discrepancy_measures_a_distance_of_distributions():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 3, generator=generator) for _ in range(2))
    assert discrepancy(a, a).item() == pytest.approx(0, abs=1e-6)
    near, far = discrepancy(a, b), discrepancy(a, b + 1)
    assert 0 <= near < 0.02 < far
    torch.testing.assert_close(far, discrepancy(b + 1, a))
    torch.testing.assert_close(discrepancy(10 * a, 10 * b + 10), far)  # no unit
    assert discrepancy(a, 3 * b) > 0.02  # the same mean, another spread
    compiled = torch.compile(discrepancy, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(a, b), discrepancy(a, b))
    shift = torch.full((3,), 1.0, requires_grad=True)
    discrepancy(a, b + shift).backward()
    assert (shift.grad > 0).all()  # the loss falls where the shift does


@pytest.mark.parametrize("place", PLACES)
def test_alignment_is_a_loss_of_the_last_training_pass(make_net, make_inputs, place):
    net = make_net(fusion="align", fusion_at=place)
    inputs = make_inputs(net, (64, 64))
    net(inputs)
    copy.deepcopy(net)
    loss = net.auxiliary_loss()
    assert loss > 0.001
    loss.backward()
    reached = {name for name, p in net.named_parameters() if p.grad is not None}
    assert ("decoder.levels.0.reduce.conv.weight" in reached) == (place == "late")
    assert ("encoder.layer4.0.conv1.weight" in reached) == (place in ("late", "all"))
    assert net.auxiliary_loss() == 0  # it is handed out once
    net({"rgb": inputs["rgb"]})
    assert net.auxiliary_loss() == 0
    net.eval()
    predict(net, inputs)
    assert net.auxiliary_loss() == 0
    assert not exchange_layers(net)
    assert list(predict(net, inputs)["segmentation"].streams) == ["rgb", "depth"]


@pytest.mark.slow
def test_alignment_compiles_as_one_graph(make_net, make_inputs):
    torch.compiler.reset()
    net = make_net(fusion="align", dropout=0.0)
    inputs = make_inputs(net, (64, 64))
    torch.compile(net, fullgraph=True, backend="eager")(inputs)
    compiled = net.auxiliary_loss()
    net(inputs)
    torch.testing.assert_close(compiled, net.auxiliary_loss())


def test_alignment_vanishes_for_streams_that_agree(make_net, make_inputs):
    net = make_net(fusion="align", inputs={"a": 3, "b": 3, "c": 3})
    image = make_inputs(net, (64, 64))["a"]
    net({"a": image, "b": image, "c": image})
    assert net.auxiliary_loss().item() == pytest.approx(0, abs=1e-5)
    net({"a": image, "b": image, "c": image * 2 + 1})
    assert net.auxiliary_loss() > 0.001
    assert GRID**2 * len(image) == 32  # vectors that are compared


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


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        (torch.ones(5, 3).long(), DataError, "int64"),
        (torch.ones(5, 3).numpy(), DataError, "ndarray"),
        (torch.ones(5, 3, device="meta"), DataError, "meta"),
        (torch.ones(5, 2), ShapeError, "none of them empty"),
        (torch.ones(0, 3), ShapeError, "none of them empty"),
        (torch.ones(3), ShapeError, "N, C"),
    ],
)
def test_samples_that_cannot_be_compared(second, error, words):
    with pytest.raises(error, match=words):
        discrepancy(torch.ones(4, 3), second)
