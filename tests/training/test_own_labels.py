"""Runs on masks of 0 and 255: warned of where 255 counts as no label, right where values say it."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

import cen
from cen import cli
from cen.config import Config
from cen.data.formats.pictures import write_png
from cen.errors import CenWarning
from cen.training import evaluate, fit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("data/rgb", "data/masks"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(8):
        mask = np.zeros((32, 48), np.uint8)
        mask[8:20, 4 * number : 4 * number + 16] = 255
        picture = rng.integers(0, 99, (32, 48, 3), np.uint8) + mask[..., None] // 2
        write_png(tmp_path / f"data/rgb/f{number}.png", picture)
        write_png(tmp_path / f"data/masks/f{number}.png", mask)
    return tmp_path


def run(root: Path, label: dict[str, object]) -> tuple[list[str], dict[str, object], Path]:
    """The warnings of labels and the evaluation of a short run."""
    said = {
        "modalities": {"rgb": {"pattern": "rgb/{id}.png"}},
        "outputs": {"segmentation": {"pattern": "masks/{id}.png", **label}},
        "splits": {"test": 0.3},
    }
    (root / "data/dataset.yaml").write_text(yaml.safe_dump(said))
    model = {"name": "unet", "encoder": "unet3", "inputs": {"rgb": 3}, "width": 4}
    train = {"steps": 2, "batch_size": 2, "log_every": 1, "checkpoint_every": 2}
    data = {"layout": "folder", "root": str(root / "data"), "validation": 0.0}
    config = Config.from_dict({"data": data, "model": model, "train": train})
    out = root / str(len(label))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(config, out, progress=False)
    told = [str(w.message) for w in caught if issubclass(w.category, CenWarning)]
    evaluate(out)
    found = json.loads((out / "evaluation.json").read_text())
    return [text for text in told if "segmentation" in text], found, out


def test_a_run_goes_on_with_other_classes_as_the_page_says(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a whole network given as model.weights is told of."""
    _, _, out = run(root, {"values": {0: "background", 255: "object"}})
    said = (root / "data/dataset.yaml").read_text().replace("object", "thing")
    (root / "data/dataset.yaml").write_text(said.replace("0: background", "0: ground"))
    monkeypatch.chdir(root)
    (root / "runs/old").mkdir(parents=True)
    (out / "last.safetensors").rename("runs/old/best.safetensors")
    config = Config.load(out / "config.yaml", {"data.validation": 0.3})
    config.save("run.yaml")
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "runs/old" in b)
    exec(block, {"cen": cen})
    picture = cen.Predictor("runs/new")({"rgb": root / "data/rgb/f0.png"})
    assert picture.classes == ("ground", "thing")


def test_masks_of_0_and_255(root: Path) -> None:
    told, _, _ = run(root, {"classes": ["background", "object"], "kind": "label"})
    assert len(told) == 1
    assert "values: {0: background, 255: object}" in told[0]
    told, found, out = run(root, {"values": {0: "background", 255: "object"}})
    assert told == []
    # The object has a score of its own, so nothing is right by itself.
    assert "object" in json.dumps(found)
    net = cen.load(out / "last.safetensors")
    assert net.metadata["classes"]["segmentation"] == ["background", "object"]
    picture = cen.Predictor(out)({"rgb": root / "data/rgb/f0.png"})
    assert [entry["class"] for entry in picture.legend()] == ["background", "object"]
    assert cli.main(["report", str(out)]) == 0
    assert "object" in (out / "report.html").read_text("utf-8")
