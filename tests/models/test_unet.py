import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cen import exchange
from cen.errors import ConfigError, ShapeError, StreamError
from cen.exchange import ExchangeRule, StreamInstanceNorm, exchange_layers
from cen.models import build, load, save
from cen.models.unet import UNetDecoder, UNetEncoder, draw_weights

IMAGE = {"kind": "image", "channels": 3}


def tiny(**changes):
    torch.manual_seed(0)
    options = {
        "encoder": "unet4",
        "width": 4,
        "inputs": {"shade": 1, "texture": 3},
        "outputs": {"rgb": IMAGE},
    }
    net = build("unet", **{**options, **changes})
    with torch.no_grad():
        for layer in exchange_layers(net).values():
            layer.weight[torch.rand_like(layer.weight) < 0.5] = 0.001
    return net


def batch(net, size=(32, 48), count=2):
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(count, channels, *size, generator=generator)
        for name, channels in net.inputs.items()
    }


@pytest.mark.parametrize(("streams", "millions"), [(1, 54.42), (2, 54.43), (3, 54.44), (4, 54.45)])
def test_parameters_of_the_released_generator(streams, millions):
    with torch.device("meta"):
        net = build("unet", inputs=dict.fromkeys("abcd"[:streams], 3), outputs={"rgb": IMAGE})
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == millions


def test_exchange_follows_the_second_to_the_last_encoder_convolution_but_one():
    with torch.device("meta"):
        net = build("unet", inputs={"a": 3, "b": 3}, outputs={"rgb": IMAGE})
    assert list(exchange_layers(net)) == [f"encoder.downs.{k}.norm" for k in range(6)]
    assert {layer.exchange for layer in exchange_layers(net).values()} == {ExchangeRule(1e-2)}
    norms = [m for m in net.modules() if isinstance(m, StreamInstanceNorm)]
    assert len(norms) == 6 + 7
    encoder: nn.Module = net.encoder
    assert isinstance(encoder.downs[-1].norm, nn.Identity)


@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_first_norm_exchanges_after_the_first_convolution_too(kind):
    net = tiny(first_norm=kind)
    assert list(exchange_layers(net))[:2] == ["encoder.norm1", "encoder.downs.0.norm"]
    assert set(exchange_layers(net)) - set(exchange_layers(tiny())) == {"encoder.norm1"}
    images = batch(net)
    with torch.no_grad():
        net.encoder.norm1.weight[:] = 1
        net.encoder.norm1.weight[0] = 0  # it gives all of its own part away
    found = {}
    net.encoder.norm1.register_forward_hook(lambda m, i, out: found.update(after=out))
    net(images)
    first, second = found["after"][::2], found["after"][1::2]  # the streams of each sample
    part = net.encoder.norm1.own[0]
    assert torch.equal(first[:, part], second[:, part])
    assert (first[:, ~part] != second[:, ~part]).any()
    # Stage 1 can now be chosen by itself.
    assert list(exchange_layers(tiny(first_norm="instance", exchange_stages=[1]))) == [
        "encoder.norm1"
    ]
    with pytest.raises(ConfigError, match="stage 1"):
        tiny(exchange_stages=[1])
    with pytest.raises(ConfigError, match="first_norm"):
        tiny(first_norm="layer")


def test_a_first_batch_norm_keeps_how_bright_an_image_is():
    """An instance norm takes it away."""
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32)
    for kind, kept in (("batch", True), ("instance", False)):
        encoder = UNetEncoder(3, 4, first_norm=kind, statistics="instance").eval()
        # Away from the border, where the convolution is padded with zeros.
        levels = [
            encoder.norm1(encoder.conv1(image)[..., 1:-1, 1:-1]).mean() for image in (x, x + 1)
        ]
        assert bool((levels[0] - levels[1]).abs() > 1e-3) is kept, kind


def test_dropout_in_the_first_three_decoder_blocks_and_fewer_in_smaller_networks():
    for depth, expected in ((8, 3), (7, 2), (6, 1), (5, 0), (9, 3)):
        with torch.device("meta"):
            decoder = UNetDecoder(UNetEncoder(depth, 2).channels, dropout=0.5)
        rates = [up.dropout.p for up in decoder.ups]
        assert rates == [0.5] * expected + [0.0] * (depth - 1 - expected)


def test_one_stream_is_the_plain_network():
    net = tiny(inputs={"shade": 3}, statistics="instance").eval()
    image = batch(net)["shade"]
    x = net.encoder.conv1(image)
    skips = [x]
    for down in net.encoder.downs:
        x = down.conv(F.leaky_relu(x, 0.2))
        if isinstance(down.norm, StreamInstanceNorm):
            norm = down.norm
            x = F.instance_norm(x, weight=norm.weight[0], bias=norm.bias[0])
        skips.append(x)
    for up, skip in zip(net.decoder.ups, skips[-2::-1], strict=True):
        x = F.instance_norm(up.conv(F.relu(x)), weight=up.norm.weight[0], bias=up.norm.bias[0])
        x = torch.cat([x, skip], 1)
    expected = torch.tanh(net.heads["rgb"].conv(F.relu(x)))
    torch.testing.assert_close(net({"shade": image})["rgb"].ensemble, expected)


def test_streams_and_ensemble_are_images_of_the_inputs_size():
    net = tiny()
    out = net(batch(net))["rgb"]
    assert list(out.streams) == ["shade", "texture"]
    for image in (*out.streams.values(), out.ensemble):
        assert image.shape == (2, 3, 32, 48)
        assert image.abs().max() <= 1
    streams = [out.streams[name] * weight for name, weight in zip(net.inputs, out.alpha)]  # noqa: B905
    torch.testing.assert_close(out.ensemble, sum(streams))
    out.ensemble.sum().backward()
    # The ensemble teaches alpha alone.
    assert net.alpha["rgb"].grad is not None
    assert all(p.grad is None for p in net.encoder.parameters())


def test_a_missing_modality_leaves_the_other_on_its_own():
    net = tiny().eval()
    images = batch(net)
    alone = net({"shade": images["shade"]})["rgb"]
    assert list(alone.streams) == ["shade"]
    assert torch.equal(alone.ensemble, alone.streams["shade"])
    assert not torch.equal(alone.ensemble, net(images)["rgb"].streams["shade"])


def test_inputs_of_other_channels_get_a_stem_of_their_own():
    net = tiny(inputs={"shade": 3, "curvature": 2})
    assert list(net.stems) == ["curvature"]
    assert net.stems["curvature"].bias is not None
    assert net(batch(net))["rgb"].ensemble.shape == (2, 3, 32, 48)


def test_several_outputs_run_streams_of_their_own_in_the_decoder():
    outputs = {"rgb": IMAGE, "depth": {"kind": "depth", "channels": 1}, "parts": 5}
    net = tiny(outputs=outputs, decoder_exchange=True)
    out = net(batch(net))
    assert {name: o.ensemble.shape[1] for name, o in out.items()} == {
        "rgb": 3, "depth": 1, "parts": 5,
    }  # fmt: skip
    # Only images are bounded: metres and logits are not.
    assert [head.bounded for head in net.heads.values()] == [True, False, False]
    assert len(net.decoder_streams) == 6
    assert net.decoder.ups[0].norm.exchange is None
    assert net.decoder.ups[1].norm.exchange is not None


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (37, 50)])
def test_any_size_that_can_be_halved_often_enough(size):
    net = tiny()
    out = net(batch(net, size))["rgb"].ensemble
    assert out.shape[-2:] == tuple(side // 2 * 2 for side in size)
    exact = net(batch(net, size), size=size)["rgb"].ensemble
    assert exact.shape[-2:] == size


def test_a_size_that_cannot():
    net = tiny()
    with pytest.raises(ShapeError, match="at least 16"):
        net(batch(net, (15, 64)))


def test_running_statistics_are_of_the_stream_and_used_in_eval_mode():
    net = tiny(statistics="running")
    images = batch(net)
    net(images)
    norm = net.encoder.downs[0].norm
    assert not torch.equal(norm.running_mean[0], norm.running_mean[1])
    net.eval()
    running = net(images)["rgb"].ensemble
    with exchange.instance_statistics(net):
        at_hand = net(images)["rgb"].ensemble
    assert not torch.allclose(running, at_hand)
    assert torch.equal(net(images)["rgb"].ensemble, running)


def test_instance_statistics_also_hold_for_shared_norms_and_after_an_error():
    net = tiny(norm="shared").eval()
    image = batch(net)
    expected = net(image)["rgb"].ensemble
    with exchange.instance_statistics(net):
        assert not torch.allclose(net(image)["rgb"].ensemble, expected)
    assert torch.equal(net(image)["rgb"].ensemble, expected)
    with pytest.raises(StreamError), exchange.instance_statistics(net):
        net({"sound": image["shade"]})
    assert torch.equal(net(image)["rgb"].ensemble, expected)


def test_kernels_are_drawn_as_released():
    net = tiny(width=16)
    for layer in (net.encoder.downs[2].conv, net.decoder.ups[1].conv, net.heads["rgb"].conv):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    wide = nn.Conv2d(8, 64, 3)
    draw_weights(wide, 0.5)
    assert wide.weight.std().item() == pytest.approx(0.5, rel=0.1)


def test_checkpoints_and_other_inputs(tmp_path):
    net = tiny().eval()
    save(net, tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    images = batch(net)
    assert torch.equal(again(images)["rgb"].ensemble, net(images)["rgb"].ensemble)
    wider = net.adapt(inputs={"shade": 1, "texture": 3, "curvature": 2})
    assert torch.equal(wider.encoder.downs[1].conv.weight, net.encoder.downs[1].conv.weight)
    assert wider(batch(wider))["rgb"].ensemble.shape == (2, 3, 32, 48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "unet44"}, "did you mean 'unet4'"),
        ({"encoder": "resnet50"}, "unknown encoder 'resnet50' of a U-Net"),
        ({"width": 0}, "at least 1, not 0"),
        ({"statistics": "batch"}, "statistics is 'running' or 'instance'"),
        ({"convolution": "private"}, "convolution is 'shared'"),
        ({"task_streams": "separate"}, "task_streams is 'private' or 'shared'"),
        ({"norm": "none"}, "norm is 'private' or 'shared'"),
        ({"dropout": 1.0}, "dropout is a number of at least 0 and below 1"),
        ({"inputs": {"shade": 0}}, "at least 1"),
    ],
)
def test_options_out_of_range(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**changes)


def test_a_u_net_halves_at_least_three_times():
    with pytest.raises(ConfigError, match="at least 3 times, not 2"):
        UNetEncoder(2)
