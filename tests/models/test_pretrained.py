import pytest
import torch
from safetensors.torch import save_file

import cen
from cen.errors import CheckpointError, StreamError
from cen.metrics.features import INCEPTION_URL
from cen.models import ResNet, build, save_encoder
from cen.models.pretrained import IMAGENET, download


@pytest.fixture(scope="module")
def imagenet():
    """A state dict with the keys of torchvision's ResNet-18, classifier included."""
    torch.manual_seed(3)
    encoder = ResNet(18)
    for parameter in encoder.parameters():
        parameter.data.uniform_(-1, 1)
    return {
        **encoder.state_dict(),
        "fc.weight": torch.zeros(1000, 512),
        "fc.bias": torch.zeros(1000),
    }


def make(weights, **changes):
    arguments = {
        "encoder": "resnet18",
        "inputs": {"rgb": 3, "depth": 1, "flow": 2},
        "outputs": {"segmentation": 2},
        "decoder_channels": 2,
        "weights": weights,
    }
    return build("segformer", **{**arguments, **changes})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_every_stream_starts_from_the_file(imagenet, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save(imagenet, path) if suffix == ".pth" else save_file(imagenet, path)
    net = make(path)
    state = net.encoder.state_dict()
    for key, value in imagenet.items():
        if key.startswith("fc."):
            continue
        rows = state[key] if state[key].ndim > value.ndim else state[key][None]
        for row in rows:
            assert torch.equal(row, value), key
    flow = net.stems["flow"].weight
    torch.testing.assert_close(flow.sum(1), imagenet["conv1.weight"].sum(1))
    assert "weights" not in net.config


@pytest.mark.parametrize("weights", ["imagenet", "https://example.org/resnet18.pth"])
def test_weights_from_the_web(imagenet, monkeypatch, tmp_path, weights):
    asked = []

    def fetch(url, file, prefix, progress):
        asked.append(url)
        torch.save(imagenet, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    net = make(weights)
    assert asked == [IMAGENET[18] if weights == "imagenet" else weights]
    assert torch.equal(net.encoder.conv1.weight, imagenet["conv1.weight"])


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        (IMAGENET[18], True),
        (INCEPTION_URL, True),
        ("https://example.org/weights.pth", False),
        # torch.hub would take these numbers for hashes.
        ("https://example.org/resnet-50.pth", False),
        ("https://example-0123abcd.org/v1.2/weights.pth", False),
    ],
)
def test_a_hash_in_the_name_is_checked(imagenet, monkeypatch, tmp_path, url, checked):
    found = []

    def fetch(url, file, prefix, progress):
        found.append(prefix)
        torch.save(imagenet, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    download(url, "give the file")
    assert [prefix is not None for prefix in found] == [checked]
    assert not checked or f"-{found[0]}." in url


def test_a_failed_download_says_what_to_do(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"resnet18-.*\(no network\); download it") as told:
        make("imagenet")
    for way in ("--model.weights FILE", "--model.weights null", IMAGENET[18]):
        assert way in str(told.value)


def test_old_files_without_counters(imagenet, tmp_path):
    old = {k: v for k, v in imagenet.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    make(tmp_path / "old.pth")


def test_narrow_networks_refuse(tmp_path):
    with pytest.raises(CheckpointError, match="of width 16: they exist for width 64 alone"):
        make("imagenet", width=16)


def test_weights_of_another_network(imagenet, tmp_path):
    torch.save(imagenet, tmp_path / "r18.pth")
    message = (
        r"r18.pth does not hold a ResNet-50 of width 64: "
        r"layer1.0.conv3.weight is missing.* and \d+ more"
    )
    with pytest.raises(CheckpointError, match=message):
        make(tmp_path / "r18.pth", encoder="resnet50")
    with pytest.raises(CheckpointError, match=r"nothing.pth does not exist"):
        make(tmp_path / "nothing.pth")


def trained(**changes):
    """A narrow network whose streams have gone apart."""
    torch.manual_seed(5)
    net = make(None, width=4, **changes)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1)
    return net.eval()


def test_a_whole_network_as_an_encoder_is_told_of_the_right_way(tmp_path):
    cen.save(trained(), tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"holds a whole network.*cen\.finetune\(cen\.load"):
        make(tmp_path / "best.safetensors", width=4)


@pytest.mark.parametrize("stream", ["rgb", "depth"])
@pytest.mark.parametrize("convolution", ["shared", "private"])
def test_an_encoder_trained_here_is_a_pretrained_one(tmp_path, stream, convolution):
    # Without exchange the features of a stream are those of its own plain ResNet.
    net = trained(fusion="ensemble", convolution=convolution)
    save_encoder(net, tmp_path / "encoder.safetensors", stream)
    new = make(tmp_path / "encoder.safetensors", width=4, inputs={"x": 3}).eval()
    image = torch.rand(2, net.inputs[stream], 32, 32)
    found = new.encoder.body(new.encoder.conv1(image.expand(-1, 3, -1, -1)))
    stem = dict(net.stems).get(stream, net.encoder.conv1)
    with net.encoder_streams.activate([stream]):
        expected = net.encoder.body(stem(image.expand(-1, 3, -1, -1)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_encoders_that_are_no_plain_resnet_are_not_saved(tmp_path):
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(
        StreamError, match=r"no input 'dpeth' \(did you mean 'depth'\?\); inputs: rgb, depth"
    ):
        save_encoder(trained(), path, "dpeth")
    with pytest.raises(CheckpointError, match="first convolution of 'flow' takes 2 channels"):
        save_encoder(trained(), path, "flow")
    with pytest.raises(CheckpointError, match=r"\(concat\) holds no plain ResNet of 'rgb'"):
        save_encoder(trained(fusion="concat"), path, "rgb")
    unet = build("unet", encoder="unet5", width=4, inputs={"rgb": 3}, outputs={"depth": 1})
    with pytest.raises(CheckpointError, match=r"\(unet5\) holds no plain ResNet of 'rgb'"):
        save_encoder(unet, path, "rgb")
    assert not path.exists()
