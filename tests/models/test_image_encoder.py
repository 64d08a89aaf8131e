"""Encoders of others, and of one's own, as encoders of streams."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, StreamNorm, Streams
from cen.exchange.conversion.private_convolution import StreamConv2d
from cen.models import finetune
from cen.models.builders import build, encoders
from cen.models.image_encoder import ImageEncoder


class Pyramid(nn.Module):
    """A small encoder that says nothing of itself; channels last in its second map."""

    def __init__(self, multiple: int = 1) -> None:
        super().__init__()
        self.multiple = multiple
        self.entry = nn.Conv2d(3, 6, 4, 4)
        self.norm1 = nn.BatchNorm2d(6)
        self.deeper = nn.Conv2d(6, 10, 2, 2)
        self.norm2 = nn.LayerNorm(10)
        self.unused = nn.BatchNorm2d(3)

    def forward(self, image):
        assert image.shape[-1] % self.multiple == 0
        x = F.relu(self.norm1(self.entry(image)))
        deep = self.norm2(self.deeper(x).permute(0, 2, 3, 1))
        return {"x": x, "deep": deep}


@pytest.fixture
def own(monkeypatch):
    """The encoder by the name ``own``."""
    monkeypatch.setitem(encoders, "own", lambda options, output_stride: Pyramid())


def make(**changes):
    torch.manual_seed(0)
    arguments = {
        "name": "fpn",
        "encoder": "own",
        "inputs": {"rgb": 3, "depth": 1, "bands": 5},
        "outputs": {"s": 4},
        "decoder_channels": 4,
    }
    return build(**{**arguments, **changes})


def randomised(net):
    """The network with scales and shifts that differ by stream, none of them small."""
    with torch.no_grad():
        for norm in net.modules():
            if isinstance(norm, StreamNorm):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_()
                if getattr(norm, "running_var", None) is not None:
                    norm.running_var.uniform_(0.5, 2)
                    norm.running_mean.normal_()
    return net.eval()


def images(net, size=(40, 52)):
    generator = torch.Generator().manual_seed(1)
    return {n: torch.randn(2, c, *size, generator=generator) for n, c in net.inputs.items()}


def test_what_an_encoder_is_is_found_by_calling_it():
    encoder = ImageEncoder(Pyramid(), "own")
    assert encoder.channels == (6, 10)
    assert encoder.strides == (4, 8)
    assert encoder.firsts == ("entry",)
    assert (encoder.multiple, encoder.smallest) == (1, 32)
    assert isinstance(encoder.net.unused, nn.Identity)
    assert [tuple(x.shape) for x in encoder(torch.randn(2, 3, 64, 96))] == [
        (2, 6, 16, 24),
        (2, 10, 8, 12),
    ]
    assert ImageEncoder(Pyramid(14), "own").smallest == 42


@pytest.mark.parametrize("channels", [2, 5, 7, 8])
@pytest.mark.parametrize("last", [False, True])
def test_few_channels_are_told_from_height_and_width(channels, last):
    """Maps are 7 × 9 or so in the trial: of 5 channels, the 9 columns were taken for channels."""

    class Few(nn.Module):
        def __init__(self):
            super().__init__()
            self.entry = nn.Conv2d(3, channels, 3, 16, 1)

        def forward(self, image):
            found = self.entry(image)
            return [found.permute(0, 2, 3, 1) if last else found]

    encoder = ImageEncoder(Few(), "few")
    assert encoder.channels == (channels,)
    assert encoder(torch.randn(2, 3, 64, 96))[0].shape == (2, channels, 4, 6)


@pytest.mark.parametrize("stream", ["rgb", "depth", "bands"])
def test_each_stream_is_the_plain_encoder_with_its_norms(own, stream):
    net = randomised(make(exchange=ExchangeRule(enabled=False, penalty="none")))
    inputs = images(net)
    with net.encoder_streams.activate(list(inputs), 6):
        packed = net.encoder(net._stem(inputs, list(inputs)))
    row = list(inputs).index(stream)
    plain, stem = Pyramid().eval(), net.encoder.net.entry
    conv = stem.private["bands"] if stream == "bands" else stem.shared
    plain.entry = conv
    plain.deeper.load_state_dict(net.encoder.net.deeper.state_dict())
    for name in ("norm1", "norm2"):
        state = getattr(net.encoder.net, name).state_dict()
        like = getattr(plain, name).state_dict()
        state = {k: v[row].view_as(like[k]) for k, v in state.items() if k in like}
        getattr(plain, name).load_state_dict(state, strict=False)
    image = inputs[stream].expand(-1, 3, -1, -1) if stream == "depth" else inputs[stream]
    expected = plain(image)
    expected["deep"] = expected["deep"].permute(0, 3, 1, 2)
    for found, one in zip(packed, expected.values(), strict=True):
        torch.testing.assert_close(found.unflatten(0, (2, 3))[:, row], one)


@pytest.mark.parametrize("names", [["depth"], ["rgb", "depth"], ["bands"]], ids="+".join)
def test_the_first_call_may_be_of_any_subset(own, names):
    """A network that was loaded to predict from one sensor."""
    first, other = make().eval(), make().eval()
    inputs = images(first)
    other(inputs)
    given = {name: inputs[name] for name in names}
    found, expected = first(given)["s"], other(given)["s"]
    assert list(found.streams) == names
    torch.testing.assert_close(found.ensemble, expected.ensemble)
    assert first.encoder.summary() == other.encoder.summary()


def test_streams_exchange_and_miss_and_learn(own):
    net = make()
    names = [name for name, norm in net.encoder.named_modules() if isinstance(norm, StreamNorm)]
    assert names == ["net.norm1", "net.norm2"]
    assert net.encoder.summary().exchanging == ("norm1", "norm2")
    inputs = images(net)
    net(inputs)["s"].ensemble.sum().backward()
    sum(x.sum() for x in net(inputs)["s"].streams.values()).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.eval()
    alone = net({"bands": inputs["bands"]})["s"]
    assert list(alone.streams) == ["bands"]
    before = net(inputs)["s"].streams["rgb"]
    assert torch.equal(net({"rgb": inputs["rgb"]})["s"].streams["rgb"], before)
    with torch.no_grad():
        norm = net.encoder.net.norm2
        norm.weight[norm.own] = 0.0
    assert not torch.equal(net(inputs)["s"].streams["rgb"], before)


def test_images_are_padded_to_what_an_encoder_takes(monkeypatch):
    monkeypatch.setitem(encoders, "own", lambda options, output_stride: Pyramid(16))
    net = make().eval()
    assert net.multiple == 16
    inputs = images(net, (40, 50))
    out = net(inputs)["s"]
    assert out.ensemble.shape[-2:] == (40, 50)
    assert net(inputs, size=(80, 100))["s"].ensemble.shape[-2:] == (80, 100)
    # What fits goes through as it is.
    assert net(images(net, (48, 64)))["s"].ensemble.shape[-2:] == (12, 16)
    whole = {n: F.pad(x, (0, 14, 0, 8), mode="replicate") for n, x in inputs.items()}
    expected = net(whole, size=(48, 64))["s"].ensemble[..., :40, :50]
    torch.testing.assert_close(out.ensemble, expected)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"exchange_stages": [1]}, "exchange_stages"),
        ({"convolution": "private"}, "convolution"),
        ({"fusion": "average", "fusion_at": "middle"}, "middle"),
        ({"fusion": "align"}, "align"),
    ],
)
def test_what_needs_stages_is_refused(own, options, word):
    with pytest.raises(ConfigError, match=word):
        make(**options)


def test_tasks_of_one_input_may_have_decoders_of_their_own(own):
    net = make(
        inputs={"rgb": 3},
        outputs={"s": 4, "t": 2},
        convolution="private",
        decoder_exchange=False,
    )
    decoders = [layer for layer in net.decoder.modules() if isinstance(layer, StreamConv2d)]
    assert decoders
    assert not any(isinstance(layer, StreamConv2d) for layer in net.encoder.modules())
    net(images(net))["s"].streams["rgb"].square().sum().backward()
    for layer in decoders:
        of_s, of_t = layer.weight.grad
        assert of_s.abs().sum() > 0
        assert of_t.abs().sum() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "concat", "fusion_at": "early"},
        {"fusion": "concat", "fusion_at": "late"},
        {"fusion": "average"},
        {"fusion": "ensemble"},
        {"norm": "shared"},
    ],
)
def test_baselines_take_it_too(own, options):
    net = make(**options)
    out = net(images(net))["s"]
    assert out.ensemble.shape == (2, 4, 10, 13)
    out.ensemble.sum().backward()


def test_norms_that_exchange_can_be_named(own):
    assert make(exchange_norms=["norm2"]).encoder.summary().private == ("norm1",)
    with pytest.raises(ConfigError, match="exchange_norms"):
        make(exchange_norms=["norm2"], fusion="ensemble")
    with pytest.raises(ConfigError, match="entry of exchange_norms"):
        make(exchange_norms=[3])


def test_other_inputs_start_from_what_there_is(own):
    net = make()
    other = finetune(net, inputs={"bands": 5, "two": 2})
    new, old = other.encoder.net.entry, net.encoder.net.entry
    assert torch.equal(new.private["bands"].weight, old.private["bands"].weight)
    torch.testing.assert_close(
        new.private["two"].weight, old.shared.weight.sum(1, keepdim=True).expand(-1, 2, -1, -1) / 2
    )
    plain = finetune(net, inputs={"rgb": 3})
    assert torch.equal(plain.encoder.net.entry.weight, old.shared.weight)
    assert torch.equal(new.private["two"].bias, old.shared.bias)
    other = finetune(finetune(net, inputs={"bands": 5}), inputs={"rgb": 3})
    first = other.encoder.net.entry.weight
    torch.testing.assert_close(first.sum(1), old.private["bands"].weight.sum(1))


class Square(nn.Module):
    """Takes images of one size alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)
        self.place = nn.Parameter(torch.zeros(1, 4, 7, 7))

    def forward(self, image):
        return [self.conv(image) + self.place]


class Vector(nn.Module):
    """Gives no maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)

    def forward(self, image):
        return [self.conv(image).mean((2, 3))]


@pytest.mark.parametrize(("net", "word"), [(Square, "none of the sizes"), (Vector, "feature map")])
def test_what_is_no_encoder_is_refused(net, word):
    with pytest.raises(ConfigError, match=word):
        ImageEncoder(net(), "odd")


class Linear(nn.Module):
    """Reads patches of images with a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(48, 5)
        self.norm = nn.LayerNorm(5)

    def forward(self, image):
        patches = image[..., :64, :64].unfold(2, 4, 4).unfold(3, 4, 4)
        rows = patches.permute(0, 2, 3, 1, 4, 5).flatten(3)
        return [self.norm(self.patches(rows))]


def test_other_channels_need_a_convolution_of_the_image():
    encoder = ImageEncoder(Linear(), "patches")
    ways = {"fresh": True, "shared": False}
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        encoder.ride(Streams(("a",)), {"a": 5}, None, None, **ways)
    encoder.ride(Streams(("a", "b")), {"a": 3, "b": 1}, None, None, **ways)
    assert isinstance(encoder.net.norm, StreamNorm)
