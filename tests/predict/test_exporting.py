"""Exports are run and compared, and refused where they differ."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.predict.local import local_network, patch_network
from tests.predict.scene import MODALITIES, PALETTE

import cen
from cen import cli
from cen.errors import CenError, ConfigError
from cen.models import Task, build, save
from cen.predict import exporting
from cen.predict.exporting import METADATA, Exporting, Sample, export
from cen.predict.predictor import Predictor
from cen.training.export_samples import samples_of

onnxruntime = pytest.importorskip("onnxruntime")
PT2 = Exporting("pt2")


def samples(names, sizes=((1, 64, 96), (3, 101, 70))):
    torch.manual_seed(1)
    channels = {"rgb": 3, "depth": 1}
    return [Sample({n: torch.randn(b, channels[n], h, w) for n in names}) for b, h, w in sizes]


def network():
    net = local_network(4, Task("segmentation", 4, ("a", "b", "c", "d")))
    net.metadata = {"preprocessing": {name: m.to_dict() for name, m in MODALITIES.items()}}
    return net


# One input alone in ONNX is shown by the slow test of every subset.
def test_onnx_runs_alone_at_any_size_and_says_what_it_is(tmp_path):
    net, names = network(), ("rgb", "depth")
    found = export(net, tmp_path / "net.onnx", samples(names), names=names)
    assert found.difference < 1e-5
    assert found.labels == 1
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [value.name for value in session.get_inputs()] == list(names)
    assert session.get_inputs()[0].shape[::2] == ["batch", "height"]
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert list(about["preprocessing"]) == list(names)
    inputs = samples(names, ((2, 77, 130),))[0].inputs
    labels, shares = session.run(None, {n: value.numpy() for n, value in inputs.items()})
    with torch.no_grad():
        expected = net(inputs, size=(77, 130))["out"].ensemble.softmax(1).numpy()
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert labels.shape == (2, 77, 130)
    assert (labels == expected.argmax(1)).mean() > 0.9999


def test_an_output_may_be_called_like_an_input(tmp_path):
    net, given = local_network(4, Task("depth", 1), "depth"), samples(("rgb", "depth"))
    assert export(net, tmp_path / "net.onnx", given).difference < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [value.name for value in session.get_outputs()] == ["depth_predicted"]
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert (about["outputs"], about["results"]) == ({"depth": "depth"}, ["depth_predicted"])
    # Alone the output's name is free.
    assert export(net, tmp_path / "rgb.onnx", given, names=["rgb"]).difference < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "rgb.onnx")
    assert [value.name for value in session.get_outputs()] == ["depth"]


def test_programs_of_torch_are_reloaded(tmp_path):
    net, inputs = network(), samples(("rgb", "depth"))
    net.train()
    net.encoder.eval()
    modes = [module.training for module in net.modules()]
    assert export(net, tmp_path / "net.pt2", inputs, PT2).difference < 1e-6
    assert [module.training for module in net.modules()] == modes
    net.eval()
    extra = {METADATA: ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    about = json.loads(extra[METADATA])
    assert about["inputs"]["depth"]["shape"] == ["batch", 1, "height", "width"]
    assert (about["precision"], about["raw"], about["smallest"]) == ("fp32", False, 32)
    with torch.no_grad():
        labels, _ = program.module()(*samples(("rgb", "depth"), ((1, 90, 66),))[0].inputs.values())
    assert labels.shape == (1, 90, 66)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_encoders_that_take_multiples_of_a_size_are_exported(tmp_path, monkeypatch, form):
    """Swin, DINOv2: pictures are padded in the graph, also those of sizes that need it not."""
    net = patch_network(monkeypatch, 4, 8)
    sizes = ((1, 64, 96), (3, 101, 70), (2, 64, 70))
    file = tmp_path / f"net.{form}"
    found = export(net, file, samples(("depth",), sizes), Exporting(form), names=["depth"])
    assert (found.difference < 1e-5, file.is_file()) == (True, True)


def test_an_export_that_gives_other_values_is_not_written(tmp_path, monkeypatch):
    reloaded = exporting.reloaded

    def wrong(*given):
        run = reloaded(*given)
        return lambda inputs: {n: v * 2 for n, v in run(inputs).items()}

    monkeypatch.setattr(exporting, "reloaded", wrong)
    with pytest.raises(CenError, match=r"is not written, as the export differs"):
        export(network(), tmp_path / "net.pt2", samples(("rgb",)), PT2, names=["rgb"])
    assert not list(tmp_path.iterdir())


def test_an_export_that_cannot_be_run_is_not_written(tmp_path, monkeypatch):
    def broken(*given):
        def run(inputs):
            raise RuntimeError("indices element out of data bounds")

        return run

    monkeypatch.setattr(exporting, "reloaded", broken)
    with pytest.raises(CenError, match=r"is not written.*out of data bounds"):
        export(network(), tmp_path / "net.pt2", samples(("rgb",)), PT2, names=["rgb"])
    assert not list(tmp_path.iterdir())


def test_the_command_exports_some_modalities(tmp_path, capsys):
    torch.manual_seed(0)
    net = build(
        "unet", encoder="unet3", inputs={"rgb": 3, "depth": 1}, width=4, outputs={"segmentation": 3}
    )
    save(net, tmp_path / "net.safetensors")
    words = ["export", str(tmp_path / "net.safetensors"), "-o", str(tmp_path / "out")]
    options = ["--format", "pt2", "--fold", "--streams", "depth"]
    assert cli.main([*words, *options, "--inputs", "rgb"]) == 2
    assert "only predictions of depth are kept" in capsys.readouterr().err
    assert cli.main([*words, *options, "--inputs", "depth", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert not figures["real_samples"]
    assert figures["files"]["depth"]["difference"] < 1e-4
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["depth.pt2"]
    for option in ("--inputs", "--streams"):
        assert cli.main([*words, option, "dept"]) == 2
        assert "did you mean depth" in capsys.readouterr().err


def saved(folder, name):
    torch.manual_seed(0)
    options = {} if name == "unet" else {"encoder": "resnet18", "decoder_channels": 8}
    net = build(
        name, inputs={"rgb": 3, "depth": 1}, width=8, outputs={"segmentation": 3}, **options
    )
    save(net, folder / "net.safetensors")
    return ["export", str(folder / "net.safetensors"), "-o", str(folder / "out")]


def test_the_prediction_of_one_stream_is_exported_alone(tmp_path):
    with pytest.raises(ConfigError, match="fold it, too"):
        Exporting(streams=("depth",))
    net, names = network(), ("rgb", "depth")
    how = Exporting(folded=True, streams=("depth",))
    found = export(net, tmp_path / "net.onnx", samples(names), how, names=names)
    assert found.difference < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert about["streams"] == ["depth"]
    inputs = samples(names, ((2, 77, 130),))[0].inputs
    _, shares = session.run(None, {n: value.numpy() for n, value in inputs.items()})
    with torch.no_grad():
        expected = net.eval()(inputs, size=(77, 130))["out"]
    stream = expected.streams["depth"].softmax(1)
    np.testing.assert_allclose(shares, stream.numpy(), atol=1e-5)
    assert not torch.allclose(stream, expected.ensemble.softmax(1), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["refinenet", "unet", "pspnet"])
def test_every_subset_runs_in_onnx_runtime(tmp_path, capsys, name):
    assert cli.main([*saved(tmp_path, name), "--all-subsets", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert list(files) == ["rgb+depth", "rgb", "depth"]
    assert all(found["difference"] < 1e-4 for found in files.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [("refinenet", "pt2"), ("refinenet", "onnx"), ("unet", "onnx"), ("pspnet", "onnx")],
)
def test_folded_networks_are_exported(tmp_path, capsys, name, form):
    words = [*saved(tmp_path, name), "--format", form, "--fold", "--json"]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["files"]["rgb+depth"]["difference"] < 1e-4


def test_raw_files_take_what_cameras_give(tmp_path):
    net = network()
    scenes = samples_of(net, tmp_path)[0]
    how = Exporting("pt2", raw=True)
    assert export(net, tmp_path / "net.pt2", scenes, how).difference < 1e-5
    extra = {METADATA: ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra).module()
    about = json.loads(extra[METADATA])["inputs"]
    assert about["rgb"]["shape"] == ["batch", "height", "width", 3]
    assert about["rgb"]["type"] == "uint8"
    assert about["depth"]["values"].startswith("metres")
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (75, 90, 3), np.uint8)
    depth = rng.uniform(0.5, 5, (75, 90)).astype(np.float32)
    depth[:9] = np.nan
    with torch.no_grad():
        labels, _ = program(torch.from_numpy(rgb)[None], torch.from_numpy(depth)[None])
    predicted = Predictor(net)({"rgb": rgb, "depth": depth}).labels
    assert (labels[0].numpy() == predicted).mean() > 0.999


def test_half_precision_is_compared_with_the_network_in_float32(tmp_path):
    net, inputs, names = network(), samples(("rgb",)), ("rgb",)
    how = Exporting("pt2", precision="fp16")
    assert 1e-6 < export(net, tmp_path / "net.pt2", inputs, how, names=names).difference < 1e-2
    strict = Exporting("pt2", precision="fp16", tolerance=1e-7)
    with pytest.raises(CenError, match=r"--tolerance sets the limit"):
        export(net, tmp_path / "no.pt2", inputs, strict, names=names)
    assert not (tmp_path / "no.pt2").exists()


def labelled(net, count):
    """Samples whose truth is what the network predicts of them."""
    found = []
    for inputs, *_ in samples(("rgb", "depth"), ((1, 64, 64),) * count):
        with torch.no_grad():
            labels = net(inputs, size=(64, 64))["out"].ensemble.argmax(1)
        found.append(Sample(inputs, truth={"out": labels}))
    return found


@pytest.mark.slow
def test_int8_is_calibrated_scored_and_refused_where_it_loses_too_much(tmp_path):
    net = network()
    scenes = labelled(net, 2)
    how = Exporting(precision="int8", tolerance=20)
    found = export(net, tmp_path / "net.onnx", scenes, how, calibration=scenes)
    before, after = found.scores["out"]
    assert before == 100
    assert 80 < after < 100
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert about["precision"] == "int8"
    strict = Exporting(precision="int8", tolerance=0)
    with pytest.raises(CenError, match=r"takes the mIoU of out from 100\.00 to"):
        export(net, tmp_path / "no.onnx", scenes, strict, calibration=scenes)
    assert not (tmp_path / "no.onnx").exists()
    with pytest.raises(ConfigError, match=r"give the folder of a run"):
        export(net, tmp_path / "no.onnx", samples(("rgb", "depth")), how)


def test_int8_of_an_output_without_ground_truth_is_refused_before_it_is_made(tmp_path):
    net = local_network(4, Task("depth", 1))
    inputs = samples(("rgb", "depth"))[0].inputs
    scenes = [Sample(inputs, truth={"other": torch.zeros(1, 1, 64, 96)})]
    with pytest.raises(ConfigError, match=r"ground truth of out; fp16 is measured by its values"):
        export(net, tmp_path / "no.onnx", scenes, Exporting(precision="int8"), calibration=scenes)


def test_int8_is_of_onnx_alone():
    with pytest.raises(ConfigError, match=r"export it as onnx"):
        Exporting("pt2", precision="int8")


def test_the_rounding_of_pytorch_itself_is_no_fault_of_the_export(tmp_path, monkeypatch):
    made = exporting.reloaded

    def off(content, graph):
        right = made(content, graph)

        def run(inputs):
            values = right(inputs)
            return {n: v * (1.0002 if v.dtype.kind == "f" else 1) for n, v in values.items()}

        return run

    monkeypatch.setattr(exporting, "reloaded", off)
    monkeypatch.setattr(exporting, "rounding", lambda *given: (1.7e-4, 1e-4))
    given = samples(("rgb",)), PT2
    found = export(network(), tmp_path / "net.pt2", *given, names=["rgb"])
    assert found.rounding == 1e-4
    monkeypatch.setattr(exporting, "rounding", lambda *given: (1.7e-4, 1e-6))
    with pytest.raises(CenError, match=r"from the network in float64 it differs by 0.00017"):
        export(network(), tmp_path / "no.pt2", *given, names=["rgb"])


@pytest.mark.slow
@pytest.mark.parametrize("fold", [(), ("--fold",)])
def test_segformer_is_exported(tmp_path, capsys, fold):
    torch.manual_seed(0)
    options = {"encoder": "mit_b0", "width": 8, "decoder_channels": 8}
    net = build("segformer", inputs={"rgb": 3, "depth": 1}, outputs={"segmentation": 3}, **options)
    save(net, tmp_path / "net.safetensors")
    words = ["export", str(tmp_path / "net.safetensors"), "-o", str(tmp_path / "out"), *fold]
    assert cli.main([*words, "--inputs", "rgb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"]["rgb"]["difference"] < 1e-4


def test_a_converted_network_is_exported(tmp_path):
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 4, 1),
    )
    net = cen.convert(plain, {"rgb": 3, "depth": 1}, {"out": 4}).eval()
    found = export(net, tmp_path / "net.pt2", samples(("rgb", "depth")), PT2)
    assert found.difference < 1e-5
    assert export(net, tmp_path / "d.pt2", samples(("depth",)), PT2, names=["depth"]).labels == 1


@pytest.mark.slow
def test_the_consumer_of_the_page_gives_what_cen_predicts(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    code = page.split("## Python")[1].split("```python\n")[1].split("```")[0]
    torch.manual_seed(0)
    net = build(
        "unet", encoder="unet3", inputs={"rgb": 3, "depth": 1}, width=8, outputs={"segmentation": 4}
    ).eval()
    with torch.no_grad():
        noise = {name: torch.randn(1, c, 72, 96) for name, c in net.inputs.items()}
        means = net(noise)["segmentation"].ensemble.mean((0, 2, 3))
        (bias,) = [p for p in net.parameters() if p.shape == means.shape]
        bias -= means  # random weights prefer one class everywhere
    net.metadata = {
        "preprocessing": {name: m.to_dict() for name, m in MODALITIES.items()},
        "palette": {"segmentation": PALETTE},
    }
    save(net, tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "net.safetensors", "--raw"]) == 0
    rng = np.random.default_rng(0)
    depth = rng.integers(300, 6000, (70, 93)).astype(np.uint16)
    depth[:8] = 0
    cv2.imwrite("rgb.png", rng.integers(0, 256, (70, 93, 3), np.uint8))
    cv2.imwrite("depth.png", depth)
    exec(code, {})
    predicted = Predictor("net.safetensors")({"rgb": "rgb.png", "depth": "depth.png"}).labels
    painted = cv2.imread("labels.png")[..., ::-1]
    assert (painted == np.array(PALETTE, np.uint8)[predicted]).all(-1).mean() > 0.999
    assert len(np.unique(predicted)) > 1
