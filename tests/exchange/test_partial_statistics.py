"""Statistics of batch norms for passes in which streams are absent."""

from pathlib import Path

import pytest
import torch
from torch import nn

import cen
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    StreamInstanceNorm,
    Streams,
    keep_partial_statistics,
)


def norm_of(count: int = 3, momentum: float | None = 0.5) -> StreamBatchNorm:
    streams = Streams(tuple("abcde"[:count]))
    norm = StreamBatchNorm(2, streams, exchange=ExchangeRule(), momentum=momentum)
    keep_partial_statistics(norm)
    return norm


def batch(norm: StreamBatchNorm, mean: float, count: int) -> torch.Tensor:
    return torch.randn(8 * count, norm.num_features, 5, 5) + mean


@pytest.mark.parametrize("momentum", [0.5, None])
def test_they_are_kept_apart_from_those_of_full_passes(momentum: float | None) -> None:
    torch.manual_seed(0)
    norm = norm_of(momentum=momentum)
    assert norm.partial_batches is not None
    for _ in range(12):
        norm(batch(norm, 0.0, 3))
        for names, mean in (("a", 10.0), ("ab", 20.0)):
            with norm.streams.activate(list(names)):
                norm(batch(norm, mean, len(names)))
    assert norm.running_mean is not None
    assert norm.partial_mean is not None
    assert norm.running_mean.abs().max() < 0.5
    torch.testing.assert_close(norm.partial_mean[0, 0], torch.full((2,), 10.0), atol=0.5, rtol=0)
    torch.testing.assert_close(norm.partial_mean[1, 1], torch.full((2,), 20.0), atol=0.5, rtol=0)
    assert norm.partial_batches.tolist() == [[12, 0, 0], [12, 12, 0]]
    norm.eval()
    for names, mean in (("abc", 0.0), ("a", 10.0), ("ab", 20.0), ("b", 0.0)):
        # "b" alone was never seen: there the statistics of full passes are used.
        with norm.streams.activate(list(names)):
            assert norm(batch(norm, mean, len(names))).mean().abs() < 0.5, names


def test_the_first_batches_count_whole() -> None:
    norm = norm_of(2, momentum=0.1)
    with norm.streams.activate(["b"]):
        norm(batch(norm, 7.0, 1))
    assert norm.partial_mean is not None
    torch.testing.assert_close(norm.partial_mean[0, 1], torch.full((2,), 7.0), atol=0.5, rtol=0)
    assert not norm.partial_mean[0, 0].any()


def test_without_being_asked_for_nothing_is_kept() -> None:
    plain = StreamBatchNorm(2, Streams(("a", "b")))
    assert not any("partial" in key for key in plain.state_dict())
    alone = StreamBatchNorm(2, Streams(("a",)))
    instance = StreamInstanceNorm(2, Streams(("a", "b")), track_running_stats=True)
    keep_partial_statistics(nn.Sequential(alone, instance))
    assert not any("partial" in key for key in (*alone.state_dict(), *instance.state_dict()))


def test_a_state_dict_brings_them_along() -> None:
    norm = norm_of()
    with norm.streams.activate(["a", "b"]):
        norm(batch(norm, 3.0, 2))
    other = StreamBatchNorm(2, Streams(("a", "b", "c")), exchange=ExchangeRule())
    other.load_state_dict(norm.state_dict())
    assert other.partial_mean is not None
    assert norm.partial_mean is not None
    assert torch.equal(other.partial_mean, norm.partial_mean)


def test_a_state_dict_from_before_leaves_them_as_they_are() -> None:
    plain = StreamBatchNorm(2, Streams(("a", "b", "c")), exchange=ExchangeRule())
    norm = norm_of()
    with norm.streams.activate(["a", "b"]):
        norm(batch(norm, 3.0, 2))
    assert norm.partial_mean is not None
    before, content = norm.partial_mean.clone(), plain.state_dict()
    norm.load_state_dict(content)
    assert torch.equal(norm.partial_mean, before)
    assert not any("partial" in key for key in content)


def test_a_saved_network_has_them(tmp_path: Path) -> None:
    net = cen.build(
        "refinenet",
        encoder="resnet50",
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 3},
        width=4,
        decoder_channels=4,
    )
    keep_partial_statistics(net)
    image = torch.rand(2, 3, 32, 32)
    net.train()({"rgb": image})
    cen.save(net, tmp_path / "net.safetensors")
    again = cen.load(tmp_path / "net.safetensors")
    one, other = (n.eval()({"rgb": image})["segmentation"].ensemble for n in (net, again))
    assert torch.equal(one, other)
    plain = cen.build(**net.config)
    plain.load_state_dict(net.state_dict())
    # Where they have no place they are left out.
    cen.finetune(net, outputs={"segmentation": 5})
    cen.save_released(net, tmp_path / "released.pth")
    cen.load_released(tmp_path / "released.pth", inputs=("rgb", "depth"))
