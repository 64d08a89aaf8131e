import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cen.errors import ConfigError
from cen.exchange import StreamNorm, exchange_layers
from cen.models import PSPNetDecoder, ResNet, build


@pytest.mark.parametrize(("encoder", "millions"), [("resnet50", "46.59"), ("resnet152", "81.23")])
def test_number_of_parameters(encoder, millions):
    """The encoder's, the pyramid's and the classifier's, counted from their shapes."""
    with torch.device("meta"):
        net = build("pspnet", encoder=encoder, inputs={"rgb": 3}, outputs={"segmentation": 21})
        encoder = ResNet({"resnet50": 50, "resnet152": 152}[encoder])
    pyramid = 4 * (2048 * 512 + 2 * 512) + (4096 * 512 * 9 + 2 * 512)
    expected = sum(p.numel() for p in encoder.parameters()) + pyramid + (512 + 1) * 21 + 1
    assert sum(p.numel() for p in net.parameters()) == expected
    assert f"{expected / 1e6:.2f}" == millions


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (1, 1)])
def test_only_the_deepest_feature_is_read_at_any_size(norm, size):
    decoder = PSPNetDecoder((4, 8, 8, 16), 6, norm=norm).eval()
    deepest = torch.randn(2, 16, *size)
    out = decoder([torch.empty(0), torch.empty(0), torch.empty(0), deepest])
    assert out.shape == (2, 6, *size)
    assert decoder.reads == (3,)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in decoder.modules()) == (5 if norm else 0)


def test_pyramid_is_the_bins_enlarged_beside_the_feature():
    decoder = PSPNetDecoder((4, 8), 6, norm=False, dropout=0.0)
    seen = []
    decoder.join.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    x = torch.randn(1, 8, 12, 18)
    decoder([x])
    levels = seen[0].split([8, 2, 2, 2, 2], 1)
    assert torch.equal(levels[0], x)
    whole = decoder.pyramid[0](x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(levels[1], whole.expand(-1, -1, 12, 18))
    sixth = decoder.pyramid[3](F.avg_pool2d(x, (2, 3)))
    torch.testing.assert_close(levels[4][..., 0, 0], sixth[..., 0, 0])
    torch.testing.assert_close(levels[4][..., -1, -1], sixth[..., -1, -1])


def test_norms_are_private_and_exchange_only_where_asked(make_net):
    """The encoder exchanges; the decoder has norms of its own, with one output already."""
    net = make_net(name="pspnet")
    assert net.config["decoder_norm"] == "batch"
    assert all(name.startswith("encoder.") for name in exchange_layers(net))
    assert sum(isinstance(m, StreamNorm) for m in net.decoder.modules()) == 5
    assert len(exchange_layers(make_net(name="pspnet", decoder_exchange=True).decoder)) == 5


def test_tasks_exchange_from_the_norm_behind_the_pyramid_on(make_net):
    net = make_net(name="pspnet", outputs={"a": 3, "b": 2}, decoder_exchange=True)
    assert list(exchange_layers(net.decoder)) == ["join.norm"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"channels": 0}, "decoder_channels"), ({"dropout": 1.0}, "dropout")],
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        PSPNetDecoder((2, 2, 2, 2), **options)
