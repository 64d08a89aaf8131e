import pytest
import torch

from cen.exchange import exchange_layers
from cen.models import Task, build, finetune


def outputs_of(net, inputs):
    with torch.no_grad():
        return net.eval()(inputs)


def test_nothing_changed_is_the_same_network(make_net, make_inputs):
    for changes in ({}, {"decoder_norm": "batch"}, {"convolution": "private"}, {"norm": "shared"}):
        net = make_net(name="segformer", **changes)
        inputs = make_inputs(net)
        again = finetune(net)
        assert again is not net
        out, expected = outputs_of(again, inputs), outputs_of(net, inputs)
        assert torch.equal(out["segmentation"].ensemble, expected["segmentation"].ensemble)


def test_other_classes_keep_all_but_the_head(make_net):
    net = make_net(decoder_norm="batch")
    new = net.adapt(outputs={"segmentation": 7})
    old_state, state = net.state_dict(), new.state_dict()
    changed = {key for key in state if not torch.equal(state[key], old_state.get(key, state[key]))
               or state[key].shape != old_state[key].shape}  # fmt: skip
    assert changed <= {"heads.segmentation.weight", "heads.segmentation.bias", "alpha.segmentation"}
    assert state["heads.segmentation.weight"].shape[0] == 7
    assert net.state_dict()["heads.segmentation.weight"].shape[0] == 5


def test_streams_are_matched_by_name(make_net, make_inputs):
    net = make_net(name="segformer", exchange={"threshold": 0.0})
    inputs = make_inputs(net)
    turned = net.adapt(inputs={"depth": 1, "rgb": 3})
    out = outputs_of(turned, inputs)["segmentation"]
    expected = outputs_of(net, inputs)["segmentation"]
    assert list(out.streams) == ["depth", "rgb"]
    torch.testing.assert_close(out.ensemble, expected.ensemble)


def test_a_new_input_starts_from_the_first(make_net):
    net = make_net(decoder_norm="batch")
    new = net.adapt(inputs={"thermal": 1, "depth": 1, "rgb": 3})
    for part in ("encoder.bn1", "encoder.layer3.0.bn2", "decoder.levels.0.reduce.norm"):
        old_rows, rows = net.get_submodule(part).weight, new.get_submodule(part).weight
        assert torch.equal(rows, old_rows[[0, 1, 0]])
    old_alpha, alpha = net.alpha["segmentation"], new.alpha["segmentation"]
    torch.testing.assert_close(alpha, torch.stack([old_alpha.mean(), old_alpha[1], old_alpha[0]]))


def test_a_new_task_starts_from_the_streams_of_the_same_input(make_net):
    net = make_net(decoder_norm="batch")
    name = "decoder.levels.1.merge.norm"
    with torch.no_grad():
        net.get_submodule(name).bias.normal_()
    new = net.adapt(outputs={"distance": Task("depth", 1), "segmentation": 5})
    assert new.decoder_streams.names[0] == "distance/rgb"
    rows = new.get_submodule(name).bias
    assert torch.equal(rows, net.get_submodule(name).bias[[0, 1, 0, 1]])
    assert torch.equal(new.heads["segmentation"].weight, net.heads["segmentation"].weight)
    back = new.adapt(outputs={"segmentation": 5})
    for key, value in net.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key


@pytest.mark.parametrize(
    "options",
    [
        {"decoder_exchange": False},
        {"task_streams": "separate"},
        {"task_streams": "separate", "decoder_norm": "none"},
        {"convolution": "private", "decoder_exchange": False},
        {"task_streams": "shared"},
    ],
)
def test_outputs_that_stay_predict_what_they_did(make_net, make_inputs, options):
    net = make_net(name="segformer", outputs={"a": Task("depth", 1), "b": 3, "c": 2}, **options)
    with torch.no_grad():
        for parameter in net.decoder.parameters():
            parameter.mul_(torch.rand_like(parameter) + 0.5)
    inputs = make_inputs(net)
    expected = outputs_of(net, inputs)["b"].ensemble
    alone = net.adapt(outputs={"b": 3})
    for other in (
        alone,
        net.adapt(outputs={"c": 2, "b": 3}),
        alone.adapt(outputs={"d": 2, "b": 3}),
    ):
        torch.testing.assert_close(outputs_of(other, inputs)["b"].ensemble, expected)


@pytest.mark.parametrize("convolution", ["shared", "private"])
def test_stems_are_adapted(make_net, make_inputs, convolution):
    net = make_net(inputs={"rgb": 3, "flow": 2}, convolution=convolution)
    new = net.adapt(inputs={"rgb": 3, "flow": 4, "spectrum": 6})
    torch.testing.assert_close(new.stems["flow"].weight.sum(1), net.stems["flow"].weight.sum(1))
    first = net.encoder.conv1 if convolution == "shared" else net.stems["rgb"]
    torch.testing.assert_close(new.stems["spectrum"].weight.sum(1), first.weight.sum(1))
    outputs_of(new, make_inputs(new))


@pytest.mark.parametrize("options", [{"name": "segformer", "encoder": "mit_b0"}, {"name": "unet"}])
def test_biases_of_private_stems_are_kept(options):
    """Convolutions of ResNets have none."""
    net = build(**options, inputs={"rgb": 3, "flow": 2}, outputs={"segmentation": 5}, width=8)
    bias = net.stems["flow"].bias
    torch.nn.init.normal_(bias)
    assert torch.equal(finetune(net, outputs={"segmentation": 7}).stems["flow"].bias, bias)
    assert torch.equal(finetune(net, inputs={"flow": 4}).stems["flow"].bias, bias)
    alone = finetune(net, inputs={"flow": 2, "other": 5})
    assert torch.equal(finetune(alone, inputs={"flow": 2, "depth": 1}).encoder.conv1.bias, bias)


def test_stems_alone_make_a_shared_convolution(make_net):
    net = make_net(inputs={"flow": 2, "spectrum": 6})
    new = net.adapt(inputs={"rgb": 3})
    torch.testing.assert_close(new.encoder.conv1.weight.sum(1), net.stems["flow"].weight.sum(1))


def test_what_goes_with_the_network(make_net):
    net = make_net().double().eval()
    net.metadata = {"preprocessing": {"rgb": {"a": 1}, "depth": {"b": 2}}, "step": 5}
    new = net.adapt(inputs={"rgb": 3, "depth": 2}, outputs={"parts": 2})
    assert new.metadata == {"preprocessing": {"rgb": {"a": 1}}}
    assert {p.dtype for p in new.parameters()} == {torch.float64}
    assert not new.training
    assert net.adapt().alpha["segmentation"].requires_grad


def test_inputs_that_stay_keep_their_order_by_which_channels_are_dealt_out(make_net, make_inputs):
    net = make_net(decoder_norm="batch")
    for layer in exchange_layers(net).values():
        torch.nn.init.normal_(layer.weight, std=0.02)
    inputs = make_inputs(net)
    turned = finetune(net, inputs={"depth": 1, "rgb": 3})
    out, expected = (outputs_of(n, inputs)["segmentation"].ensemble for n in (turned, net))
    assert torch.equal(out, expected)
    assert list(finetune(net, inputs={"thermal": 1, "depth": 1}).inputs) == ["depth", "thermal"]
