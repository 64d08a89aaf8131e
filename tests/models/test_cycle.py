import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import cen
from cen.errors import ConfigError, DataError, ShapeError, StreamError
from cen.exchange import ExchangeRule, exchange_layers, instance_statistics, sparsity
from cen.models import build, load, save
from cen.models.cycle import fused

IMAGE = {"kind": "image", "channels": 3}
GREY = {"kind": "image", "channels": 1}
MODALITIES = {"rgb": 3, "depth": 1, "normal": 3}
TASKS = {"rgb": IMAGE, "depth": GREY, "normal": IMAGE}


def tiny(**changes):
    torch.manual_seed(0)
    options = {"encoder": "unet3", "width": 8, "inputs": MODALITIES, "outputs": TASKS}
    net = build("cycle", **{**options, **changes})
    with torch.no_grad():
        for layer in exchange_layers(net).values():
            layer.weight[torch.rand_like(layer.weight) < 0.5] = 0.001
        for alpha in net.alpha.values():
            alpha.copy_(torch.randn_like(alpha))
    return net


def batch(net, size=(16, 24), count=2):
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(count, channels, *size, generator=generator)
        for name, channels in net.inputs.items()
    }


def test_every_modality_is_predicted_from_all_others():
    net = tiny()
    out = net(batch(net))
    assert {target: list(o.streams) for target, o in out.items()} == {
        "rgb": ["depth", "normal"],
        "depth": ["rgb", "normal"],
        "normal": ["rgb", "depth"],
    }
    assert out["depth"].ensemble.shape == (2, 1, 16, 24)
    assert len(net.encoder_streams) == 6
    assert len(net.encoder_streams.groups) == 3


@pytest.mark.parametrize("mode", ["train", "eval", "instance"])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_nothing_of_a_target_reaches_its_own_prediction(mode, count):
    """Gradients of each prediction with respect to its hidden target, all directions at once."""
    names = dict(list({**MODALITIES, "shade": 1, "edges": 1}.items())[:count])
    tasks = {name: IMAGE if channels == 3 else GREY for name, channels in names.items()}
    net = tiny(inputs=names, outputs=tasks, dropout=0.5).train(mode == "train")
    assert any(layer.replaced().any() for layer in exchange_layers(net).values())
    images = {name: image.requires_grad_() for name, image in batch(net).items()}
    outputs = net(images)
    if mode == "instance":
        with instance_statistics(net):
            outputs = net(images)
    assert list(outputs) == list(names)
    for target, output in outputs.items():
        predicted = sum((value**2).sum() for value in output.streams.values())
        predicted = predicted + (output.ensemble**2).sum() + (fused(output) ** 2).sum()
        gradients = torch.autograd.grad(
            predicted, list(images.values()), retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(images, gradients, strict=True):
            if name == target:
                assert gradient is None or (gradient == 0).all(), target
            else:
                assert gradient.abs().max() > 0, (target, name)


def test_a_target_that_is_given_changes_nothing():
    net = tiny().eval()
    images = batch(net)
    with torch.no_grad():
        whole = net(images)
        for target in net.outputs:
            others = {name: image for name, image in images.items() if name != target}
            alone = net.predict(target, others)
            torch.testing.assert_close(alone.ensemble, whole[target].ensemble)


def test_any_subset_of_the_others_predicts():
    net = tiny().eval()
    images = batch(net)
    with torch.no_grad():
        single = net.predict("rgb", {"normal": images["normal"]})
        assert list(single.streams) == ["normal"]
        assert single.alpha.tolist() == [1.0]
        assert list(net({"rgb": images["rgb"]})) == ["depth", "normal"]
        some = net(images, targets=["normal", "rgb"])
    assert list(some) == ["rgb", "normal"]


def test_streams_of_a_target_exchange_among_each_other_alone():
    """With every channel below the threshold a source takes all from the target's other source."""
    net = tiny(exchange=ExchangeRule(10.0, scope="any")).eval()
    layer = next(iter(exchange_layers(net).values()))
    order = list(net.encoder_streams.names)
    assert layer.replaced().all()
    seen = {}
    layer.register_forward_hook(lambda module, args, out: seen.update(packed=args[0], out=out))
    net(batch(net, count=1))
    with torch.no_grad():
        plain = layer._normalise(seen["packed"].reshape(1, -1, *seen["packed"].shape[2:]))
    plain = plain.reshape(seen["out"].shape)
    for target in net.outputs:
        one, two = (order.index(f"{target}/{source}") for source in net.sources(target))
        torch.testing.assert_close(seen["out"][one], plain[two])
        torch.testing.assert_close(seen["out"][two], plain[one])


def test_an_overflow_for_one_target_leaves_the_others_finite():
    """Exchanging with weights 0 for the streams of other targets would make NaN of infinity."""
    names = {**MODALITIES, "shade": 1}
    tasks = {name: IMAGE if channels == 3 else GREY for name, channels in names.items()}
    net = tiny(inputs=names, outputs=tasks).eval()
    layer = next(iter(exchange_layers(net).values()))
    with torch.no_grad():
        rows = [i for i, name in enumerate(net.encoder_streams.names) if name.startswith("rgb/")]
        layer.weight[rows], layer.bias[rows] = 1.0, torch.inf
        out = net(batch(net))
    assert not out["rgb"].ensemble.isfinite().all()
    for target in ("depth", "normal", "shade"):
        assert out[target].ensemble.isfinite().all()


def test_it_compiles_whole_and_exports():
    """With all modalities, and without one: the groups of the targets then differ in size."""
    net = tiny().eval()
    images = batch(net)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    for given in (images, {name: images[name] for name in ("rgb", "normal")}):
        for target, output in net(given).items():
            torch.testing.assert_close(compiled(given)[target].ensemble, output.ensemble)
    exported = torch.export.export(net, (images,)).module()
    torch.testing.assert_close(exported(images)["rgb"].ensemble, net(images)["rgb"].ensemble)


def test_parts_and_penalty_are_per_target():
    net = tiny()
    layer = next(iter(exchange_layers(net).values()))
    assert layer.own.sum().item() == 3 * layer.num_features
    own = [layer.weight[row][layer.own[row]].abs().sum() for row in range(len(net.encoder_streams))]
    torch.testing.assert_close(sparsity(layer), torch.stack(own).sum())
    assert sparsity(net).requires_grad


def test_a_third_of_the_parameters_of_separate_networks():
    with torch.device("meta"):
        one = build("cycle", inputs=MODALITIES, outputs=TASKS)
        separate = [
            build(
                "unet",
                inputs={name: n for name, n in MODALITIES.items() if name != target},
                outputs={target: task},
            )
            for target, task in TASKS.items()
        ]

    def size(net):
        return sum(p.numel() for p in net.parameters())

    share = size(one) / sum(size(net) for net in separate)
    assert share == pytest.approx(1 / 3, abs=0.002)


def test_segmentation_and_depth_among_the_modalities():
    inputs = {"rgb": 3, "depth": 1, "parts": 4}
    outputs = {"rgb": IMAGE, "depth": {"kind": "depth", "channels": 1}, "parts": 4}
    net = tiny(inputs=inputs, outputs=outputs, feeds={"depth": [[0.5], [-1.0]]})
    labels = torch.tensor([[[0, 3], [255, 1]]]).repeat(1, 8, 8)
    entered = net.enter("parts", labels)
    assert entered.shape == (1, 4, 16, 16)
    assert entered[0, :, 0, 0].tolist() == [1, 0, 0, 0]
    assert entered[0, :, 1, 0].tolist() == [0, 0, 0, 0]
    metres = torch.tensor([[[[2.0, torch.nan], [4.0, 6.0]]]])
    assert net.enter("depth", metres).flatten().tolist() == [0.0, 0.0, 1.0, 2.0]
    out = net({"rgb": torch.randn(1, 3, 16, 16), "depth": torch.randn(1, 1, 16, 16)})
    again = net.reenter("parts", out["parts"])
    torch.testing.assert_close(again.sum(1), torch.ones(1, 16, 16))
    expected = fused(out["depth"]) * 0.5 - 1
    torch.testing.assert_close(net.reenter("depth", out["depth"]), expected)
    assert again.requires_grad


def test_what_is_seen_again_teaches_the_streams_but_not_alpha():
    net = tiny()
    out = net(batch(net))["rgb"]
    torch.testing.assert_close(fused(out), out.ensemble)
    fused(out).sum().backward()
    assert net.alpha["rgb"].grad is None
    assert net.heads["rgb"].conv.weight.grad is not None


def test_checkpoints_and_inspection(tmp_path):
    net = tiny(feeds={"rgb": [[2.0] * 3, [0.1] * 3]}).eval()
    save(net, tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    images = batch(net)
    assert torch.equal(again(images)["rgb"].ensemble, net(images)["rgb"].ensemble)
    assert again.feeds == net.feeds
    found = cen.inspect(net)
    assert set(found.alpha["rgb"]) == {"depth", "normal"}
    assert {layer.stream for layer in found.layers} == set(net.encoder_streams.names)


def test_bad_input():
    net = tiny()
    images = batch(net)
    with pytest.raises(StreamError, match="'rgb' is among its own inputs"):
        net.predict("rgb", images)
    with pytest.raises(StreamError, match=r"unknown target 'rbg' \(did you mean 'rgb'\?\)"):
        net(images, targets=["rbg"])
    with pytest.raises(StreamError, match="unknown input 'sound'"):
        net({**images, "sound": images["depth"]})
    with pytest.raises(StreamError, match="nothing to predict 'rgb' from"):
        net({"rgb": images["rgb"]}, targets=["rgb"])
    with pytest.raises(StreamError, match="no input given"):
        net.predict("rgb", {})
    with pytest.raises(ShapeError, match="same size"):
        net({**images, "depth": images["depth"][..., :16]})
    with pytest.raises(ConfigError, match="cannot take over weights"):
        net.adapt()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": {"rgb": 3, "depth": 1}, "outputs": {"rgb": IMAGE, "depth": GREY}},
            "at least 3 modalities, not 2",
        ),
        ({"outputs": {"rgb": IMAGE, "depth": GREY}}, "normal is only one of them"),
        ({"outputs": {**TASKS, "depth": IMAGE}}, "'depth' has 1 channels as an input but 3"),
        ({"inputs": dict(reversed(MODALITIES.items()))}, "in the same order"),
        ({"feeds": {"rgb": [[1.0], [0.0]]}}, "feeds of 'rgb'"),
        ({"encoder": "resnet18"}, "unknown encoder"),
    ],
)
def test_what_is_no_cycle(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**changes)


def cost(count):
    """Bytes kept for the backward pass and multiplications of a step, by number of modalities."""
    names = {f"m{number}": 3 for number in range(count)}
    net = tiny(inputs=names, outputs=dict.fromkeys(names, IMAGE))
    kept = 0

    def keep(tensor):
        nonlocal kept
        # Parameters are kept once, whatever the number of streams.
        if not isinstance(tensor, torch.nn.Parameter):
            kept += tensor.numel() * tensor.element_size()
        return tensor

    images = batch(net)
    counter = FlopCounterMode(display=False)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        net(images)
    return kept, counter.get_total_flops()


def test_memory_and_work_grow_no_faster_than_linearly():
    """Up to 20 streams (five modalities), against 6."""
    least = cost(3)
    for count in (4, 5):
        more = count * (count - 1) / 6
        for found, first in zip(cost(count), least, strict=True):
            assert found <= 1.05 * more * first


def test_what_cannot_enter_is_refused():
    net = tiny(
        inputs={"rgb": 3, "depth": 1, "parts": 4},
        outputs={"rgb": IMAGE, "depth": {"kind": "depth", "channels": 1}, "parts": 4},
    )
    image = torch.rand(1, 3, 16, 16)
    for name, value, error, words in (
        ("deph", image, ConfigError, "did you mean 'depth'"),
        ("rgb", image.byte(), DataError, "floating point"),
        ("rgb", image[0], ShapeError, "B, C, H, W"),
        ("rgb", image[:, :1], ShapeError, "3 channels"),
        ("parts", image[:, 0], DataError, "integer"),
        ("parts", [[0]], DataError, "tensor"),
    ):
        with pytest.raises(error, match=words):
            net.enter(name, value)
    with pytest.raises(ConfigError, match="a Tensor of shape"):
        net.reenter("rgb", image)
