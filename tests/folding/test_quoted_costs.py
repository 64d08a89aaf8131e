"""The multiply-adds of folded networks that README and the page about speed quote."""

import re
from pathlib import Path

import pytest
import torch

from cen.bench.scales import set_rate
from cen.folding import plan_of
from cen.models import build

ROOT = Path(__file__).parents[2]


def folded(rate):
    """Million multiply-adds of the studies' network with two streams, unfolded and folded."""
    torch.manual_seed(0)
    net = build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 6},
        width=16,
        decoder_channels=32,
        decoder_norm="batch",
        decoder_exchange=True,
    )
    set_rate(net, rate)
    inputs = {"rgb": torch.empty(1, 3, 64, 96), "depth": torch.empty(1, 1, 64, 96)}
    layers = plan_of(net.eval(), inputs).layers
    return [round(sum(getattr(x, key) for x in layers) / 1e6) for key in ("before", "after")]


def left(encoder, exchanges, rate):
    """What folding leaves of the multiply-adds of two streams, in %."""
    torch.manual_seed(0)
    sizes = {"width": 16, "decoder_channels": 32} if encoder == "resnet18" else {}
    norms = encoder == "resnet18" or exchanges
    net = build(
        "refinenet",
        encoder=encoder,
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 15},
        decoder_norm="batch" if norms else "none",
        decoder_exchange=exchanges,
        **sizes,
    )
    set_rate(net, rate)
    height, width = (96, 128) if encoder == "resnet18" else (64, 64)
    inputs = {n: torch.empty(1, c, height, width) for n, c in {"rgb": 3, "depth": 1}.items()}
    layers = plan_of(net.eval(), inputs).layers
    return round(100 * sum(x.after for x in layers) / sum(x.before for x in layers))


def row(text, name):
    """The numbers of a row of a table."""
    found = re.search(rf"^\| {re.escape(name)}.*$", text, re.MULTILINE)
    return [float(x) for x in re.findall(r"(?<=\| )[\d.]+(?= \|)", found[0])]


def test_the_table_of_where_streams_exchange_is_what_is_counted():
    text = (ROOT / "docs/results/speed.md").read_text("utf-8")
    row = r"^\| ResNet-(\d+) \| exchanges( nothing)?.* \| ([\d.]+) \| (\d+) % \|$"
    told = re.findall(row, text, re.MULTILINE)
    assert len(told) == 8
    counted = [left(f"resnet{depth}", not nothing, float(rate)) for depth, nothing, rate, _ in told]
    assert [int(percent) for *_, percent in told] == counted
    # README and the page that chooses a fusion quote what is saved at most without the decoder.
    saved = max(100 - int(percent) for _, nothing, _, percent in told if nothing)
    for page in ("README.md", "docs/which-fusion.md"):
        assert f"at most {saved} %" in (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("place", [0, 2, 5, 6])
def test_the_table_is_what_is_counted(place):
    text = (ROOT / "docs/results/speed.md").read_text("utf-8")
    rate = row(text, "rate | 0 | 0.2")[place]
    assert folded(rate) == [row(text, "unfolded")[place], row(text, "folded | 187")[place]]
    if rate in (0.3, 0.975):
        name = "CEN, [rate 0.3" if rate == 0.3 else "CEN, λ = 3e-3"
        assert row((ROOT / "README.md").read_text("utf-8"), name)[-1] == folded(rate)[1]
