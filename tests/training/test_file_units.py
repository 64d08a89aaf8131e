"""Scores of continuous outputs are in the unit of their files."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save_file

from cen import cli
from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import ConfigError
from cen.metrics import image_scores, image_sums
from cen.models import Output, Task
from cen.training.file_units import file_units
from cen.training.fusion_scores import FusionScores

TASKS = {"heat": Task("image", 1)}


def thermal(**more: object) -> Modality:
    """Hundredths of a kelvin in the files, normalised for the network."""
    return Modality.of("continuous", channels=1, unit=0.01, mean=[293.0], std=[8.0], **more)  # type: ignore[arg-type]


def test_an_error_of_two_kelvin_is_two_kelvin() -> None:
    modality = thermal()
    stored = np.random.default_rng(0).integers(28000, 31000, (12, 16)).astype(np.uint16)
    truth = torch.from_numpy(modality.to_target(stored * np.float32(0.01)))[None]
    guess = truth + 2 / 8
    scores = FusionScores(["rgb"], TASKS, units=file_units(TASKS, {"heat": modality}))
    scores.update({"heat": Output({"rgb": guess}, guess, torch.ones(1))}, {"heat": truth})
    found = scores.compute()["heat"]
    for entry in (found["ensemble"], found["streams"]["rgb"]):
        assert entry["mae"] == pytest.approx(2.0, rel=1e-4)
        assert entry["rmse"] == pytest.approx(2.0, rel=1e-4)
        assert (entry["psnr"], entry["ssim"]) == (None, None)


def test_a_declared_range_gives_psnr_and_ssim() -> None:
    modality = thermal(clip=[273.0, 323.0])
    truth = torch.rand(1, 1, 16, 16)
    scores = FusionScores(["rgb"], TASKS, units=file_units(TASKS, {"heat": modality}))
    scores.update({"heat": Output({}, truth + 5 / 8, torch.ones(0))}, {"heat": truth})
    found = scores.compute()["heat"]["ensemble"]
    assert found["psnr"] == pytest.approx(20 * np.log10(50 / 5), rel=1e-4)
    assert 0 < found["ssim"] < 1


def test_pictures_keep_their_range() -> None:
    assert file_units(TASKS, {"heat": Modality.of("image", channels=1)}) == {}
    encoded = Modality.of("continuous", channels=1, encoding="taskonomy_depth")
    assert file_units(TASKS, {"heat": encoded}) == {}
    truth, guess = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    usual, other = (image_scores(image_sums(guess, truth, r)) for r in ((-1.0, 1.0), (0.0, 2.0)))
    assert usual.psnr.item() == pytest.approx(other.psnr.item())
    assert usual.ssim.item() != pytest.approx(other.ssim.item())


def test_a_declared_range_makes_pictures_of_values() -> None:
    (unit,) = file_units(TASKS, {"heat": thermal(clip=[273.0, 323.0])}).values()
    numbers = torch.tensor([273.0, 298.0, 323.0]).sub(293).div(8).view(1, 1, 1, 3)
    assert unit.picture(numbers).flatten().tolist() == pytest.approx([-1, 0, 1], abs=1e-5)
    (unit,) = file_units(TASKS, {"heat": thermal()}).values()
    with pytest.raises(ConfigError, match="clip"):
        unit.picture(numbers)


@pytest.mark.parametrize(("encoding", "white"), [("jet", 255.0), ("minmax", 1.0)])
def test_encodings_beyond_minus_one_to_one_are_scored_on_their_own_range(
    encoding: str, white: float
) -> None:
    modality = Modality.of("continuous", encoding=encoding, clip=[0.0, 9.0])
    tasks = {"heat": Task("image", modality.channels)}
    (unit,) = file_units(tasks, {"heat": modality}).values()
    assert unit.limits == pytest.approx((0.0, white))
    assert f"encoding {encoding}, which runs from 0 to {white:g}" in unit.text("heat")
    ends = torch.stack([(torch.tensor(v) - torch.tensor(modality.mean)) / torch.tensor(modality.std)
                        for v in (0.0, 1.0)])[:, :, None, None]  # fmt: skip
    assert unit.values(ends).amax((1, 2, 3)).tolist() == pytest.approx([0.0, white], abs=1e-3)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_evaluate_and_report_say_the_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network whose prediction is one constant: its error in kelvin is known from the files."""
    root, run = tmp_path / "data", tmp_path / "run"
    rng = np.random.default_rng(0)
    (root / "heat").mkdir(parents=True)
    kelvin = {}
    for name in "abcdefgh":
        write_png(root / "rgb" / f"{name}.png", rng.integers(0, 255, (32, 48, 3), dtype=np.uint8))
        kelvin[name] = rng.integers(28000, 31000, (32, 48)).astype(np.uint16)
        tifffile.imwrite(root / "heat" / f"{name}.tif", kelvin[name])
    heat = "{pattern: 'heat/{id}.tif', kind: continuous, unit: 0.01, mean: [293.0], std: [8.0]}"
    (root / "dataset.yaml").write_text(
        "modalities: {rgb: {pattern: 'rgb/{id}.png'}}\noutputs: {heat: " + heat + "}\n"
        "splits: {train: train.txt, test: test.txt}\n"
    )
    (root / "train.txt").write_text("a\nb\nc\nd\ne\nf\n")
    (root / "test.txt").write_text("g\nh\n")
    words = ["train", "folder-example", "--data.root", str(root), "--out", str(run)]
    words += ["--model.inputs={rgb: 3}", "--model.outputs={heat: {kind: image}}"]
    words += ["--model.name=segformer", "--model.width=4", "--model.decoder_channels=4"]
    words += ["--train.steps=1"]
    words += ["--train.batch_size=2", "--data.validation=0.2", "--train.accelerator=cpu"]
    words += ["--train.exchange_rate=null"]
    assert cli.main(words) == 0
    for name in ("best", "last"):
        path = run / f"{name}.safetensors"
        if path.exists():
            from safetensors import safe_open

            with safe_open(path, "pt") as file:
                header = file.metadata()
            tensors = load_file(path)
            for key, value in tensors.items():
                if key.startswith("heads."):
                    tensors[key] = torch.zeros_like(value)
            save_file(tensors, path, header)
    capsys.readouterr()
    assert cli.main(["evaluate", str(run)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "heat: MAE and RMSE in the unit of its files (stored values times 0.01)" in said
    assert "no PSNR, SSIM and feature distances, as no range is declared" in said
    assert "(data.modalities.heat.clip)" in said
    stored = json.loads((run / "evaluation.json").read_text())
    found = stored["scores"]["rgb"]["heat"]["ensemble"]
    truth = np.stack([kelvin[name] for name in "gh"]) * 0.01
    assert found["mae"] == pytest.approx(float(np.abs(truth - 293.0).mean()), rel=1e-4)
    assert found["psnr"] is None
    assert not [name for name in found if "efficientnet" in name]
    assert "features" not in stored
    assert cli.main(["report", str(run)]) == 0
    assert "MAE and RMSE in the unit of its files" in (run / "report.html").read_text("utf-8")
