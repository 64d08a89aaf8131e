"""Configurations: loading, overriding, refusing, saving."""

import subprocess
import sys
from pathlib import Path

import pytest

from cen.config import Config
from cen.errors import ConfigError
from cen.options.constraints import walk
from cen.options.data_options import ModalityConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(
        "data:\n"
        "  root: somewhere\n"
        "  modalities:\n"
        "    rgb: {}\n"
        "    depth: {kind: depth, unit: 1e-3}\n"
        "train:\n"
        "  steps: 10\n"
    )
    return path


def test_file_changes_only_the_keys_it_gives(file: Path) -> None:
    config = Config.load(file)
    assert config.data.root == "somewhere"
    assert config.data.modalities["depth"].unit == 0.001  # 1e-3 is text to plain YAML
    assert config.train.max_steps == 10
    changed = {key for key, value in walk(config) if value != dict(walk(Config()))[key]}
    assert changed == {"data.root", "data.modalities", "train.steps"}


def test_command_line_text_becomes_the_type_of_the_key(file: Path) -> None:
    config = Config.load(
        file,
        {
            "train.steps": "7",
            "train.sparsity": "1e-4",
            "train.exchange_rate": "null",
            "data.root": "2024",
            "data.classes": "[wall, floor]",
            "data.transforms.crop": "[64, 96]",
            "data.modalities.depth.unit": "2e-4",
            "data.modalities.rgb.interpolation": "null",
            "model.exchange": "false",
        },
    )
    assert (config.train.steps, config.train.sparsity, config.train.exchange_rate) == (
        7,
        1e-4,
        None,
    )
    assert (config.data.root, config.data.classes) == ("2024", ["wall", "floor"])
    assert config.data.transforms.crop == (64, 96)
    assert config.data.modalities["depth"] == ModalityConfig(kind="depth", unit=2e-4)
    assert config.model.exchange is False


def test_null_removes_a_modality(file: Path) -> None:
    config = Config.load(file, {"data.modalities.depth": "null", "model.inputs.depth": "null"})
    assert list(config.data.modalities) == ["rgb"]
    assert config.model.inputs == {"rgb": 3}


def test_mapping_on_the_command_line_is_replaced_and_then_extended(file: Path) -> None:
    config = Config.load(file, {"model.inputs": "{rgb: 1}", "model.inputs.depth": "2"})
    assert config.model.inputs == {"rgb": 1, "depth": 2}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.step", "1", "--train.step: is no key of a configuration; did you mean steps?"),
        ("trian.steps", "1", "trian: is no key of a configuration; did you mean train?"),
        ("data.modalities.depth.unt", "1", "did you mean unit?"),
        ("model.scope", "owm", "--model.scope: 'owm' is not possible; did you mean own?"),
        (
            "train.steps",
            "many",
            "--train.steps: 'many' does not fit; expected: whole number, or null",
        ),
        ("train.steps", "1.5", "'1.5' does not fit; expected: whole number"),
        ("train.steps", "0", "train.steps: 0 is out of range; it must be at least 1"),
        ("data.transforms.crop", "[500, 8]", "data.transforms.crop: 8 is out of range"),
        (
            "data.transforms.crop",
            "[1, 2, 3]",
            "does not fit; expected: list of 2 whole numbers, or null",
        ),
        (
            "data.modalities",
            "{rgb: {}, depth: {kind: image, unit: 0.001}}",
            "data.modalities.depth: unit and missing are for kind: depth",
        ),
        ("data.transforms.scale", "[0.5, 2]", "set data.transforms.crop, too"),
        ("data.transforms.scale", "[2, 1]", "data.transforms.scale: [2.0, 1.0] falls"),
        ("model.dropout", "1.5", "it must be at least 0 and below 1"),
        ("model.dropout", "1", "below 1"),
        ("model.dropout", "nan", "does not fit; expected: number"),
        ("train.steps.x", "1", "--train.steps.x: train.steps is a single value"),
        ("train.stages.0.steps", "1", "0 is no index of a list of 0"),
        ("model.inputs", "{}", "model.inputs: is empty"),
        ("model.inputs.rgb", "0", "model.inputs.rgb: 0 is out of range"),
        ("data.modalities.rgb.mean", "[1, 2]", "2 numbers for 3 channels"),
        ("data.modalities", "[1]", "holds no keys"),
        ("model.inputs", "{rgb: 3", "is not valid YAML"),
        ("train.stages", "[{", "is not valid YAML"),
        ("train.stages", "3", "--train.stages: 3 is no list"),
        ("train.schedule", "staged", "train.stages: must be given"),
        ("train.steps", "null", "train.steps: is null"),
        ("data.classes", "1", "data.classes: 1 is out of range"),
        ("data.classes", "{a: b", "data.classes"),
    ],
)
def test_wrong_override_is_refused(file: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(file, {key: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n  width: 8\n  encodr: x\n", "line 3: model.encodr: is no key"),
        (
            "train:\n  steps: ten\n",
            "line 2: train.steps: 'ten' does not fit; expected: whole number",
        ),
        (
            "data:\n  modalities:\n    rgb:\n      kind: imag\n",
            "line 4: data.modalities.rgb.kind: ",
        ),
        ("train:\n  stages:\n    - steps: 3\n    - stepps: 3\n", "line 4: train.stages.1.stepps"),
        ("train: 3\n", "line 1: train: 3 holds no keys"),
        ("model:\n  exchange:\n", "line 2: model.exchange: null does not fit; expected: true or f"),
        ("train: {robust: null}\n", "train.robust: null does not fit"),
        ("data: {transforms: {flip: ~}}\n", "data.transforms.flip: null does not fit"),
        ("train: {optimizer: null}\n", "null does not fit; expected: one of sgd, adam, adamw;"),
        ("train: {loggers: null}\n", "train.loggers: null does not fit; expected: list"),
        ("- a\n", "holds no keys"),
        ("a: [\n", "is not valid YAML"),
    ],
)
def test_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        Config.load(tmp_path / "none.yaml")


def test_stages_give_the_length_unless_steps_stop_earlier(tmp_path: Path) -> None:
    path = tmp_path / "staged.yaml"
    path.write_text("train: {schedule: staged, stages: [{steps: 3}, {steps: 4, encoder_lr: 1e-4}]}")
    config = Config.load(path)
    assert config.train.max_steps == 7
    assert config.train.stages[1].encoder_lr == 1e-4
    assert Config.load(path, {"train.steps": "2"}).train.max_steps == 2
    assert Config.load(path, {"train.stages.0.steps": "9"}).train.max_steps == 13
    with pytest.raises(ConfigError, match=r"train\.steps: is more than"):
        Config.load(path, {"train.steps": "8"})
    with pytest.raises(ConfigError, match=r"train\.stages\[1\]\.steps: 0"):
        Config.load(path, {"train.stages.1.steps": "0"})


def test_saved_configuration_loads_to_the_same(file: Path, tmp_path: Path) -> None:
    config = Config.load(file, {"data.transforms.crop": "[64, 96]", "train.clip_norm": "1"})
    config.save(tmp_path / "resolved.yaml")
    assert Config.load(tmp_path / "resolved.yaml") == config
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resolved.yaml", "run.yaml"]


def test_resolved_configuration_of_a_staged_run_loads_to_the_same(tmp_path: Path) -> None:
    config = Config.from_dict({"train": {"schedule": "staged", "stages": [{"steps": 5}]}})
    config.save(tmp_path / "a.yaml")
    assert Config.load(tmp_path / "a.yaml") == config


def test_import_is_light() -> None:
    code = (
        "import cen.config, sys; print([m for m in ('torch', 'numpy', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
