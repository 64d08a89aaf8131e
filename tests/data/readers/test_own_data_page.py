"""docs/your-own-data.md: its YAML blocks work on files of their patterns, its commands on them."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from cen import cli
from cen.config import Config
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.folder_yaml import FieldConfig, read_description
from cen.data.readers.opening import reader_options
from cen.training.setup import open_dataset

PAGE = Path(__file__).parents[3] / "docs" / "your-own-data.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
DESCRIPTIONS = [block for block in BLOCKS if "pattern" in block]
CONFIGURATIONS = [block for block in BLOCKS if "pattern" not in block]
OTHERS = re.findall(
    r"```yaml\n(data:.*?)```", PAGE.with_name("datasets.md").read_text("utf-8"), re.DOTALL
)
SIZE = (64, 64)


def make_files(root: Path, text: str) -> None:
    """Writes the YAML and, for every pattern, files of its kind for 20 samples of 5 scenes."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(text)
    said = read_description(root)
    rng = np.random.default_rng(0)
    names = [f"scene{number % 5}_{number:06d}" for number in range(20)]
    for field, pattern in said.patterns.items():
        for number, name in enumerate(names):
            split = ("train", "held-out", "test")[number % 3]
            file = pattern.text.replace("{id}", name).replace("{split}", split)
            path = root / file.replace("*", f"t{number}")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_field(path, said.fields[field], rng)
    for split, part in (("train", names[:14]), ("test", names[14:])):
        (root / f"{split}.txt").write_text("\n".join(part))


def write_field(path: Path, field: FieldConfig, rng: np.random.Generator) -> None:
    if field.bands is not None:  # all sensors in one file
        assert cv2.imwrite(str(path), rng.integers(0, 255, (*SIZE, 4), np.uint8))
    elif field.kind == "label" or field.classes:
        if field.values:
            numbers = [number for number in field.values if isinstance(number, int)]
            write_png(path, rng.choice(np.array(numbers, np.uint8), SIZE))
            return
        count = field.classes if isinstance(field.classes, int) else len(field.classes or ())
        labels = rng.integers(0, count, SIZE, np.uint8)
        palette = [*(field.colours or {}).values()]
        write_png(path, np.array(palette, np.uint8)[labels] if palette else labels + field.first)
    elif field.kind == "depth":
        write_png(path, rng.integers(500, 9000, SIZE).astype(np.uint16))
    elif field.kind == "continuous":
        shape = SIZE if field.channels is None else (*SIZE, field.channels)
        values = rng.normal(20, 5, shape).astype(np.float32)
        if path.suffix == ".npy":
            np.save(path, values)
        else:
            tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    else:
        shape = SIZE if field.channels == 1 else (*SIZE, 3)
        assert cv2.imwrite(str(path), rng.integers(0, 255, shape, np.uint8))


@pytest.mark.parametrize("block", DESCRIPTIONS)
def test_every_description_describes(block: str, tmp_path: Path) -> None:
    make_files(tmp_path, block)
    total = 0
    for split in ("train", "validation", "test"):
        data = AlignedFolder(tmp_path, split)
        total += len(data)
        sample = data.raw(0)
        assert {*data.usual_inputs, *data.usual_targets} <= set(sample)
    assert total == 20


@pytest.mark.parametrize("block", CONFIGURATIONS)
def test_every_configuration_is_one(block: str) -> None:
    assert Config.from_dict(yaml.safe_load(block)).data.layout == "folder"


SENSORS = re.findall(
    r"^\| [^|]+ \| `(\w+: .*?)` \| `(.*?)` \|$", PAGE.read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(("line", "channels"), SENSORS)
@pytest.mark.parametrize("beside", [True, False])
def test_a_line_of_another_sensor_is_all_that_it_takes(
    line: str, channels: str, beside: bool, tmp_path: Path
) -> None:
    """In place of depth, or beside it: in both files, as the page says."""
    depth = next(text for text in DESCRIPTIONS[0].splitlines() if "depth:" in text)
    lines = [depth] * beside + [f"  {line}"]
    make_files(tmp_path, DESCRIPTIONS[0].replace(depth, "\n".join(lines)))
    said = yaml.safe_load(CONFIGURATIONS[0])
    said["data"]["root"] = str(tmp_path)
    if not beside:
        del said["model"]["inputs"]["depth"]
    said["model"]["inputs"] |= yaml.safe_load(channels)
    sample = open_dataset(Config.from_dict(said), "train")[(0, 0)]
    (name,) = yaml.safe_load(channels)
    assert sample[name].shape == (said["model"]["inputs"][name], 96, 128)
    assert ("depth" in sample) == beside


def test_every_kind_of_sensor_of_the_page_is_tried() -> None:
    assert [line.partition(":")[0] for line, _ in SENSORS] == ["thermal", "nir", "radar"]


@pytest.mark.parametrize("block", OTHERS)
def test_every_configuration_of_the_data_sets_page_is_one(block: str) -> None:
    config = Config.from_dict(yaml.safe_load(block))
    assert set(config.data.options) <= set(reader_options(config.data.layout))


def test_the_page_from_files_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first description, its configuration and its commands, at a size for tests."""
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path / "data" / "mine", DESCRIPTIONS[0])
    (tmp_path / "mine.yaml").write_text(CONFIGURATIONS[0])
    small = (
        "--model.name=fpn --model.width=4 --model.decoder_channels=8 --train.steps=2 "
        "--train.batch_size=2 --train.validate_every=2 --data.transforms.resize=[64,64]"
    )
    commands = re.findall(r"^cen (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    mine = [shlex.split(line, comments=True) for line in commands if "mine" in line]
    sample = AlignedFolder("data/mine", "test").files(0)
    files = {"new/a.jpg": "rgb", "new/a.png": "depth"}
    write_new_scenes(tmp_path / "new")
    for words in mine:
        if words[0] == "report":
            continue  # tested on its own
        more = small.split() if words[0] == "train" else []
        words = [str(sample[files[word]]) if word in files else word for word in words]
        assert cli.main([*words, *more]) == 0, (words, capsys.readouterr().err)
    assert (tmp_path / "predicted" / "labels.png").is_file()
    assert {p.parent.name for p in (tmp_path / "many").rglob("labels.png")} == {"0007", "0008"}
    assert {p.parent.name for p in (tmp_path / "stamped").rglob("labels.png")} == {"0007", "0008"}
    assert [words[0] for words in mine] == ["data", "data", "train", "evaluate", "report"] + [
        "predict"
    ] * 4


def write_new_scenes(folder: Path) -> None:
    """Two scenes in folders of their sensors, and again with time stamps in their names."""
    rng = np.random.default_rng(1)
    for name, stamp in (("0007", 1699), ("0008", 1731)):
        rgb = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        depth = rng.integers(500, 9000, SIZE).astype(np.uint16)
        for sensor in ("rgb", "depth"):
            (folder / sensor).mkdir(parents=True, exist_ok=True)
        for path in (f"rgb/{name}.jpg", f"rgb_{name}_{stamp}.jpg"):
            Image.fromarray(rgb).save(folder / path)
        for path in (f"depth/{name}.png", f"depth_{name}_{stamp + 3}.png"):
            write_png(folder / path, depth)
