"""Every shipped configuration trains, on tiny rendered files."""

from pathlib import Path

import pytest
from tests.cli.conftest import Layouts
from tests.cli.printed import json_of
from tests.data.readers.made_up import MADE_UP
from tests.peers.torchvision_operators import define_missing_operators

from cen.cli import sources
from cen.config import Config

KEPT = define_missing_operators()

# Shipped configurations that read another layout than the demo's.
LAYOUTS = {
    "nyudv2-mat-refinenet101": "nyudv2-mat",
    "sunrgbd-refinenet101": "sunrgbd",
    "sunrgbd-pspnet152": "sunrgbd",
    "taskonomy-semantic": "taskonomy",
    "folder-example": "folder",
}
# Those with encoders of transformers, or of timm, whose smallest takes their place.
BACKBONES = ("segformer-mit_b2", "segformer-mit_b3", "upernet-convnext_tiny")
LAYOUTS |= {f"sunrgbd-{name}": "sunrgbd" for name in BACKBONES}
# Rooms is not written as these: small files are made up.
NOT_ROOMS = {
    "mfnet-segformer-mit_b4": "mfnet",
    "deliver-segformer-mit_b2": "deliver",
    "mcubes-segformer-mit_b2": "mcubes",
}

PAIRS = (
    "shade-texture-rgb",
    "depth-normal-rgb",
    "rgb-shade-normal",
    "rgb-normal-shade",
    "rgb-edge-depth",
    "growing-rgb",
)
CYCLES = ("rooms-cycle", "rooms-cycle-shade")
LAYOUTS |= dict.fromkeys(
    (*(f"{data}-{p}" for data in ("taskonomy", "rooms") for p in PAIRS), *CYCLES), "taskonomy"
)

# What makes a shipped configuration small enough for a test: sizes and lengths, and random weights,
# which explode without batch statistics.
TINY = {
    **{
        name: ["--train.steps", "2", "--model.width", "4", "--model.decoder_channels", "8"]
        for name in ("rooms-demo", "rooms-small", "rooms-study")
    },
    **{
        name: [
            "--model.width=4",
            "--model.decoder_channels=8",
            "--data.options={size: [32, 48], train: 10, test: 3}",
            "--train.steps=2",
            "--train.batch_size=2",
        ]
        for name in ("rooms-multitask", "rooms-multimodal-multitask")
    },
    **{
        name: [
            "--model.width=4",
            "--model.decoder_channels=8",
            "--model.weights=null",
            "--train.freeze_statistics=false",
            "--data.workers=0",
            # Rooms has other classes than the data sets whose form it is written in.
            *(["--data.classes=null"] if LAYOUTS.get(name) else []),
            "--data.transforms.shorter_side=64",
            "--data.transforms.crop=[64, 64]",
            "--train.batch_size=2",
            *(f"--train.stages.{stage}.steps=1" for stage in range(3)),
        ]
        for name in ("nyudv2-refinenet101", "nyudv2-refinenet152", "nyudv2-pspnet152", *LAYOUTS)
        if "refinenet" in name or "pspnet" in name
    },
    **{name: ["--model.width=4", "--train.steps=2", "--train.batch_size=2"] for name in CYCLES},
    **{
        f"{data}-{pair}": [
            "--model.encoder=unet5",
            "--model.width=4",
            "--model.discriminator_width=4",
            "--data.transforms.resize=[32, 48]",
            "--data.transforms.crop=[32, 32]",
            "--data.workers=0",
            "--train.steps=2",
            "--train.batch_size=2",
        ]
        for data in ("taskonomy", "rooms")
        for pair in PAIRS
    },
    **{
        f"{data}-{name}": [
            "--model.encoder=timm/test_convnext" if "convnext" in name else "--model.width=4",
            "--model.decoder_channels=8",
            "--model.weights=null",
            "--data.workers=0",
            *(["--data.classes=null"] if data == "sunrgbd" else []),
            "--data.transforms.crop=[64, 64]",
            "--train.batch_size=2",
            "--train.steps=2",
        ]
        for data in ("nyudv2", "sunrgbd")
        for name in BACKBONES
    },
    **{
        name: [
            "--model.encoder=mit_b0",
            "--model.width=4",
            "--model.decoder_channels=8",
            "--data.workers=0",
            "--data.transforms.crop=[32, 32]",
            "--train.batch_size=2",
            "--train.steps=2",
        ]
        for name in NOT_ROOMS
    },
    "folder-example": ["--train.steps", "2", "--model.width=4"],
    "taskonomy-semantic": [
        "--model.width=4",
        "--model.decoder_channels=8",
        "--model.weights=null",
        "--train.freeze_statistics=false",
        "--data.workers=0",
        "--data.transforms.crop=[64, 64]",
        "--train.batch_size=2",
        "--train.steps=2",
    ],
}


def test_every_shipped_configuration_is_tested() -> None:
    assert set(TINY) == set(sources.shipped())


# Those that differ from a quick one in their data, sizes or names alone: each network of them is
# built in test_model_steps, too.
ALIKE = (
    *(f"taskonomy-{pair}" for pair in PAIRS),
    *(f"rooms-{pair}" for pair in PAIRS[1:-1]),
    "rooms-study",
    "rooms-cycle-shade",
    "nyudv2-refinenet152",
    "sunrgbd-pspnet152",
    *(f"sunrgbd-{name}" for name in BACKBONES),
    "nyudv2-segformer-mit_b3",
    *NOT_ROOMS,
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in TINY],
)
def test_shipped_configuration_trains(
    name: str,
    rooms: Path,
    layouts: Layouts,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, root = tmp_path / "run", rooms
    if "convnext" in name:
        pytest.importorskip("timm")
    if name in LAYOUTS:
        root = layouts(LAYOUTS[name])
    if name in NOT_ROOMS:
        root = MADE_UP[NOT_ROOMS[name]](tmp_path / "data")
    words = ["train", name, "--data.root", str(root), "--out", str(out), *TINY[name]]
    figures = json_of(words, capsys)
    steps = Config.load(out / "config.yaml").train.max_steps
    assert (figures["run"], figures["steps"]) == (str(out), steps)
    assert "train/loss" in figures["metrics"]  # type: ignore[operator]
    assert (out / "last.safetensors").is_file()
