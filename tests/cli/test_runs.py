"""The commands end to end, on tiny rendered files, as a person would run them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from tests.bench.tiny import small_matmul
from tests.cli.printed import json_of

import cen
from cen import cli
from cen.bench.bench_exchange import Ratio
from cen.bench.scales import set_rate
from cen.documents import read_yaml
from cen.models import load, save
from cen.training.export_samples import samples_of


@pytest.fixture(scope="module")
def run(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rooms-small with the decoder of fewest layers, two steps long, evaluated."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "rooms-small", "--data.root", str(rooms), "--out", str(out)]
    words += ["--model.name", "fpn", "--model.width", "4", "--model.decoder_channels", "8"]
    assert cli.main([*words, "--train.steps", "2", "--train.validate_every", "2"]) == 0
    assert cli.main(["evaluate", str(out)]) == 0
    return out


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
    assert cli.main(["train", "--resume", str(run), "--train.momentum", "0.5"]) == 2
    assert "a run keeps what it was configured with" in capsys.readouterr().err
    assert cli.main(["train", "rooms-small", "--resume", str(run)]) == 2
    assert "leave out CONFIG" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.main(["train", "--resume", str(run), "--data.root", str(rooms)]) == 0
    told = f"the run had done all of its steps; longer: cen train --resume {run} --train.steps N"
    assert told in capsys.readouterr().out


def test_run_starts_from_the_network_of_another(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The learning rates are 0: what is not of the other run is what a new network has."""
    still = ["--train.steps", "1", "--train.encoder_lr", "0", "--train.decoder_lr", "0"]
    rgb = ["train", "--from", str(run), "--model.inputs", "{rgb: 3}", *still]
    assert cli.main([*rgb, "--out", str(tmp_path / "rgb")]) == 0
    old, new = load(run), load(tmp_path / "rgb")
    assert list(new.inputs) == ["rgb"]
    for part in ("encoder.conv1", "heads.segmentation"):
        assert torch.equal(old.get_submodule(part).weight, new.get_submodule(part).weight), part
    kept = read_yaml(tmp_path / "rgb" / "config.yaml").value
    assert kept["train"]["start"] == str(run.resolve())

    more = [str(run / "best.safetensors"), "--data.classes", "60", *still]
    command = ["train", str(run / "config.yaml"), "--out", str(tmp_path / "more"), "--from", *more]
    assert cli.main([*command, "--train.freeze_encoder", "true"]) == 0
    new = load(tmp_path / "more")
    assert new.heads["segmentation"].weight.shape[0] == 60
    for name, value in old.encoder.state_dict().items():
        assert torch.equal(value, new.encoder.state_dict()[name]), name

    capsys.readouterr()
    for words, said in (
        (
            ["--train.freeze_encoder", "true", "--model.width", "8"],
            "model.width: 8, but the network",
        ),
        (["--model.weights", "imagenet"], "leave model.weights out"),
        (["--train.start", "x"], "is what --from says"),
    ):
        assert cli.main(["train", "--from", str(run), *words, "--out", str(tmp_path / "x")]) == 2
        assert said in capsys.readouterr().err
    frozen = ["train", str(run / "config.yaml"), "--train.freeze_encoder", "true"]
    assert cli.main([*frozen, "--out", str(tmp_path / "y")]) == 2
    assert "would keep random weights" in capsys.readouterr().err


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


def test_a_folded_evaluation_has_the_same_scores(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = tmp_path / "run"
    shutil.copytree(run, trained)
    net = load(trained)
    set_rate(net, 1.0)
    for path in trained.glob("*.safetensors"):
        save(net, path, metadata=net.metadata)
    plain, folded = (json_of(["evaluate", str(trained), *w], capsys) for w in ([], ["--fold"]))
    for one, other in zip(plain["rows"], folded["rows"], strict=True):  # type: ignore[call-overload]
        assert one == {
            key: pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
            for key, value in other.items()
        }


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


def test_predict_says_that_it_replaces_a_prediction(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("of somebody else")
    rgb = str(rooms / (rooms / "val.txt").read_text().splitlines()[0].split("\t")[0])
    words = ["predict", str(run), "--rgb", rgb, "-o", str(tmp_path)]
    assert cli.main([*words, "--probabilities"]) == 0
    told = capsys.readouterr()
    assert str(tmp_path / "overlay.png") in told.out
    assert "replaced" not in told.err
    assert (tmp_path / "probabilities.npz").is_file()
    assert cli.main(words) == 0
    told = capsys.readouterr()
    assert f"--out {tmp_path}: held a prediction, of which classes.json, colours.png" in told.err
    assert "notes.txt" not in told.err
    assert not (tmp_path / "probabilities.npz").exists(), "they are not of these labels"


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
    samples, training, real = samples_of(cen.load(run), run)
    assert real
    assert not training
    shapes = [tuple(sample.inputs["rgb"].shape) for sample in samples]
    assert shapes[:3] == [(1, 3, 64, 96), (1, 3, 64, 64), (4, 3, 64, 64)]
    assert shapes[3:] == [(b, 3, *size) for size in ((69, 133), (128, 64)) for b in (1, 4)]
    assert all(sample.raw["depth"].ndim == 3 for sample in samples)
    scored, training, _ = samples_of(cen.load(run), run, calibrated=3)
    assert len(training) == 3
    assert scored[0].labels["segmentation"].shape == (1, 64, 96)


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
    *("bench", "model", "--model.name", "fpn", "--model.encoder", "resnet18", "--model.width", "4"),
    *("--model.decoder_channels", "8", "--batch", "1", "--rounds", "6", "--no-memory"),
    *("--mode", "evaluation", "--rate", "1"),
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
    command = [sys.executable, "-m", "cen", "train", "rooms-small", "--data.classes=3"]
    command += ["--data.root", str(rooms), "--out", str(tmp_path / "run"), "--train.steps=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cen: ")
    assert "Traceback" not in done.stderr
