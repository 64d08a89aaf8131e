"""Exports are run and compared, and refused where they differ."""

import json

import numpy as np
import pytest
import torch
from tests.predict.local import local_network
from tests.predict.scene import MODALITIES

from cen import cli
from cen.errors import CenError
from cen.models import Task, build, save
from cen.predict import exporting
from cen.predict.exporting import METADATA, export

onnxruntime = pytest.importorskip("onnxruntime")


def samples(names, sizes=((1, 64, 96), (3, 101, 70))):
    torch.manual_seed(1)
    channels = {"rgb": 3, "depth": 1}
    return [{n: torch.randn(b, channels[n], h, w) for n in names} for b, h, w in sizes]


def network():
    net = local_network(4, Task("segmentation", 4, ("a", "b", "c", "d")))
    net.metadata = {"preprocessing": {name: m.to_dict() for name, m in MODALITIES.items()}}
    return net


@pytest.mark.parametrize("names", [("rgb", "depth"), ("depth",)])
def test_onnx_runs_alone_at_any_size_and_says_what_it_is(tmp_path, names):
    net = network()
    found = export(net, tmp_path / "net.onnx", samples(names))
    assert found.difference < 1e-5
    assert found.labels == 1
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [value.name for value in session.get_inputs()] == list(names)
    assert session.get_inputs()[0].shape[::2] == ["batch", "height"]
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert list(about["preprocessing"]) == list(names)
    inputs = samples(names, ((2, 77, 130),))[0]
    labels, shares = session.run(None, {n: value.numpy() for n, value in inputs.items()})
    with torch.no_grad():
        expected = net(inputs, size=(77, 130))["out"].ensemble.softmax(1).numpy()
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert labels.shape == (2, 77, 130)
    assert (labels == expected.argmax(1)).mean() > 0.9999


def test_programs_of_torch_are_reloaded(tmp_path):
    net, inputs = network(), samples(("rgb", "depth"))
    assert export(net, tmp_path / "net.pt2", inputs, form="pt2").difference < 1e-6
    extra = {METADATA: ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    assert json.loads(extra[METADATA])["inputs"] == {"rgb": 3, "depth": 1}
    with torch.no_grad():
        labels, _ = program.module()(*samples(("rgb", "depth"), ((1, 90, 66),))[0].values())
    assert labels.shape == (1, 90, 66)


def test_an_export_that_gives_other_values_is_not_written(tmp_path, monkeypatch):
    reloaded = exporting._reloaded

    def wrong(*given):
        run = reloaded(*given)
        return lambda inputs: {n: v * 2 for n, v in run(inputs).items()}

    monkeypatch.setattr(exporting, "_reloaded", wrong)
    with pytest.raises(CenError, match=r"is not written, as the export differs"):
        export(network(), tmp_path / "net.pt2", samples(("rgb",)), form="pt2")
    assert not list(tmp_path.iterdir())


def test_an_export_that_cannot_be_run_is_not_written(tmp_path, monkeypatch):
    def broken(*given):
        def run(inputs):
            raise RuntimeError("indices element out of data bounds")

        return run

    monkeypatch.setattr(exporting, "_reloaded", broken)
    with pytest.raises(CenError, match=r"is not written.*out of data bounds"):
        export(network(), tmp_path / "net.pt2", samples(("rgb",)), form="pt2")
    assert not list(tmp_path.iterdir())


def test_the_command_exports_some_modalities(tmp_path, capsys):
    torch.manual_seed(0)
    net = build(
        "unet", encoder="unet3", inputs={"rgb": 3, "depth": 1}, width=4, outputs={"segmentation": 3}
    )
    save(net, tmp_path / "net.safetensors")
    words = ["export", str(tmp_path / "net.safetensors"), "-o", str(tmp_path / "out")]
    assert cli.main([*words, "--format", "pt2", "--inputs", "depth", "--fold", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert not figures["real_samples"]
    assert figures["files"]["depth"]["difference"] < 1e-4
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["depth.pt2"]
    assert cli.main([*words, "--inputs", "dept"]) == 2
    assert "did you mean depth" in capsys.readouterr().err


def saved(folder, name):
    torch.manual_seed(0)
    options = {} if name == "unet" else {"encoder": "resnet18", "decoder_channels": 8}
    net = build(
        name, inputs={"rgb": 3, "depth": 1}, width=8, outputs={"segmentation": 3}, **options
    )
    save(net, folder / "net.safetensors")
    return ["export", str(folder / "net.safetensors"), "-o", str(folder / "out")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["refinenet", "unet"])
def test_every_subset_runs_in_onnx_runtime(tmp_path, capsys, name):
    assert cli.main([*saved(tmp_path, name), "--all-subsets", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert list(files) == ["rgb+depth", "rgb", "depth"]
    assert all(found["difference"] < 1e-4 for found in files.values())


@pytest.mark.slow
def test_pspnet_is_a_program_of_torch_export(tmp_path, capsys):
    assert cli.main([*saved(tmp_path, "pspnet"), "--format", "pt2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"]["rgb+depth"]["difference"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"), [("refinenet", "pt2"), ("refinenet", "onnx"), ("unet", "onnx")]
)
def test_folded_networks_are_exported(tmp_path, capsys, name, form):
    words = [*saved(tmp_path, name), "--format", form, "--fold", "--json"]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["files"]["rgb+depth"]["difference"] < 1e-4


@pytest.mark.slow
def test_what_cannot_be_exported_ends_in_a_message(tmp_path, capsys):
    assert cli.main(saved(tmp_path, "pspnet")) == 2
    assert "what was exported cannot be run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
