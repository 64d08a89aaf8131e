"""Draws docs/images/mechanism.png: a channel of the RGB stream gives way to depth's, in a real run.

python docs/scripts/mechanism.py        # about five minutes on one core

A small network learns the parts of Rooms from RGB and depth in a plain loop. The picture shows the
scales of the channels that the RGB stream owns in one layer, and of one that falls below the
threshold its feature map: when training began, at the end without the exchange, and with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import torch
from PIL import Image
from torch import Tensor

import cen
from cen.data import Rooms
from cen.exchange import StreamNorm, exchange_layers

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TYPE = 13
_ASIDE: dict[str, Any] = {"fontsize": TYPE, "ha": "right", "va": "center"}
INK, MUTED, EXCHANGED = "#1f2933", "#9aa5b1", "#a21caf"
SIZE, SCENES, STEPS, BATCH = (96, 128), 200, 480, 8
LEARNING_RATE, SPARSITY, THRESHOLD = 4e-3, 3e-2, 2e-2
LAYER, SCENE = "encoder.layer1.0.bn1", 5
PICTURE = Path(__file__).parents[1] / "images/mechanism.png"


@dataclass(frozen=True)
class Run:
    """What is drawn.

    Attributes:
        scene: The inputs of one scene, (1, channels, H, W) each.
        scales: |γ| of the RGB stream's own channels, (steps, channels).
        begin, own, exchanged: Output of the layer for that scene, (streams, channels, h, w): at
            the begin of training, and at its end without the exchange and with it.
    """

    scene: dict[str, Tensor]
    scales: Tensor
    begin: Tensor
    own: Tensor
    exchanged: Tensor


def samples(split: str, count: int) -> dict[str, Tensor]:
    """Rendered scenes as (count, channels, H, W), and their labels as (count, H, W)."""
    rooms = Rooms(split, size=SIZE, labels="parts", domains=("rgb", "depth"))
    scenes = [rooms[i] for i in range(count)]
    rgb, depth, labels = (
        torch.stack([torch.as_tensor(scene[name]) for scene in scenes])
        for name in ("rgb", "depth", "segmentation")
    )
    rgb = (rgb.permute(0, 3, 1, 2) / 255 - 0.45) / 0.22
    depth = ((depth[:, None] - 3) / 2).nan_to_num(0)  # holes are what is usual
    return {"rgb": rgb, "depth": depth, "segmentation": labels.long()}


def output(net: torch.nn.Module, layer: StreamNorm, scene: dict[str, Tensor]) -> Tensor:
    """What the layer gives for one scene, by stream."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, given, result: found.append(result))
    net.eval()
    with torch.no_grad():
        net(scene)
    net.train()
    handle.remove()
    return found[0]


def train() -> Run:
    """The run that is drawn."""
    torch.manual_seed(0)
    data, test = samples("train", SCENES), samples("test", SCENE + 1)
    scene = {name: test[name][SCENE:] for name in ("rgb", "depth")}
    net = cen.build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 15},
        width=16,
        decoder_channels=32,
        decoder_norm="batch",
        exchange=cen.ExchangeRule(threshold=THRESHOLD),
    )
    layer = exchange_layers(net)[LAYER]
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    scales = []
    for step in range(STEPS):
        batch = torch.randint(SCENES, (BATCH,))
        outputs = net({name: data[name][batch] for name in scene})
        target = {"segmentation": data["segmentation"][batch]}
        loss = cen.losses.fusion_loss(outputs, target, net.outputs).total
        loss = loss + SPARSITY * cen.sparsity(net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scales.append(layer.weight.detach()[0, layer.own[0]].abs().clone())
        if step == STEPS // 8:
            begin = output(net, layer, scene)
    exchanged = output(net, layer, scene)
    layer.exchange = None
    return Run(scene, torch.stack(scales), begin, output(net, layer, scene), exchanged)


def show(axes: Axes, values: Tensor, title: str, *, like: Tensor | None = None) -> None:
    """A feature map; ``like`` gives it the grey values of another."""
    scale = values if like is None else like
    axes.imshow(values, cmap="gray", vmin=float(scale.min()), vmax=float(scale.max()))
    axes.set_title(title, fontsize=TYPE, color=INK)
    axes.set_axis_off()


def draw_scales(axes: Axes, scales: Tensor, channel: int) -> None:
    """The course of the scales, with the channel that is shown in colour."""
    for i, course in enumerate(scales.T):
        axes.plot(course, color=MUTED if i != channel else EXCHANGED, lw=1 if i != channel else 3)
    axes.axhline(THRESHOLD, color=INK, lw=1, ls="--")
    axes.text(4, THRESHOLD * 1.15, "threshold θ", color=INK, va="bottom", fontsize=TYPE)
    gone = int((scales[:, channel] < THRESHOLD).nonzero()[0])
    axes.annotate(
        f"this channel\nis replaced\nfrom step {gone} on",
        (gone, THRESHOLD),
        (0.05, 0.04),
        textcoords="axes fraction",
        color=EXCHANGED,
        fontsize=TYPE,
        arrowprops={"arrowstyle": "->", "color": EXCHANGED, "lw": 1.5},
    )
    axes.set(yscale="log", ylim=(1e-3, 2), xlim=(0, len(scales)))
    axes.set_xlabel("step of training", fontsize=TYPE, color=INK)
    axes.tick_params(labelsize=TYPE - 2)
    axes.set_title("scales |γ| of the channels\nthat RGB owns", fontsize=TYPE, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def draw(run: Run) -> Figure:
    """The picture: higher than wide and in large type, to be read on a phone, too."""
    gone = (run.scales[-1] < THRESHOLD).nonzero().flatten().tolist()
    assert gone, "no channel fell below the threshold; train longer"
    # Of those that fell, the one that was liveliest in the beginning.
    channel = max(gone, key=lambda c: float(run.begin[0, c].std()))
    figure = Figure(figsize=(6, 6.8), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.05, 1))
    grid = above.add_gridspec(2, 2, width_ratios=(1, 2))
    rgb = (run.scene["rgb"][0] * 0.22 + 0.45).clamp(0, 1).permute(1, 2, 0)
    inputs = [above.add_subplot(grid[row, 0]) for row in range(2)]
    inputs[0].imshow(rgb)
    inputs[0].set_title("RGB", fontsize=TYPE, color=INK)
    inputs[0].set_axis_off()
    show(inputs[1], run.scene["depth"][0, 0], "depth")
    draw_scales(above.add_subplot(grid[:, 1]), run.scales, channel)
    columns = (
        ("early in\ntraining", run.begin),
        ("trained, before\nexchange", run.own),
        ("what the next\nlayer reads", run.exchanged),
    )
    places = below.subplots(2, len(columns))
    for column, (title, values) in enumerate(columns):
        for row, stream in enumerate(("RGB", "depth")):
            axes = places[row, column]
            show(axes, values[row, channel], title if row == 0 else "", like=values[1, channel])
            if column == 0:
                axes.text(-0.05, 0.5, f"{stream} stream", rotation=90, **_ASIDE, **axis(axes))
    replaced = places[0, -1]
    replaced.set_title(columns[-1][0], fontsize=TYPE, color=EXCHANGED)
    under = {"ha": "center", "va": "top", **axis(replaced)}
    replaced.text(0.5, -0.02, "= depth's channel", color=EXCHANGED, fontsize=TYPE, **under)
    return figure


def axis(axes: Axes) -> dict[str, Any]:
    """Places of a text as shares of its axes."""
    return {"transform": axes.transAxes}


if __name__ == "__main__":
    draw(train()).savefig(PICTURE, dpi=180)
    # Of a palette: a third of the size, and no difference is seen.
    Image.open(PICTURE).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        PICTURE, optimize=True
    )
