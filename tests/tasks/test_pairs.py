"""Each kind of output against each fault of a target: refused before a number is computed."""

import pytest
import torch

import cen
from cen.errors import DataError, ShapeError
from cen.losses import fusion_loss, segmentation_loss
from cen.metrics import confusion_matrix, depth_sums, edge_counts, image_sums, normal_counts
from cen.models import Output, Task

CHANNELS = {"segmentation": 4, "depth": 1, "normal": 3, "edge": 1, "image": 2}
SUMS = {
    "depth": depth_sums,
    "normal": normal_counts,
    "edge": edge_counts,
    "image": image_sums,
}


def truth(kind, height=16, width=24, batch=2):
    if kind == "segmentation":
        return torch.randint(4, (batch, height, width))
    values = torch.rand(batch, CHANNELS[kind], height, width) + 0.1
    return torch.nn.functional.normalize(values, dim=1) if kind == "normal" else values.clamp(max=1)


def guess(kind, height=8, width=12, batch=2):
    return torch.rand(batch, CHANNELS[kind], height, width, requires_grad=True)


def loss_of(kind, prediction, target):
    task = Task(kind, CHANNELS[kind])
    output = Output({"rgb": prediction}, prediction.detach(), torch.ones(1))
    return fusion_loss({"out": output}, {"out": target}, {"out": task}).total


FAULTS = {
    "sides swapped": (lambda t: t.transpose(-1, -2), ShapeError, "swapped"),
    "strip": (lambda t: t[..., :3, :], ShapeError, "no scale"),
    "batch": (lambda t: t[:1], ShapeError, "B = 2"),
    "no batch axis": (lambda t: t[0], ShapeError, "must be"),
    "one axis too many": (lambda t: t[:, None], ShapeError, "must be"),
    "empty": (lambda t: t[..., :0], DataError, "empty"),
    "complex": (lambda t: t.to(torch.complex64), DataError, "real"),
    "device": (lambda t: t.to("meta"), DataError, "device|on meta"),
    "array": (lambda t: t.numpy(), DataError, "ndarray"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", CHANNELS)
def test_shapes_and_tensors(kind, fault):
    spoil, error, words = FAULTS[fault]
    with pytest.raises(error, match=words) as found:
        loss_of(kind, guess(kind), spoil(truth(kind)))
    assert "'out'" in str(found.value)


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.bool])
def test_integers_are_labels_alone(kind, dtype):
    target = (truth(kind) > 0.5).to(dtype)
    if kind == "segmentation":
        prediction = guess(kind)
        assert loss_of(kind, prediction, target) == loss_of(kind, prediction, target.long())
    else:
        with pytest.raises(DataError, match="floating point"):
            loss_of(kind, guess(kind), target)


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_computed_with_as_float32(kind, dtype):
    target = truth(kind)
    if kind == "segmentation":
        with pytest.raises(DataError, match="integer class labels"):
            loss_of(kind, guess(kind), target.to(dtype))
        return
    loss = loss_of(kind, guess(kind).to(dtype), target.to(dtype))
    assert loss.dtype == torch.float32
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("segmentation", 4, "label 4"),
        ("segmentation", -1, "label -1"),
        ("segmentation", 254, "label 254"),
        ("edge", 255.0, "0..1"),
        ("edge", -0.5, "0..1"),
        ("normal", 127.0, "unit vectors"),
    ],
)
def test_values_out_of_range(kind, value, words):
    target = truth(kind)
    target[0, ..., 0, 0] = value
    with pytest.raises(DataError, match=words):
        loss_of(kind, guess(kind), target)


@pytest.mark.parametrize("kind", ["segmentation", "edge", "normal"])
def test_values_out_of_range_are_nan_where_they_are_not_looked_at(kind, monkeypatch):
    target = truth(kind)
    target[0, ..., 0, 0] = 100
    monkeypatch.setattr("cen.tasks.pairs.values_checked", lambda values: False)
    assert loss_of(kind, guess(kind), target).isnan()
    assert loss_of(kind, guess(kind), truth(kind)).isfinite()


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("hole", [float("nan"), float("inf"), float("-inf")])
def test_documented_holes_do_not_count(kind, hole):
    target = truth(kind)
    target[0, :, 3:6] = hole
    prediction = guess(kind)
    loss = loss_of(kind, prediction, target)
    loss.backward()
    assert loss.isfinite()
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("kind", SUMS)
def test_metrics_refuse_what_does_not_fit(kind):
    target = truth(kind)
    prediction = target.clone()
    for bad in (target.transpose(-1, -2), target[:1], target[0], target[:, :, :3]):
        with pytest.raises(ShapeError):
            SUMS[kind](prediction, bad)
    for dtype in (torch.uint8, torch.int32, torch.bool):
        with pytest.raises(DataError, match="floating point"):
            SUMS[kind](prediction, target.to(dtype))
    prediction[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        SUMS[kind](prediction, target)


@pytest.mark.parametrize("bad", [torch.float32, torch.float64, torch.float16])
def test_confusion_matrix_takes_integers_alone(bad):
    labels = truth("segmentation")
    with pytest.raises(DataError, match="integer"):
        confusion_matrix(labels, labels.to(bad), 4)
    with pytest.raises(ShapeError):
        confusion_matrix(labels, labels.transpose(1, 2), 4)
    assert confusion_matrix(labels.to(torch.uint8), labels.int(), 4).sum() == labels.numel()


def test_class_weights_of_another_number():
    with pytest.raises(ShapeError, match="class weights"):
        segmentation_loss(guess("segmentation"), truth("segmentation"), torch.ones(3))


@pytest.fixture(scope="module")
def net():
    inputs, outputs = {"rgb": 3, "depth": 1}, {"segmentation": 4}
    return cen.build("unet", encoder="unet3", inputs=inputs, outputs=outputs, width=4).eval()


NETWORK_FAULTS = {
    "uint8": (lambda x: (x * 255).to(torch.uint8), DataError, "uint8"),
    "int64": (lambda x: x.long(), DataError, "int64"),
    "bool": (lambda x: x > 0, DataError, "bool"),
    "complex": (lambda x: x.to(torch.complex64), DataError, "real"),
    "array": (lambda x: x.numpy(), ShapeError, "ndarray"),
    "NaN": (lambda x: torch.full_like(x, torch.nan), DataError, "NaN"),
    "infinity": (lambda x: x / 0, DataError, "infinity"),
    "channels": (lambda x: x[:, :0], ShapeError, "depth"),
    "dimensions": (lambda x: x[0], ShapeError, "depth"),
    "batch": (lambda x: x[:1], ShapeError, "same batch"),
    "size": (lambda x: x[..., :32], ShapeError, "same size"),
    "device": (lambda x: x.to("meta"), DataError, "meta"),
}


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
def test_networks_refuse_inputs(net, fault):
    spoil, error, words = NETWORK_FAULTS[fault]
    images = {"rgb": torch.rand(2, 3, 64, 64), "depth": torch.rand(2, 1, 64, 64)}
    with pytest.raises(error, match=words):
        net({**images, "depth": spoil(images["depth"])})


def test_networks_refuse_an_empty_batch(net):
    with pytest.raises(ShapeError, match="B at least 1"):
        net({"rgb": torch.rand(0, 3, 64, 64), "depth": torch.rand(0, 1, 64, 64)})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_convert_precisions(net, dtype):
    images = {"rgb": torch.rand(1, 3, 64, 64), "depth": torch.rand(1, 1, 64, 64).to(dtype)}
    with torch.no_grad():
        mixed = net(images)["segmentation"].ensemble
        same = net({**images, "depth": images["depth"].float()})["segmentation"].ensemble
    assert torch.equal(mixed, same)


def test_networks_take_views(net):
    images = {"rgb": torch.rand(1, 3, 64, 64), "depth": torch.rand(1, 1, 64, 64).mT}
    with torch.no_grad():
        view = net(images)["segmentation"].ensemble
        copy = net({**images, "depth": images["depth"].contiguous()})["segmentation"].ensemble
    assert torch.allclose(view, copy, atol=1e-5)
