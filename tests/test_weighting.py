"""Weights of the losses of several outputs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cen
from cen.errors import ConfigError, DataError, ShapeError
from cen.models import Task
from cen.options.training_options import AGGREGATORS
from cen.weighting import (
    FixedWeighting,
    GradientWeighting,
    UncertaintyWeighting,
    make_weighting,
    shared_parameters,
    torchjd_weighting,
)

TASKS = {"s": Task("segmentation", 3), "d": Task("depth", 1)}


def scalars(*values: float) -> dict[str, Tensor]:
    return dict(zip(TASKS, map(torch.tensor, values), strict=True))


def test_fixed_weights() -> None:
    weighting = FixedWeighting({"s": 1.0, "d": 2.5})
    weighted = weighting(scalars(3.0, 4.0))
    assert weighted.total.item() == pytest.approx(13.0)
    assert {k: w.item() for k, w in weighted.weights.items()} == {"s": 1.0, "d": 2.5}
    assert not list(weighting.parameters())
    assert not weighting.state_dict()  # checkpoints of runs from before stay readable
    with pytest.raises(ConfigError, match=r"model\.outputs\.d\.weight"):
        FixedWeighting({"s": 1.0, "d": 0.0})
    with pytest.raises(ConfigError, match=r"model\.outputs\.d\.weight: inf"):
        FixedWeighting({"s": 1.0, "d": math.inf})


def test_uncertainty_is_that_of_kendall() -> None:
    weighting = UncertaintyWeighting({"s": 1.0, "d": 2.0}, TASKS)
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([0.3, -0.4]))
    weighted = weighting(scalars(3.0, 4.0))
    expected = 3 * math.exp(-0.3) + 0.15 + 2 * 4 * math.exp(0.4) / 2 - 0.2
    assert weighted.total.item() == pytest.approx(expected)
    assert weighted.weights["d"].item() == pytest.approx(math.exp(0.4))
    # The optimum of L e^-s + s / 2 is at s = log 2L, that of L e^-s / 2 + s / 2 at log L.
    optimum = torch.tensor([math.log(2 * 3.0), math.log(2 * 4.0)])
    with torch.no_grad():
        weighting.log_variances.copy_(optimum)
    weighting.log_variances.grad = None
    weighting(scalars(3.0, 4.0)).total.backward()
    assert weighting.log_variances.grad is not None
    assert weighting.log_variances.grad.abs().max() < 1e-6


def test_uncertainty_of_an_absent_output_does_not_move() -> None:
    weighting = UncertaintyWeighting({"s": 1.0, "d": 1.0}, TASKS)
    weighting(scalars(3.0, 0.0), {"s": torch.ones(()), "d": torch.zeros(())}).total.backward()
    assert weighting.log_variances.grad is not None
    assert weighting.log_variances.grad[0] != 0
    assert weighting.log_variances.grad[1] == 0


def losses_of(theta: nn.Parameter) -> dict[str, Tensor]:
    """Two losses with gradients (2, 0) and (-2, 2) at theta = (1, 1): they disagree."""
    return {"s": theta[0].square(), "d": (theta[1] - 2 * theta[0]).square() - theta[1] * 0}


@pytest.mark.parametrize("name", ["PCGrad", "MGDA", "AlignedMTL", "IMTLG", "Mean"])
def test_gradients_are_weighed_as_torchjd_does(name: str) -> None:
    """The gradient of the weighted loss is T times the aggregate, but that of PCGrad is a sum."""
    aggregation = pytest.importorskip("torchjd.aggregation")
    theta = nn.Parameter(torch.tensor([1.0, 1.5]))
    weighting = GradientWeighting({"s": 1.0, "d": 0.5}, name, [theta])
    assert not list(weighting.parameters())
    torch.manual_seed(0)
    weighted = weighting(losses_of(theta))
    weighted.total.backward()
    s, d = losses_of(theta).values()
    rows = [torch.autograd.grad(loss, theta)[0] for loss in (s, 0.5 * d)]
    torch.manual_seed(0)
    factor = 1 if name == "PCGrad" else 2
    expected = factor * getattr(aggregation, name)()(torch.stack(rows))
    torch.testing.assert_close(theta.grad, expected, rtol=1e-4, atol=1e-5)
    total = sum(weighted.weights[k] * loss.item() for k, loss in zip("sd", (s, d), strict=True))
    assert weighted.total.item() == pytest.approx(float(total), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in AGGREGATORS if name != "Random"])
def test_gradients_that_do_not_disagree_keep_their_weights(name: str) -> None:
    """Orthogonal ones of the same length: there is nothing to weigh, and λ keeps its meaning."""
    pytest.importorskip("torchjd")
    if name in ("UPGrad", "DualProj"):
        pytest.importorskip("qpsolvers")
    theta = nn.Parameter(torch.tensor([1.0, 2.0]))
    weighting = GradientWeighting({"s": 1.0, "d": 1.0}, name, [theta])
    weights = weighting({"s": theta[0], "d": theta[1]}).weights
    assert [w.item() for w in weights.values()] == pytest.approx([1.0, 1.0], abs=1e-5)


def test_gradients_are_multiplied_in_full_precision() -> None:
    """Under autocast too, where a matrix product would be rounded to three digits."""
    pytest.importorskip("torchjd")
    theta = nn.Parameter(torch.tensor([1.01, 2.53]))
    weighting = GradientWeighting({"s": 1.0, "d": 1.0}, "MGDA", [theta])
    plain = weighting(losses_of(theta))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = weighting(losses_of(theta))
    assert mixed.weights["s"].item() == pytest.approx(plain.weights["s"].item(), rel=1e-6)
    assert 0 < plain.weights["s"].item() < 2


def test_the_scale_of_float16_changes_no_weight() -> None:
    pytest.importorskip("torchjd")
    theta = nn.Parameter(torch.tensor([1.0, 1.5]))
    weighting = GradientWeighting({"s": 1.0, "d": 1.0}, "MGDA", [theta])
    plain, scaled = weighting(losses_of(theta)), weighting(losses_of(theta), None, 1024.0)
    assert scaled.total.item() == pytest.approx(plain.total.item(), rel=1e-4)


def test_outputs_without_gradient_and_overflow_are_left_out() -> None:
    """The shortest vector in the hull of gradients is 0 where one of them is."""
    pytest.importorskip("torchjd")
    theta = nn.Parameter(torch.tensor([1.0, 1.5]))
    weighting = GradientWeighting({"s": 1.0, "d": 1.0}, "MGDA", [theta])
    losses = losses_of(theta)
    absent = weighting(losses | {"d": 0.0 * theta.sum()})
    assert absent.weights["s"].item() == 1.0
    overflow = weighting(losses | {"d": theta.sum() * torch.inf})
    assert [w.item() for w in overflow.weights.values()] == [1.0, 1.0]


def test_what_is_shared() -> None:
    """The private norms of the tasks in the decoder, the heads and alpha are not."""

    def names(**options: Any) -> set[str]:
        net = cen.build(
            "refinenet",
            encoder="resnet18",
            inputs={"rgb": 3, "range": 1},
            outputs={"s": 3, "d": Task("depth", 1)},
            width=4,
            decoder_channels=4,
            **options,
        )
        shared = {id(p) for p in shared_parameters(net)}
        return {name for name, p in net.named_parameters() if id(p) in shared}

    private, together = names(), names(task_streams="shared")
    separate = names(task_streams="separate")
    assert "encoder.layer1.0.bn1.weight" in separate
    assert not any(name.startswith("decoder") for name in separate)
    assert "encoder.conv1.weight" in private
    assert "encoder.layer1.0.bn1.weight" in private
    assert "decoder.levels.0.reduce.conv.weight" in private
    assert "decoder.levels.0.reduce.norm.weight" not in private
    assert "decoder.levels.0.reduce.norm.weight" in together
    # Two streams of the decoder, as many as inputs, and yet one for each task.
    fused = names(fusion="concat")
    assert "encoder.layer1.0.bn1.weight" in fused
    assert "decoder.levels.0.reduce.conv.weight" in fused
    assert "decoder.levels.0.reduce.norm.weight" not in fused
    assert not any(name.startswith(("heads", "alpha")) for name in private | together)


def test_every_aggregator_can_be_had_or_says_why() -> None:
    pytest.importorskip("torchjd")
    gramian = torch.tensor([[2.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)
    for name in AGGREGATORS:
        try:
            weights = torchjd_weighting(name)(gramian)
        except ConfigError as error:
            assert "quadprog" in str(error)  # noqa: PT017 (an optional package)
        else:
            assert weights.shape == (2,)
            assert weights.isfinite().all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NashMTL", "keeps a state.*UPGrad"),
        ("ConFIG", "every single gradient value"),
        ("CAGrad", "a number of its own"),
        ("upgrad", "did you mean 'UPGrad'"),
        ("uncertain", "did you mean 'uncertainty'"),
    ],
)
def test_other_weightings_are_refused_with_a_reason(name: str, message: str) -> None:
    net = cen.build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3},
        outputs={"s": 3},
        width=4,
        decoder_channels=4,
    )
    with pytest.raises(ConfigError, match=message):
        make_weighting(name, {"s": 1.0}, net)


@pytest.mark.parametrize("name", ["fixed", "uncertainty", "MGDA"])
def test_weights_are_those_of_the_outputs(name: str) -> None:
    net = cen.build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3},
        outputs=TASKS,
        width=4,
        decoder_channels=4,
    )
    with pytest.raises(ConfigError, match="no weight is given for d"):
        make_weighting(name, {"s": 1.0}, net)
    with pytest.raises(ConfigError, match=r"given for dd, which is no output.*did you mean 'd'"):
        make_weighting(name, {"s": 1.0, "d": 1.0, "dd": 1.0}, net)


@pytest.mark.parametrize(
    ("losses", "error", "words"),
    [
        ({}, ConfigError, "no loss"),
        ([torch.ones(())], ConfigError, "dict"),
        ({"s": torch.ones(()), "p": torch.ones(())}, ConfigError, "'p'"),
        ({"s": torch.ones(2)}, ShapeError, "scalar"),
        ({"s": torch.tensor(1)}, DataError, "int64"),
        ({"s": 1.0}, DataError, "tensor"),
    ],
)
def test_losses_that_are_none(losses: Any, error: type[Exception], words: str) -> None:
    weights = {"s": 1.0, "d": 1.0}
    for weighting in (FixedWeighting(weights), UncertaintyWeighting(weights, TASKS)):
        with pytest.raises(error, match=words):
            weighting(losses)


def test_weights_that_are_none() -> None:
    for weights in ({"s": "x"}, ["s"], {"s": math.nan}):
        with pytest.raises(ConfigError):
            FixedWeighting(weights)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no task"):
        UncertaintyWeighting({"s": 1.0}, {})
    with pytest.raises(ConfigError, match="says nothing of 'd'"):
        UncertaintyWeighting({"s": 1.0, "d": 1.0}, TASKS)(scalars(1.0, 2.0), {"s": torch.ones(())})
    with pytest.raises(ConfigError, match="no weighting '3'"):
        torchjd_weighting(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Linear"):
        make_weighting("fixed", {"s": 1.0}, nn.Linear(1, 1))  # type: ignore[arg-type]
