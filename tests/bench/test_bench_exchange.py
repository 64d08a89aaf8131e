"""The benchmark measures what it says; no test asserts a time."""

import pytest
import torch

from cen.bench.bench_exchange import bench_exchange, cases
from cen.errors import ConfigError
from cen.exchange import exchange_layers, inspect


def test_the_networks_differ_in_their_norms_alone() -> None:
    made = {name: case.network() for name, case in cases("resnet18", 8, 8).items()}
    exchanged = inspect(made["exchange"])
    assert 0.05 < exchanged.rate < 0.15
    assert not any(
        layer.exchange.enabled for layer in exchange_layers(made["no exchange"]).values()
    )
    assert not exchange_layers(made["plain batch norm"])
    kernels = {
        name: sum(p.numel() for p in net.parameters() if p.ndim == 4) for name, net in made.items()
    }
    assert len(set(kernels.values())) == 1


def test_every_mode_gives_both_ratios() -> None:
    lines: list[str] = []
    tiny = {"encoder": "resnet18", "width": 4, "decoder_channels": 4, "size": (32, 32)}
    ratios = bench_exchange(**tiny, rounds=6, progress=lines.append)
    assert [(r.mode, r.name) for r in ratios] == [
        (mode, f"{kind}exchange / {other}")
        for kind, plain in (("", "batch"), ("tokens: ", "layer"), ("maps: ", "layer"))
        for mode in ("evaluation", "training")
        for other in (
            "no exchange",
            f"plain {plain} norm",
            *(["no exchange, by norms", "plain layer norm, by norms"] if kind else []),
        )
    ]
    assert all(r.low <= r.median <= r.high and r.seconds > 0 for r in ratios)
    assert len(lines) == 5 * 2 * (1 + 6)
    assert ratios[0].to_dict()["rounds"] == 6
    assert torch.is_grad_enabled()


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 6"):
        bench_exchange(rounds=5)
