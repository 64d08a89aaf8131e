"""Encoders and networks of other libraries, and one's own, from training to prediction."""

import json
from pathlib import Path

import pytest
import torch
from tests.peers.torchvision_operators import define_missing_operators
from torch import nn

import cen
from cen import cli
from cen.errors import CheckpointError
from cen.exchange import exchange_layers
from cen.models import encoders

KEPT = define_missing_operators()


class Own(nn.Module):
    """An encoder as a person writes one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 2, 2), nn.BatchNorm2d(12), nn.ReLU())

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        fine = self.first(image)
        return [fine, self.second(fine)]


NETWORKS = {
    "mit_b0": ["name=segformer", "encoder=mit_b0", "width=4"],
    "tokenfusion": ["name=segformer", "encoder=mit_b0", "width=4", "fusion=tokenfusion"],
    "timm": ["name=upernet", "encoder=timm/test_convnext", "width=null"],
    "smp": [
        "name=smp/Unet",
        "encoder=timm/test_efficientnet",
        *(f"{key}=null" for key in ("width", "decoder_channels", "decoder_norm", "dropout")),
    ],
    "own": ["name=fpn", "encoder=own", "width=null"],
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_trains_evaluates_predicts_and_is_shown(
    network: str,
    small_rooms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if network in ("timm", "smp"):
        pytest.importorskip("segmentation_models_pytorch")
    monkeypatch.setitem(encoders, "own", lambda options, output_stride: Own())
    run = tmp_path / "run"
    words = ["train", "rooms-small", "--data.root", str(small_rooms), "--out", str(run)]
    words += ["--train.steps=2", "--train.batch_size=2", "--train.validate_every=2"]
    words += ["--data.workers=0", *(f"--model.{option}" for option in NETWORKS[network])]
    assert cli.main(words) == 0
    assert cli.main(["evaluate", str(run)]) == 0
    rgb = (small_rooms / "val.txt").read_text("utf-8").split("\t")[0]
    alone = ["predict", str(run), "--rgb", str(small_rooms / rgb), "-o", str(tmp_path / "alone")]
    assert cli.main(alone) == 0
    assert any((tmp_path / "alone").rglob("*.png"))
    if network not in ("mit_b0", "timm"):  # to a page these are as one's own
        assert cli.main(["report", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["inspect", str(run), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    net = cen.load(run)
    assert {layer["name"] for layer in layers} == set(exchange_layers(net))
    assert bool(layers) == (network != "tokenfusion")
    assert net.config["encoder"] == NETWORKS[network][1].partition("=")[2]
    assert cen.finetune(net, outputs={"segmentation": 3}).outputs["segmentation"].channels == 3
    assert cen.Predictor(run) is not None


def test_options_of_the_configuration_that_a_network_has_not_are_named_with_what_resets_them(
    small_rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All at once, in words that can be copied; rooms-small has options of RefineNet."""
    words = ["train", "rooms-small", "--data.root", str(small_rooms), "--out", str(tmp_path / "x")]
    words += ["--model.name=smp/Unet", "--model.encoder=resnet18"]
    assert cli.main(words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "model.width: is not for model.name smp/Unet" in told
    assert "--model.width null --model.decoder_channels null --model.decoder_norm null" in told
    assert not (tmp_path / "x").exists()


def test_an_encoder_of_ones_own_is_unknown_to_those_who_have_it_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as known:
        known.setitem(encoders, "own", lambda options, output_stride: Own())
        net = cen.build("fpn", encoder="own", inputs={"rgb": 3}, outputs={"s": 2})
        cen.save(net, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"unknown encoder 'own'"):
        cen.load(tmp_path / "net.safetensors")
