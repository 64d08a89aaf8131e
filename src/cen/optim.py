"""Optimiser groups and learning-rate schedules (torch only, no Lightning).

A schedule is a pure function of the step: nothing has to be saved to resume one, and the same
functions serve people who write their own training loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import StreamNorm
from cen.exchange.conversion.plain_norms import plain_norm
from cen.exchange.functional import is_sharded
from cen.options.training_options import Stage, TrainConfig

OptimizerName = Literal["sgd", "adam", "adamw"]
# What convert and DDP, torch.compile and FSDP put before the names of a network's parameters.
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module")
ScheduleName = Literal["poly", "cosine", "constant", "staged"]


def param_groups(
    net: nn.Module,
    encoder_lr: float | None = None,
    decoder_lr: float | None = None,
    *,
    weight_decay: float | None = None,
    norm_decay: bool = True,
) -> list[dict[str, Any]]:
    """Splits the trainable parameters of a network into an encoder and a decoder group.

    Everything below ``net.encoder`` and ``net.stems`` is encoder; decoder, heads and alpha are
    decoder. A network without such attributes has everything in the decoder group. What
    :func:`cen.convert`, DDP, FSDP or ``torch.compile`` wrap around a network does not matter, nor
    does a module of your own around one of `cen.build`, `cen.load` or `cen.convert` with
    ``outputs=``. Each parameter is in exactly one group and empty groups are left out.

    Args:
        net: the network, for instance from :func:`cen.build` or :func:`cen.convert`.
        encoder_lr: learning rate of the encoder group; ``None`` leaves the optimiser's own.
        decoder_lr: learning rate of the decoder group; ``None`` leaves the optimiser's own.
        weight_decay: weight decay of all parameters, norm scales and shifts included as in the
            released recipe (SGD, 1e-5); ``None`` leaves the optimiser's own.
        norm_decay: False gives scales and shifts of norms groups of their own without weight decay,
            as the recipes of transformers do.

    Returns:
        Groups for a ``torch.optim`` optimiser. ``group["name"]`` is "encoder" or "decoder", which
        :class:`Schedule` uses to set the learning rates.
    """
    rates = {"encoder": encoder_lr, "decoder": decoder_lr}
    exempt = set() if norm_decay else {id(parameter) for parameter in norm_parameters(net)}
    encoders = _of_encoders(net)
    split: dict[tuple[str, bool], list[nn.Parameter]] = {
        (part, decays): [] for decays in (True, False) for part in rates
    }
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            of_encoder = top(name) in ("encoder", "stems") or id(parameter) in encoders
            part = "encoder" if of_encoder else "decoder"
            split[part, id(parameter) not in exempt].append(parameter)
    groups = []
    for (part, decays), parameters in split.items():
        if parameters:
            group: dict[str, Any] = {"params": parameters, "name": part}
            if rates[part] is not None:
                group["lr"] = rates[part]
            if weight_decay is not None or not decays:
                group["weight_decay"] = weight_decay if decays else 0.0
            groups.append(group)
    return groups


def _of_encoders(net: nn.Module) -> set[int]:
    """Ids of the parameters of the encoders and stems of the networks that a module is or has."""
    return {
        id(parameter)
        for network in net.modules()
        if hasattr(network, "encoder_streams") and network.encoder is not network.decoder
        for part in (network.encoder, network.stems)
        if isinstance(part, nn.Module)
        for parameter in part.parameters()
    }


def freeze_encoder(net: nn.Module) -> None:
    """Keeps an encoder and its private stems as they are: no gradients, evaluation mode.

    Norms use their running statistics, and dropout is off there. ``net.train()`` undoes the mode,
    so call this again after it. Exchange in the encoder stays as it is.

    Raises:
        ConfigError: the network has no part that is its encoder, apart from the rest.
    """
    encoder = getattr(net, "encoder", None)
    if not isinstance(encoder, nn.Module) or encoder is getattr(net, "decoder", None):
        raise ConfigError(
            "train.freeze_encoder: the network has no part named encoder or backbone; leave it out"
        )
    for part in (encoder, getattr(net, "stems", None)):
        if isinstance(part, nn.Module):
            part.requires_grad_(False).eval()


def norm_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The scales and shifts of all norms of a network, those of streams and plain ones."""
    return [
        parameter
        for module in net.modules()
        if isinstance(module, StreamNorm) or plain_norm(module) is not None
        for parameter in module.parameters(recurse=False)
    ]


def top(name: str) -> str:
    """First part of a parameter's name below what is wrapped around the network."""
    return next((part for part in name.split(".") if part not in _WRAPPERS), "")


def build_optimizer(
    groups: Iterable[dict[str, Any]],
    name: OptimizerName = "sgd",
    *,
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Builds an optimiser for groups from :func:`param_groups`.

    Args:
        groups: the parameter groups; what a group states wins over the arguments below.
        name: "sgd" (with ``momentum``), "adam" or "adamw" (betas ``(momentum, 0.999)``).
        lr: learning rate of groups that state none.
        momentum: SGD momentum, or Adam's first beta.
        weight_decay: weight decay of groups that state none.

    Raises:
        ConfigError: ``name`` is none of the three.
    """
    # Lists, since the parameters are looked at below and an iterator gives them only once.
    parameters = [{**group, "params": list(group["params"])} for group in groups]
    # One kernel for all does not take sharded ones and whole ones (FSDP2) together.
    sharded = any(is_sharded(p) for group in parameters for p in group["params"])
    foreach = False if sharded else None
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, foreach=foreach
        )
    if name not in ("adam", "adamw"):
        raise ConfigError(f"train.optimizer is {name!r}; use 'sgd', 'adam' or 'adamw'")
    adam = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    betas = (momentum, 0.999)
    # A network has hundreds of small scales: on a CPU one kernel for all takes a third of the time.
    # Elsewhere PyTorch chooses; a fused step refuses gradient clipping under 16-mixed.
    on_cpu = all(p.device.type == "cpu" for group in parameters for p in group["params"])
    fused = True if on_cpu and not sharded else None
    return adam(
        parameters, lr=lr, betas=betas, weight_decay=weight_decay, foreach=foreach, fused=fused
    )


def poly(step: int, steps: int, power: float = 0.9) -> float:
    """Polynomial decay from 1 to 0: ``(1 - step / steps) ** power``; 0 from ``steps`` on."""
    return float(max(0.0, 1 - step / max(1, steps)) ** power)


def cosine(step: int, steps: int) -> float:
    """Half a cosine from 1 to 0; 0 from ``steps`` on."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def warm_up(step: int, length: int) -> float:
    """Linear rise to 1, reached in step ``length - 1`` (never 0, so the first step counts)."""
    return min(1.0, (step + 1) / length) if length > 0 else 1.0


@dataclass(frozen=True)
class Schedule:
    """Learning rates of the encoder and decoder groups as a pure function of the step.

    Args:
        name: "poly" (power 0.9), "cosine", "constant" or "staged".
        steps: length of the whole run in optimiser steps.
        encoder_lr: base rate of the encoder; with "staged" the stages say it instead.
        decoder_lr: base rate of the decoder; with "staged" the stages say it instead.
        warmup: steps of linear warm-up, multiplied onto any.
        stages: the stages of "staged". A run longer than their sum stays in the last stage.

    Raises:
        ConfigError: unknown name, no steps, or a staged schedule without stages.
    """

    name: ScheduleName = "poly"
    steps: int = 1
    encoder_lr: float = 1e-3
    decoder_lr: float = 1e-3
    warmup: int = 0
    stages: Sequence[Stage] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.name not in ("poly", "cosine", "constant", "staged"):
            names = "'poly', 'cosine', 'constant' or 'staged'"
            raise ConfigError(f"train.schedule is {self.name!r}; use {names}")
        if self.steps < 1:
            raise ConfigError(f"train.steps is {self.steps}; a run needs at least one step")
        if self.name == "staged" and not self.stages:
            raise ConfigError(
                "train.schedule is 'staged' but train.stages is empty; list each stage with its"
                " steps, encoder_lr and decoder_lr"
            )
        for number, stage in enumerate(self.stages):
            if stage.steps < 1:
                raise ConfigError(f"train.stages[{number}].steps is {stage.steps}; must be >= 1")

    @classmethod
    def of(cls, how: TrainConfig) -> Schedule:
        """The learning rates of a run."""
        return cls(
            name=how.schedule,
            steps=how.max_steps,
            encoder_lr=how.encoder_lr,
            decoder_lr=how.decoder_lr,
            warmup=how.warmup,
            stages=tuple(how.stages),
        )

    def rates(self, step: int) -> Mapping[str, float]:
        """Learning rate per group name for the (0-based) step about to be taken."""
        encoder, decoder = self.encoder_lr, self.decoder_lr
        factor = warm_up(step, self.warmup)
        if self.name == "poly":
            factor *= poly(step, self.steps)
        elif self.name == "cosine":
            factor *= cosine(step, self.steps)
        elif self.name == "staged":
            stage = self._stage(step)
            encoder, decoder = stage.encoder_lr, stage.decoder_lr
        return {"encoder": encoder * factor, "decoder": decoder * factor}

    def restarts(self, step: int) -> bool:
        """Whether the optimiser starts afresh before this step (a stage after the first begins)."""
        ends = accumulate(stage.steps for stage in self.stages[:-1])
        return self.name == "staged" and step in ends

    def apply(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Prepares ``optimizer`` for ``step``: sets the rates, drops its state at a restart."""
        rates = self.rates(step)
        for group in optimizer.param_groups:
            group["lr"] = rates[group.get("name", "decoder")]
        if self.restarts(step):
            optimizer.state.clear()

    def _stage(self, step: int) -> Stage:
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]
