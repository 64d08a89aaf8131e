"""What every network must do, whatever it is built of: one case below per kind of network."""

import copy
import itertools

import pytest
import torch
from tests.models.predicting import predict
from torch.nn import functional as F

from cen.exchange import exchange_layers, sparsity
from cen.models import Task, load, save

# A new architecture needs no more than a line here.
CASES = {
    "released layout": {},
    "decoder norms": {"decoder_norm": "batch"},
    "decoder exchange": {"decoder_norm": "batch", "decoder_exchange": True},
    # Of far fewer layers, for what does not lie in the decoder.
    "bottlenecks": {"name": "segformer", "encoder": "resnet50"},
    "one input": {"name": "segformer", "inputs": {"rgb": 3}},
    "three inputs": {"name": "segformer", "inputs": {"rgb": 3, "depth": 1, "thermal": 1}},
    "four inputs": {"inputs": {"a": 3, "b": 3, "c": 3, "d": 3}, "decoder_norm": "batch"},
    "private stems": {"name": "segformer", "inputs": {"rgb": 3, "spectrum": 5, "flow": 2}},
    "stems alone": {"name": "segformer", "inputs": {"spectrum": 5, "flow": 2}},
    "shared norms": {"norm": "shared", "decoder_norm": "batch"},
    "private convolutions": {"name": "segformer", "convolution": "private"},
    "a decoder for each output": {
        "name": "segformer",
        "outputs": {"segmentation": 5, "distance": Task("depth", 1)},
        "task_streams": "separate",
        "decoder_exchange": True,
    },
    "outputs that share": {"outputs": {"parts": 5, "functions": 3}, "decoder_norm": "none"},
    "pspnet": {"name": "pspnet"},
    "pspnet, several outputs": {
        "name": "pspnet",
        "outputs": {"segmentation": 5, "distance": Task("depth", 1)},
        "decoder_exchange": True,
    },
    "aligned": {"fusion": "align"},
    "exchanged tokens": {"name": "segformer", "encoder": "mit_b0", "fusion": "tokenfusion"},
    "random guide": {
        "name": "segformer",
        "exchange": {"guide": "random", "rate": 0.5},
        "exchange_stages": [2, 4],
    },
    "several outputs": {
        "outputs": {"segmentation": 5, "normal": Task("normal", 3), "distance": Task("depth", 1)},
        "decoder_exchange": True,
    },
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


@pytest.fixture(scope="module")
def net(case, make_net):
    """A network that the tests of a case share; it stays as it is."""
    return make_net(**case).eval()


def test_outputs_have_the_decoders_stride_and_any_size_on_request(net, inputs, expected):
    own = (5, 6) if net.config["name"] == "pspnet" else (9, 12)
    small, large = expected, predict(net, inputs, size=(50, 31))
    assert list(small) == list(net.outputs)
    for name, task in net.outputs.items():
        assert list(small[name].streams) == list(net.inputs)
        for out, size in ((small[name], own), (large[name], (50, 31))):
            for prediction in (*out.streams.values(), out.ensemble):
                assert prediction.shape == (2, task.channels, *size)
                assert prediction.isfinite().all()


def test_ensemble_is_the_alpha_weighted_sum(net, expected):
    for name, out in expected.items():
        torch.testing.assert_close(out.alpha, net.alpha[name].detach().softmax(0))
        normals, values = net.outputs[name].kind == "normal", list(out.streams.values())
        if normals:
            values = [y / y.norm(dim=1, keepdim=True) for y in values]
        total = sum(a * y for a, y in zip(out.alpha, values, strict=True))
        if normals:
            total = total / total.norm(dim=1, keepdim=True)
        torch.testing.assert_close(out.ensemble, total)
        assert net.alpha_weights()[name] == pytest.approx(
            dict(zip(net.inputs, out.alpha.tolist(), strict=True))
        )


def test_every_subset_of_the_inputs_runs(net, inputs):
    for count in range(1, len(inputs)):
        for names in itertools.combinations(inputs, count):
            for name, out in predict(net, {key: inputs[key] for key in names}).items():
                assert list(out.streams) == list(names)
                rows = [list(net.inputs).index(key) for key in names]
                torch.testing.assert_close(out.alpha, net.alpha[name].detach()[rows].softmax(0))
    assert net.encoder_streams.all_active
    assert net.decoder_streams.all_active


def test_order_of_the_given_inputs_does_not_matter(net, inputs, expected):
    turned = predict(net, dict(reversed(inputs.items())))
    for name, out in expected.items():
        assert torch.equal(out.ensemble, turned[name].ensemble)


def test_every_parameter_learns_but_the_replaced_scales(case, make_net, make_inputs):
    net = make_net(**case)
    out = net(make_inputs(net, (64, 64)))
    loss = sum(y.square().mean() for o in out.values() for y in (*o.streams.values(), o.ensemble))
    sum(o.ensemble.square().sum() for o in out.values()).backward(retain_graph=True)
    taught = {name for name, p in net.named_parameters() if p.grad is not None}
    assert taught == {f"alpha.{name}" for name in net.outputs}, "an ensemble teaches alpha alone"
    net.zero_grad()
    (loss + sparsity(net)).backward()
    for name, parameter in net.named_parameters():
        if name.startswith("alpha") and len(net.inputs) == 1:
            continue  # the softmax of a single scalar is constant
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_save_and_load(net, inputs, expected, tmp_path):
    save(net, tmp_path / "net.safetensors", metadata={"step": 3})
    loaded = load(tmp_path / "net.safetensors")
    assert loaded.config == net.config
    assert loaded.outputs == net.outputs
    assert loaded.metadata["step"] == 3
    again = predict(loaded, inputs)
    for name, out in expected.items():
        assert torch.equal(out.ensemble, again[name].ensemble)
        for key in out.streams:
            assert torch.equal(out.streams[key], again[name].streams[key])


def test_deep_copy_shares_nothing(net, inputs, expected):
    other = copy.deepcopy(net)
    first = next(iter(inputs))
    with other.encoder_streams.activate([first]):  # a pass of the copy is none of the network's
        for name, out in predict(net, inputs).items():
            assert torch.equal(out.ensemble, expected[name].ensemble)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    zeros = predict(other, inputs)
    for name, out in predict(net, inputs).items():
        assert torch.equal(out.ensemble, expected[name].ensemble)
        assert zeros[name].streams[first].abs().max() == 0


def test_other_formats_agree(net, inputs, expected):
    other = copy.deepcopy(net)
    with torch.autocast("cpu", torch.bfloat16):
        agrees(predict(net, inputs), expected, 0.1)
    form = torch.channels_last
    turned = {name: image.contiguous(memory_format=form) for name, image in inputs.items()}
    agrees(predict(other.to(memory_format=form), turned), expected, 1e-4)
    fine = {name: image.double() for name, image in inputs.items()}
    agrees(predict(other.double(), fine), expected, 1e-4)


def agrees(found, expected, tolerance):
    for name, out in expected.items():
        for key, value in out.streams.items():
            difference = (found[name].streams[key].float() - value).norm()
            assert difference <= tolerance * value.norm(), (name, key)


def test_one_stream_is_the_plain_network(make_net, make_inputs):
    """With one input the network computes what its plain encoder, decoder and head compute."""
    from cen.models import RefineNetDecoder, ResNet

    net = make_net(inputs={"rgb": 3}, decoder_norm="batch").eval()
    encoder = ResNet(18, 4).eval()
    decoder = RefineNetDecoder(encoder.channels, 4, norm=True).eval()
    for plain, mine in ((encoder, net.encoder), (decoder, net.decoder)):
        state = {key: value.squeeze(0) for key, value in mine.state_dict().items()}
        plain.load_state_dict({k: state[k].view(v.shape) for k, v in plain.state_dict().items()})
    image = make_inputs(net)["rgb"]
    with torch.no_grad():
        expected = net.heads["segmentation"](decoder(encoder(image)))
        out = net({"rgb": image})["segmentation"]
    torch.testing.assert_close(out.streams["rgb"], expected)
    torch.testing.assert_close(out.ensemble, expected)


def test_subset_is_the_network_built_with_those_streams(make_net, make_inputs):
    """Where nothing is exchanged, an absent input leaves no trace."""
    net = make_net(decoder_norm="batch", exchange={"threshold": 0.0}).eval()
    alone = net.adapt(inputs={"depth": 1})
    depth = {"depth": make_inputs(net)["depth"]}
    torch.testing.assert_close(
        predict(net, depth)["segmentation"].ensemble, predict(alone, depth)["segmentation"].ensemble
    )


def test_exchange_reaches_the_other_stream(make_net, make_inputs):
    """With channels exchanged, depth changes what the RGB stream predicts; without, it does not."""
    for threshold, differs in ((0.02, True), (0.0, False)):
        net = make_net(exchange={"threshold": threshold}).eval()
        inputs = make_inputs(net)
        first = predict(net, inputs)["segmentation"].streams["rgb"]
        inputs["depth"] = inputs["depth"] + 1
        second = predict(net, inputs)["segmentation"].streams["rgb"]
        assert torch.equal(first, second) != differs


def test_several_outputs_agree_until_the_second_norm(make_net):
    """The first norm of the decoder sees equal values for all tasks, so it never exchanges."""
    outputs = {"segmentation": 5, "distance": Task("depth", 1)}
    net = make_net(outputs=outputs, decoder_exchange=True)
    layers = exchange_layers(net.decoder)
    assert "levels.0.reduce.norm" not in layers
    assert "levels.3.reduce.norm" not in layers
    assert "levels.0.adapt.0.conv1.norm" in layers
    assert net.decoder_streams.names == (
        "segmentation/rgb", "segmentation/depth", "distance/rgb", "distance/depth",
    )  # fmt: skip
    assert net.decoder_streams.groups == ((0, 2), (1, 3))


def test_each_task_and_input_reaches_its_own_head(make_net, make_inputs):
    """Silencing one decoder stream silences the one prediction that belongs to it."""
    outputs = {"segmentation": 5, "distance": Task("depth", 1)}
    net = make_net(outputs=outputs, decoder_norm="batch").eval()
    inputs = make_inputs(net)
    before = predict(net, inputs)
    row = net.decoder_streams.names.index("distance/rgb")
    with torch.no_grad():
        net.get_submodule("decoder.levels.3.refine.2.conv2.norm").bias[row] += 1
    after = predict(net, inputs)
    for output, stream in itertools.product(outputs, inputs):
        same = torch.equal(before[output].streams[stream], after[output].streams[stream])
        assert same == ((output, stream) != ("distance", "rgb"))


def test_outputs_share_a_decoder_without_private_layers(make_net, make_inputs):
    outputs = {"segmentation": 5, "distance": Task("depth", 1)}
    net = make_net(outputs=outputs, decoder_norm="none").eval()
    assert net.decoder_streams.names == ("rgb", "depth")
    rows = []
    net.decoder.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    out = predict(net, make_inputs(net, batch=3))
    assert rows == [6]
    assert out["distance"].ensemble.shape[:2] == (3, 1)
    assert out["segmentation"].ensemble.shape[:2] == (3, 5)


def test_size_is_reached_with_bicubic_interpolation(make_net, make_inputs):
    net = make_net().eval()
    inputs = make_inputs(net)
    small = predict(net, inputs)["segmentation"].streams["rgb"]
    large = predict(net, inputs, size=(33, 47))["segmentation"].streams["rgb"]
    assert torch.equal(large, F.interpolate(small, (33, 47), mode="bicubic", align_corners=False))


@pytest.mark.parametrize("name", ["refinenet", pytest.param("pspnet", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(make_net, make_inputs, name):
    """No break in the graph: traced whole, then run as it is."""
    torch.compiler.reset()
    # Exchange in the decoder of fewer layers: tracing takes seconds.
    options = {"decoder_norm": "batch", "decoder_exchange": True} if name == "pspnet" else {}
    net = make_net(name=name, **options).eval()
    inputs = make_inputs(net)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    out, expected = predict(compiled, inputs), predict(net, inputs)
    assert torch.equal(out["segmentation"].ensemble, expected["segmentation"].ensemble)
