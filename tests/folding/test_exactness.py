"""Folding is exact: on every shipped configuration, and on networks of other projects."""

import itertools
import math
from typing import Any

import pytest
import torch
from tests.folding.networks import scatter
from tests.peers.networks import Peer, peers, skip_without
from tests.peers.torchvision_operators import define_missing_operators
from tests.peers.trials import distance, randomise, set_streams_apart
from torch import Tensor, nn

from cen.bench.model_steps import Case
from cen.cli.sources import load_config, shipped
from cen.exchange import convert
from cen.folding import fold

KEPT = define_missing_operators()
QUICK = ("rooms-cycle", "rooms-multimodal-multitask")
FOLDED = """
timm/resnet18 timm/resnext26ts timm/seresnet18 timm/regnety_002 timm/dla34 timm/cs3darknet_s
timm/tf_efficientnet_lite0 timm/efficientnet_b0 timm/mobilenetv3_small_050 timm/ghostnet_050
timm/repvgg_a0 timm/convnext_atto timm/mobilevit_xxs timm/pvt_v2_b0 timm/hgnetv2_b0
smp/Unet/resnet18 smp/UnetPlusPlus/resnet18 smp/Linknet/resnet18 smp/FPN/resnet18
smp/PAN/resnet18 smp/DeepLabV3Plus/resnet18 smp/PSPNet/resnet18
"""


def worst(folded: nn.Module, net: nn.Module, inputs: dict[str, Tensor]) -> float:
    """The largest difference of any output, as a share of its largest value."""
    with torch.no_grad():
        found, expected = folded(inputs), net(inputs)
    assert found.keys() == expected.keys()
    return max(
        distance([found[n].ensemble, found[n].streams], [output.ensemble, output.streams])
        for n, output in expected.items()
    )


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in shipped()]
)
def test_shipped_configurations(name: str) -> None:
    """In single precision, for every subset of the modalities and odd sizes."""
    full = load_config(name, {}).model
    of_others = "/" in (full.encoder or "")  # such as timm's, with widths of their own
    small: dict[str, Any] = {} if of_others else {"model.width": 4}
    if full.decoder_channels:
        small["model.decoder_channels"] = 8
    config = load_config(name, small)
    net = scatter(Case(config, len(config.model.inputs), 1, (64, 64)).network().eval(), 0.7)
    folded, side = fold(net, saved=-math.inf), max(64, int(net.smallest))  # type: ignore[arg-type]
    for count in range(1, len(net.inputs) + 1):  # type: ignore[arg-type]
        for names in itertools.combinations(net.inputs, count):  # type: ignore[arg-type]
            if getattr(net, "cyclic", False) and not net.predicted_from(names):  # type: ignore[operator]
                continue
            inputs = {
                n: torch.randn(1, c, side + 3, side + 13)
                for n, c in net.inputs.items()  # type: ignore[union-attr,operator]
                if n in names
            }
            assert worst(folded, net, inputs) <= 1e-5
            assert of_others or folded.plan(inputs).graph is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", [p for p in peers() if str(p) in FOLDED.split()], ids=str)
def test_converted_networks(peer: Peer) -> None:
    """Whatever is no rule of the table is run on packed tensors; the outputs are the same."""
    skip_without(peer)
    generator = torch.Generator().manual_seed(0)
    plain = peer.make().double().eval()
    randomise(plain, generator)
    net: Any = convert(plain, ["a", "b"], **peer.options).eval()
    set_streams_apart(net, generator)
    scatter(net, 0.6, statistics=False)
    folded = fold(net, saved=-math.inf)
    for names in (("a", "b"), ("b",)):
        inputs = {
            name: torch.randn(2, *peer.shape, dtype=torch.float64, generator=generator)
            for name in names
        }
        with torch.no_grad():
            assert distance(folded(inputs), net(inputs)) < 1e-6
