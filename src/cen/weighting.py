"""How much each output counts in the loss: fixed, learned, or by what the gradients agree on.

Torch only, usable in anybody's own training loop: ``weighted = weighting(losses.by_output())``,
then ``weighted.total`` is what is differentiated. Gradient aggregation needs TorchJD, an optional
package (``pip install "cen[multitask]"``). All of this is this project's extension; the paper's
text on several tasks is not at hand.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cen.arguments import mapping
from cen.errors import ConfigError, described, did_you_mean
from cen.exchange import Streams
from cen.losses import sum_weighted
from cen.models import ChannelExchangeNetwork, Task
from cen.models.network import check_network
from cen.options.training_options import check_weighting
from cen.tasks.pairs import check_numbers


class Weighted(NamedTuple):
    """A weighted loss.

    Attributes:
        total: scalar, to be differentiated.
        weights: the weight of every output in this step, scalars without gradient; what is logged.
    """

    total: Tensor
    weights: dict[str, Tensor]


class FixedWeighting(nn.Module):
    """Weights that stay: ``Σ weight · loss``.

    Args:
        weights: the weight of each output, above 0.

    Raises:
        ConfigError: a weight is not above 0.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        for name, weight in mapping("weights", weights, "{'segmentation': 1.0}").items():
            if not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ConfigError(
                    f"model.outputs.{name}.weight: {described(weight)}; give a number above 0, "
                    "or leave the output out"
                )
        self.names = tuple(weights)
        self.register_buffer("fixed", torch.tensor(list(weights.values())), persistent=False)

    fixed: Tensor

    def forward(
        self,
        losses: Mapping[str, Tensor],
        present: Mapping[str, Tensor] | None = None,
        scale: float = 1.0,
    ) -> Weighted:
        """Weighs the losses of a step.

        Args:
            losses: scalar loss of each output.
            present: by output, 1 where the batch has any ground truth for it, else 0 (scalars);
                None: all have.
            scale: factor by which gradients are multiplied against underflow (float16).

        Raises:
            ConfigError: an output is unknown or has no value, or there is none.
            ShapeError: a loss is no scalar.
            DataError: a loss is no floating point tensor.
        """
        self._check(losses, present)
        return self._weighted(losses, present, scale)

    def _weighted(
        self, losses: Mapping[str, Tensor], present: Mapping[str, Tensor] | None, scale: float
    ) -> Weighted:
        weights = self._fixed(losses)
        return Weighted(sum_weighted(losses, weights), weights)

    def _check(self, losses: Mapping[str, Tensor], present: Mapping[str, Tensor] | None) -> None:
        outputs = ", ".join(self.names)
        if not mapping("losses", losses, "{'segmentation': loss}"):
            raise ConfigError(f"there is no loss to weigh; the outputs are {outputs}")
        for name, loss in losses.items():
            if name not in self.names:
                hint = did_you_mean(name, self.names)
                raise ConfigError(f"{name!r} has no weight{hint}; the outputs are {outputs}")
            if present is not None and name not in present:
                raise ConfigError(f"present: says nothing of {name!r}, which has a loss")
            check_numbers(loss, f"the loss of {name!r}", "")

    def _fixed(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.fixed[self.names.index(name)] for name in losses}


class UncertaintyWeighting(FixedWeighting):
    """Weights learned as the uncertainty of each task.

    Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry
    and Semantics", CVPR 2018: with s = log σ², a classification loss L becomes exp(−s) · L + s / 2
    (their equation 10) and a regression loss exp(−s) / 2 · L + s / 2 (equation 7). L is the loss of
    an output as it stands, an absolute error or a cosine too, times its fixed weight. An output
    without ground truth in the batch contributes neither term.

    Args:
        weights: fixed weight of each output.
        tasks: the tasks, for their kinds; segmentation and edges are classifications.

    Raises:
        ConfigError: a weight is not above 0, or has no task.

    Attributes:
        log_variances: s, (T,), a parameter, 0 at the start; give it to the optimiser, without
            weight decay.
    """

    def __init__(self, weights: Mapping[str, float], tasks: Mapping[str, Task]) -> None:
        super().__init__(weights)
        if missing := [name for name in weights if name not in tasks]:
            raise ConfigError(f"no task is given for {missing[0]!r}, which has a weight")
        self.log_variances = nn.Parameter(torch.zeros(len(weights)))
        classifies = [tasks[name].rules.classifies for name in weights]
        factors = torch.tensor([1.0 if yes else 0.5 for yes in classifies])
        self.register_buffer("factors", factors, persistent=False)

    factors: Tensor

    def _weighted(
        self, losses: Mapping[str, Tensor], present: Mapping[str, Tensor] | None, scale: float
    ) -> Weighted:
        learned = self.factors * torch.exp(-self.log_variances) * self.fixed
        weights = {name: learned[self.names.index(name)] for name in losses}
        total = sum_weighted(losses, weights)
        for name in losses:
            here = 1.0 if present is None else present[name]
            total = total + here * self.log_variances[self.names.index(name)] / 2
        return Weighted(total, {name: weight.detach() for name, weight in weights.items()})


class GradientWeighting(FixedWeighting):
    """Weights from the Gramian of the outputs' gradients, by an aggregator of TorchJD.

    In every step the gradient of each output's loss with respect to the shared parameters is
    computed, their inner products give the Gramian, an aggregator such as UPGrad or MGDA makes
    weights of it, and the weighted sum of the losses is differentiated as usual. That is one
    backward pass per output more than with fixed weights. Clipping, mixed precision and several
    processes work as ever: gradients are averaged over processes before the Gramian is formed, and
    process 0 decides. The weights are TorchJD's times the number of outputs, so that ``Mean`` is
    the same as fixed weights and λ keeps its meaning; those of PCGrad, which sums the gradients
    instead of averaging them, are taken as they are. Outputs without ground truth in the batch
    stay out of it. Waits for the device.

    Args:
        weights: fixed weight of each output, multiplied onto its loss beforehand.
        name: the aggregator, as TorchJD calls it; see `cen.options.training_options.AGGREGATORS`.
        shared: the parameters that several outputs depend on, see `shared_parameters`.

    Raises:
        ConfigError: TorchJD is not installed, or the aggregator is unknown, or cannot be used here
            (the reason is in the message).
    """

    def __init__(
        self, weights: Mapping[str, float], name: str, shared: Sequence[nn.Parameter]
    ) -> None:
        super().__init__(weights)
        self._weigh = torchjd_weighting(name)
        self._sums = name == "PCGrad"
        # In a tuple: they are the network's parameters, not this module's.
        self._shared = tuple(parameter for parameter in shared if parameter.requires_grad)
        if not self._shared:
            raise ConfigError(f"train.weighting {name}: no parameter is shared by the outputs")

    def _weighted(
        self, losses: Mapping[str, Tensor], present: Mapping[str, Tensor] | None, scale: float
    ) -> Weighted:
        fixed = self._fixed(losses)
        scaled = {name: fixed[name] * loss for name, loss in losses.items()}
        factors = self._weights(torch.stack([self._gradient(x, scale) for x in scaled.values()]))
        weights = dict(zip(losses, factors, strict=True))
        total = sum_weighted(scaled, weights)
        return Weighted(total, {name: weights[name] * fixed[name] for name in losses})

    def _gradient(self, loss: Tensor, scale: float) -> Tensor:
        """Gradient with respect to the shared parameters, (N,), averaged over processes."""
        pieces = torch.autograd.grad(
            loss * scale, self._shared, retain_graph=True, allow_unused=True
        )
        flat = [
            torch.zeros_like(parameter).flatten() if piece is None else piece.flatten()
            for parameter, piece in zip(self._shared, pieces, strict=True)
        ]
        gradient = torch.cat(flat).float() / scale
        if _several_processes():
            torch.distributed.all_reduce(gradient)
            gradient /= torch.distributed.get_world_size()
        return gradient

    @torch.no_grad()
    def _weights(self, jacobian: Tensor) -> Tensor:
        with torch.autocast(jacobian.device.type, enabled=False):  # no product in half precision
            gramian = (jacobian @ jacobian.T).double()
        weights = torch.ones(len(gramian), dtype=torch.float64, device=gramian.device)
        # A step that overflowed in float16 is skipped by the gradient scaler, whatever the weights.
        if bool(torch.isfinite(gramian).all()):
            here = (gramian.diagonal() > 0).nonzero().flatten()
            if len(here) > 1:
                factor = 1 if self._sums else len(here)
                weights[here] = factor * self._weigh(gramian[here][:, here]).to(weights)
        if _several_processes():  # some aggregators draw random numbers
            torch.distributed.broadcast(weights, 0)
        return weights.float()


def make_weighting(
    name: str, weights: Mapping[str, float], net: ChannelExchangeNetwork
) -> FixedWeighting:
    """The weighting of a configuration.

    Args:
        name: "fixed", "uncertainty", or an aggregator of TorchJD.
        weights: fixed weight of each output.
        net: the network.

    Raises:
        ConfigError: the weights are not those of the network's outputs; see the classes above.
    """
    check_network(net)
    for output in weights:
        if output not in net.outputs:
            hint = did_you_mean(output, net.outputs)
            raise ConfigError(
                f"a weight is given for {output}, which is no output of the network{hint}; it has "
                f"{', '.join(net.outputs)}"
            )
    if missing := [output for output in net.outputs if output not in weights]:
        raise ConfigError(f"no weight is given for {', '.join(missing)}; give one for each output")
    if name == "fixed":
        return FixedWeighting(weights)
    if name == "uncertainty":
        return UncertaintyWeighting(weights, net.outputs)
    return GradientWeighting(weights, name, shared_parameters(net))


def shared_parameters(net: ChannelExchangeNetwork) -> list[nn.Parameter]:
    """Parameters that the losses of several outputs depend on.

    All of the encoder and its stems, and those of the decoder that do not belong to single streams
    where it has streams of its own for each output.
    """
    separate = net.outputs_apart
    private: set[int] = set()
    for module in net.decoder.modules():
        streams = getattr(module, "streams", None)
        if separate and isinstance(streams, Streams) and len(streams) == len(net.decoder_streams):
            private |= {id(parameter) for parameter in module.parameters(recurse=False)}
    parts = (net.encoder, net.stems, net.decoder)
    by_id = {id(p): p for part in parts for p in part.parameters() if id(p) not in private}
    return list(by_id.values())


def torchjd_weighting(name: str) -> Any:
    """A map of TorchJD from a Gramian (T, T) to weights (T,).

    Raises:
        ConfigError: it cannot be had; the message says why.
    """
    check_weighting(name)
    try:
        module = importlib.import_module("torchjd.aggregation")
    except ImportError as error:
        raise ConfigError(
            f"train.weighting {name}: gradient aggregation is done by TorchJD, which is not "
            'installed; pip install "cen[multitask]"'
        ) from error
    try:
        return getattr(module, f"{name}Weighting")()
    except ImportError as error:
        raise ConfigError(
            f"train.weighting {name}: TorchJD solves a quadratic program for it with packages that "
            "are not installed; pip install quadprog qpsolvers (quadprog is under the GPL), or "
            "take PCGrad or AlignedMTL"
        ) from error


def _several_processes() -> bool:
    active = torch.distributed.is_available() and torch.distributed.is_initialized()
    return active and torch.distributed.get_world_size() > 1
