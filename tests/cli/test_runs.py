"""The commands end to end, on tiny rendered files, as a person would run them."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from tests.bench.tiny import small_matmul
from tests.peers.torchvision_operators import define_missing_operators

import cen
from cen import cli
from cen.bench.bench_exchange import Ratio
from cen.cli import export, sources
from cen.config import Config
from cen.models import load

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


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "rooms"
    words = ["data", "rooms", str(out), "--size", "64", "96", "--train", "10", "--test", "3"]
    assert cli.main(words) == 0
    return out


@pytest.fixture(scope="module")
def run(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rooms-small, two steps long, evaluated."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "rooms-small", "--data.root", str(rooms), "--out", str(out)]
    words += ["--model.width", "4", "--model.decoder_channels", "8"]
    assert cli.main([*words, "--train.steps", "2", "--train.validate_every", "2"]) == 0
    assert cli.main(["evaluate", str(out)]) == 0
    return out


def json_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What a command prints with --json: one object and nothing else."""
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


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
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in TINY],
)
def test_shipped_configuration_trains(
    name: str, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, root = tmp_path / "run", rooms
    if "convnext" in name:
        pytest.importorskip("timm")
    if name in LAYOUTS:
        root = tmp_path / "data"
        size = ["--size", "64", "96", "--train", "10", "--test", "3"]
        assert cli.main(["data", "rooms", str(root), "--layout", LAYOUTS[name], *size]) == 0
    words = ["train", name, "--data.root", str(root), "--out", str(out), *TINY[name]]
    figures = json_of(words, capsys)
    steps = Config.load(out / "config.yaml").train.max_steps
    assert (figures["run"], figures["steps"]) == (str(out), steps)
    assert "train/loss" in figures["metrics"]  # type: ignore[operator]
    assert (out / "last.safetensors").is_file()


def test_train_prints_figures_and_what_comes_next(
    rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["train", "rooms-small", "--data.root", str(rooms), "--out", str(out)]
    assert cli.main([*words, "--train.steps", "1"]) == 0
    printed = capsys.readouterr().out
    assert "train/loss" in printed
    assert f"next: cen evaluate {out}; cen report {out}" in printed
    assert cli.main(words) == 2
    assert f"cen train --resume {out}" in capsys.readouterr().err


def test_run_is_resumed_as_it_was_configured(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--resume", str(run), "--train.steps", "9"]) == 2
    assert "a run keeps what it was configured with" in capsys.readouterr().err
    assert cli.main(["train", "rooms-small", "--resume", str(run)]) == 2
    assert "leave out CONFIG" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(run), "--data.root", str(rooms)]) == 0


def test_evaluate_gives_every_stream_and_subset(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json_of(["evaluate", str(run), "--flip", "--scales", "1", "0.75"], capsys)
    rows = result["rows"]
    assert isinstance(rows, list)
    seen = {("+".join(row["inputs"]), row["prediction"]) for row in rows}
    assert {("rgb+depth", "ensemble"), ("rgb+depth", "rgb"), ("rgb+depth", "depth")} <= seen
    assert {inputs for inputs, _ in seen} == {"rgb+depth", "rgb", "depth"}
    assert result["split"] == "test"
    assert cli.main(["evaluate", str(run), "--split", "validation"]) == 0
    assert "validation split" in capsys.readouterr().out
    assert cli.main(["evaluate", str(run), "--scales", "0"]) == 2
    assert cli.main(["evaluate", str(run), "--data.root", "nowhere"]) == 2


def test_inspect_prints_every_layer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = json_of(["inspect", str(run)], capsys)
    layers = figures["layers"]
    assert isinstance(layers, list)
    assert {layer["stream"] for layer in layers} == {"rgb", "depth"}
    assert set(figures["alpha"]) == {"segmentation"}  # type: ignore[call-overload]
    assert cli.main(["inspect", str(run / "last.safetensors"), "--all"]) == 0
    printed = capsys.readouterr().out
    assert all(layer["name"] in printed for layer in layers)
    assert "α of segmentation" in printed


def test_inspect_counts_what_a_picture_costs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = json_of(["inspect", str(run), "--cost", "64", "96"], capsys)
    twice = json_of(["inspect", str(run), "--cost", "64", "192"], capsys)
    cost, more = figures["cost"], twice["cost"]
    assert isinstance(cost, dict)
    assert isinstance(more, dict)
    net = load(run)
    assert cost["parameters"] == more["parameters"] == sum(p.numel() for p in net.parameters())
    assert more["multiply_adds"] == 2 * cost["multiply_adds"]
    assert cost["size"] == [64, 96]
    assert 0 < cost["folded"] <= cost["multiply_adds"]
    assert cli.main(["inspect", str(run), "--cost", "64", "96"]) == 0
    assert "multiply-adds for 64 × 96 pixels" in capsys.readouterr().out
    assert cli.main(["inspect", str(run), "--cost", "8", "96"]) == 2


@pytest.mark.parametrize("names", [("rgb",), ("depth",), ("rgb", "depth")])
def test_predict_on_any_subset(
    names: tuple[str, ...],
    run: Path,
    rooms: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rgb, _, depth = (rooms / "val.txt").read_text().splitlines()[0].split("\t")
    files = {"rgb": str(rooms / rgb), "depth": str(rooms / depth)}
    given = [word for name in names for word in (f"--{name}", files[name])]
    figures = json_of(["predict", str(run), *given, "-o", str(tmp_path)], capsys)
    labels = cv2.imread(str(tmp_path / "labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert labels.shape == (64, 96)
    assert sum(entry["share"] for entry in figures["classes"]) == pytest.approx(1)  # type: ignore[attr-defined,index]
    assert set(figures["alpha"]) == set(names)  # type: ignore[call-overload]
    assert cli.main(["predict", str(run), *given, "-o", str(tmp_path)]) == 0
    assert str(tmp_path / "overlay.png") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "at least one modality"),
        (["--dept", "x.png"], "--dept: is no modality"),
        (["--rgb", "none.png"], "none.png"),
        (["--rgb"], "--rgb needs a value"),
        (["--rgb", "a.png", "--intrinsics", "1,2"], "1,2: is not four numbers"),
        (["--rgb", "a.png", "--intrinsics", "a,b"], "a,b: is not four numbers"),
        (["--rgb", "a.png", "--unit", "-1"], "--unit -1: give a number"),
    ],
)
def test_predict_refuses(
    words: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_predict_on_a_split_of_the_data_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["predict", str(run), "--split", "test", "-o", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    names = sorted(path.parent.name for path in out.glob("*/scene.json"))
    assert figures["predicted"] == len(names) > 0
    about = json.loads((out / names[0] / "scene.json").read_text("utf-8"))
    words = [word for name in about["inputs"] for word in (f"--{name}", about["inputs"][name])]
    assert cli.main(["predict", str(run), *words, "-o", str(tmp_path / "one")]) == 0
    one, of_many = tmp_path / "one" / "labels.png", out / names[0] / "labels.png"
    assert one.read_bytes() == of_many.read_bytes()


def test_exports_are_compared_on_samples_of_the_run(run: Path) -> None:
    samples, real = export._samples(cen.load(run), run)
    assert real
    assert [tuple(sample["rgb"].shape) for sample in samples] == [
        (1, 3, 64, 96), (1, 3, 64, 64), (4, 3, 64, 128), (1, 3, 128, 64),
    ]  # fmt: skip
    assert all(sample["depth"].shape[1] == 1 for sample in samples)


def test_predict_with_another_unit_is_warned_of(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = str(rooms / (rooms / "val.txt").read_text().splitlines()[0].split("\t")[2])
    for unit, warned in (("0.001", False), ("0.01", True)):
        words = ["predict", str(run), "--depth", depth, "--unit", unit, "-o", str(tmp_path)]
        assert cli.main(words) == 0
        told = capsys.readouterr().err
        assert ("cen: warning: " in told and "half of the depths" in told) == warned


def test_report_prints_where_the_page_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = run / "talk.png"
    assert cli.main(["report", str(run), "--overview", str(picture)]) == 0
    assert capsys.readouterr().out.split() == [str(run / "report.html"), str(picture)]
    assert "<html" in (run / "report.html").read_text("utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bench_prints_paired_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measurement itself has its own tests; this is what the command asks and prints."""
    asked: dict[str, object] = {}

    def measured(**arguments: object) -> list[Ratio]:
        asked.update(arguments)
        return [Ratio("exchange / no exchange", "training", True, 1.01, 1.0, 1.02, 5, 0.25)]

    monkeypatch.setattr("cen.bench.bench_exchange.bench_exchange", measured)
    words = ["bench", "exchange", "--rounds", "7", "--size", "64", "96", "--compile"]
    figures = json_of(words, capsys)
    assert figures["ratios"] == [measured()[0].to_dict()]
    assert (asked["rounds"], asked["size"], asked["compiled"]) == (7, (64, 96), True)
    assert cli.main(words) == 0
    assert "1.0100" in capsys.readouterr().out


BENCH_MODEL = [
    *("bench", "model", "--model.encoder", "resnet18", "--model.width", "4", "--batch", "1"),
    *("--rounds", "6", "--no-memory", "--mode", "evaluation", "--rate", "1"),
]
FORMS = ["list", "packed", "folded"]


def test_bench_model_prints_and_draws_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_matmul(monkeypatch)
    picture = tmp_path / "speed.png"
    assert cli.main([*BENCH_MODEL, "--size", "32", "32", "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert all(form in shown for form in [*FORMS, "of peak", "multiply-adds per second"])
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_bench_model_gives_every_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_matmul(monkeypatch)
    figures = json_of([*BENCH_MODEL, "--size", "32", "32", "64", "32"], capsys)
    assert [(m["form"], m["size"]) for m in figures["measured"]] == [
        (form, size) for size in ([32, 32], [64, 32]) for form in FORMS
    ]
    assert {(m["rate"], m["batch"], m["mode"]) for m in figures["measured"]} == {
        (1.0, 1, "evaluation")
    }


@pytest.mark.slow
def test_wrong_data_ends_with_one_message(rooms: Path, tmp_path: Path) -> None:
    """In a process of its own: no traceback, no warning of a library in front of it."""
    command = [sys.executable, "-m", "cen.cli", "train", "rooms-small", "--data.classes=3"]
    command += ["--data.root", str(rooms), "--out", str(tmp_path / "run"), "--train.steps=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cen: ")
    assert "Traceback" not in done.stderr
