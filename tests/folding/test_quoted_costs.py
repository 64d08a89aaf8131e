"""The multiply-adds of folded networks that README and the page about speed quote."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch

from cen.bench.scales import set_rate
from cen.exchange import StreamNorm
from cen.folding import plan_of
from cen.models import build
from cen.models.foreign_weights import without_values

ROOT = Path(__file__).parents[2]


def network(name="refinenet", **options):
    """Two streams whose kernels have shapes alone: a plan reads no more of them.

    Norms, which say what is exchanged, have values, and biases have those that they start from.
    """
    with without_values():
        net = build(name, inputs={"rgb": 3, "depth": 1}, **options)
    for place, module in list(net.named_modules()):
        if isinstance(module, StreamNorm):
            norm = type(module)(module.num_features, module.streams, exchange=module.exchange)
            net.set_submodule(place, norm)
        elif getattr(module, "bias", None) is not None:
            module.bias = torch.nn.Parameter(torch.zeros(module.bias.shape))
    return net.eval()


def layers_of(net, rate, size, streams=None):
    """What folding makes of the convolutions at a rate, for all predictions or some."""
    set_rate(net, rate)
    inputs = {name: torch.empty(1, channels, *size) for name, channels in net.inputs.items()}
    return plan_of(net, inputs, streams).layers


@cache
def studies():
    """The studies' network."""
    return network(
        encoder="resnet18",
        outputs={"segmentation": 6},
        width=16,
        decoder_channels=32,
        decoder_norm="batch",
        decoder_exchange=True,
    )


@cache
def tabled(decoder, encoder, exchanges):
    """A network of the table of where streams exchange."""
    sizes = {"width": 16, "decoder_channels": 32} if encoder == "resnet18" else {}
    norms = encoder == "resnet18" or exchanges
    return network(
        decoder,
        encoder=encoder,
        outputs={"segmentation": 15},
        decoder_norm="batch" if norms else "none",
        decoder_exchange=exchanges,
        **sizes,
    )


def folded(rate):
    """Million multiply-adds of the studies' network with two streams, unfolded and folded."""
    layers = layers_of(studies(), rate, (64, 96))
    return [round(sum(getattr(x, key) for x in layers) / 1e6) for key in ("before", "after")]


def left(decoder, encoder, exchanges, rate, streams=None):
    """What folding leaves of the multiply-adds of two streams, in %."""
    size = (96, 128) if encoder == "resnet18" else (64, 64)
    layers = layers_of(tabled(decoder, encoder, exchanges), rate, size, streams)
    return round(100 * sum(x.after for x in layers) / sum(x.before for x in layers))


def row(text, name):
    """The numbers of a row of a table."""
    found = re.search(rf"^\| {re.escape(name)}.*$", text, re.MULTILINE)
    return [float(x) for x in re.findall(r"(?<=\| )[\d.]+(?= \|)", found[0])]


def test_the_table_of_where_streams_exchange_is_what_is_counted():
    text = (ROOT / "docs/results/speed.md").read_text("utf-8")
    row = r"^\| (\w+), ResNet-(\d+) \| exchanges( nothing)?.* \| ([\d.]+) \| (\d+) % \| (\d+) % \|$"
    told = re.findall(row, text, re.MULTILINE)
    assert len(told) == 12
    for name, depth, nothing, rate, every, one in told:
        where = (name.lower(), f"resnet{depth}", not nothing, float(rate))
        assert (int(every), int(one)) == (left(*where), left(*where, ["rgb"]))
    # README and the page that chooses a fusion quote what is saved at most without the decoder.
    saved = max(100 - int(percent) for _, _, nothing, _, percent, _ in told if nothing)
    for page in ("README.md", "docs/which-fusion.md"):
        assert f"at most {saved} %" in (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("place", [0, 2, 5, 6])
def test_the_table_is_what_is_counted(place):
    text = (ROOT / "docs/results/speed.md").read_text("utf-8")
    rate = row(text, "rate | 0 | 0.2")[place]
    counted = folded(rate)
    assert counted == [row(text, "unfolded")[place], row(text, "folded | 187")[place]]
    if rate in (0.3, 0.975):
        name = "CEN, [rate 0.3" if rate == 0.3 else "CEN, λ = 3e-3"
        assert row((ROOT / "README.md").read_text("utf-8"), name)[-1] == counted[1]
