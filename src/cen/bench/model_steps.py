"""What `cen bench model` times: a step of a configured network on random data, in several forms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cen.bench.list_form import ListForm
from cen.bench.scales import set_rate
from cen.bench.timing import Step
from cen.config import Config
from cen.errors import ConfigError
from cen.exchange import exchange_layers, freeze_statistics, sparsity
from cen.folding import fold
from cen.losses import fusion_loss
from cen.models import ChannelExchangeNetwork, Output, Task, build
from cen.models.costs import counted
from cen.optim import build_optimizer, param_groups
from cen.options.network_options import OutputConfig
from cen.tasks import KINDS

Mode = Literal["evaluation", "training"]
MODES: tuple[Mode, ...] = ("evaluation", "training")
Form = Literal["list", "packed", "folded", "packed, compiled", "folded, compiled"]
MATMUL = 2048
"""Side of the square matrices whose product is the measure of the machine."""
USUAL_RATE = 0.5
"""Share of the own channels that is exchanged unless another is asked for."""
_CLASSES = 15


@dataclass(frozen=True)
class Case:
    """One network on inputs of one size.

    Attributes:
        config: How it is built and trained.
        streams: Modalities; those of the configuration, then further ones of as many channels.
        batch: Samples, each with all modalities.
        size: (H, W) of the inputs.
        rate: Share of the own channels that is exchanged; None: `USUAL_RATE`, where scales say what
            is exchanged.
        device: "cpu" or a CUDA device.
    """

    config: Config
    streams: int
    batch: int
    size: tuple[int, int]
    rate: float | None = None
    device: str = "cpu"

    def network(self) -> ChannelExchangeNetwork:
        """The network, with random weights.

        Raises:
            ConfigError: It cannot be built, or exchanges nothing although a rate is asked for.
        """
        config = self.config
        if config.model.name == "cycle" and self.streams != len(config.model.inputs):
            raise ConfigError(
                "a cycle network's modalities are its outputs, too; leave --streams out"
            )
        inputs = modalities(config.model.inputs, self.streams)
        model = replace(config.model, inputs=inputs, weights=None)
        tasks = {name: _task(name, out, config) for name, out in model.outputs.items()}
        torch.manual_seed(config.seed)
        net = build(outputs=tasks, exchange=model.rule(config.seed), **model.arguments())
        if self.rate is not None:
            set_rate(net, self.rate)
        elif model.exchange and model.guide == "scale" and exchange_layers(net):
            set_rate(net, USUAL_RATE)
        return net.to(self.device)

    def batch_of(self, net: ChannelExchangeNetwork) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Random inputs and ground truth."""
        torch.manual_seed(self.config.seed)
        inputs = {name: torch.randn(self.batch, c, *self.size) for name, c in net.inputs.items()}
        truth = {name: _truth(task, self.batch, self.size) for name, task in net.outputs.items()}
        return (
            {name: value.to(self.device) for name, value in inputs.items()},
            {name: value.to(self.device) for name, value in truth.items()},
        )


def modalities(inputs: Mapping[str, int], stream_count: int) -> dict[str, int]:
    """As many modalities: those given, then their likes with a number behind the name."""
    channels_by_name: dict[str, int] = {}
    for number in count(1):
        for name, channels in inputs.items():
            if len(channels_by_name) < stream_count:
                channels_by_name[f"{name}{number}" if number > 1 else name] = channels
        if len(channels_by_name) == stream_count:
            break
    return channels_by_name


def make_step(case: Case, mode: Mode, form: Form) -> Step:
    """What one call of runs a network once: a forward pass, or a whole step of training.

    A step of training is forward pass, losses, penalty, backward pass and optimiser, as configured,
    with a learning rate of 0: every step works on the same weights.

    Args:
        case: The network and its inputs.
        mode: Which of the two.
        form: In which form it runs. "folded" has no training.
    """
    net = case.network()
    inputs, truth = case.batch_of(net)
    if case.config.train.freeze_statistics:
        freeze_statistics(net.encoder)
    module: nn.Module = net
    if form == "list":
        module = ListForm(net)
    elif form.startswith("folded"):
        module = fold(net.eval())
        module(inputs)  # records the graph
    module.train(mode == "training")
    run: Callable[..., Any] = module
    if form.endswith("compiled"):
        run = torch.compile(module, dynamic=False)
    if mode == "evaluation":
        return torch.inference_mode()(lambda: run(inputs))
    how = case.config.train
    groups = param_groups(module, 0.0, 0.0, weight_decay=how.weight_decay)
    optimiser = build_optimizer(groups, how.optimizer, momentum=how.momentum)

    def train() -> None:
        optimiser.zero_grad()
        outputs = run(inputs)
        if isinstance(module, ListForm):
            loss = _losses_apart(outputs, truth, net.outputs) + how.sparsity * module.sparsity()
        else:
            loss = fusion_loss(outputs, truth, net.outputs).total + how.sparsity * sparsity(net)
        torch.autograd.backward(loss)
        optimiser.step()

    return train


def multiply_adds(step: Step, exchanging: Collection[str] = ()) -> int:
    """Multiply-adds of the convolutions and matrix products in one call, counted while it runs.

    Args:
        step: What is called.
        exchanging: Names of norms that exchange, see `cen.models.costs.counted`.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return counted(counter, exchanging)


def matmul_step(device: str) -> Step:
    """A product of square matrices in float32, the most that the machine does for a network."""
    one, other = (torch.randn(MATMUL, MATMUL, device=device) for _ in range(2))
    result = torch.empty_like(one)
    return lambda: torch.mm(one, other, out=result)


def _losses_apart(
    outputs: Mapping[str, Output], truth: Mapping[str, Tensor], tasks: Mapping[str, Task]
) -> Tensor:
    """The loss of every stream and ensemble by itself, as without packed tensors."""
    terms = [
        tasks[name].rules.loss(prediction, truth[name])
        for name, output in outputs.items()
        for prediction in (*output.streams.values(), output.ensemble)
    ]
    return torch.stack(terms).sum()


def _task(name: str, output: OutputConfig, config: Config) -> Task:
    """An output as configured; what only data would say is the usual."""
    rules, classes = KINDS[output.kind], config.data.classes
    labels = (len(classes) if isinstance(classes, list) else classes) or _CLASSES
    channels = output.channels or rules.fixed_channels or config.model.inputs.get(name)
    return Task(output.kind, channels or (labels if rules.labels else 3), loss=output.loss)


def _truth(task: Task, batch: int, size: tuple[int, int]) -> Tensor:
    """Random ground truth of a kind."""
    if task.rules.labels:
        return torch.randint(0, task.channels, (batch, *size))
    values = torch.rand(batch, task.channels, *size)
    # Of length 1, as normals are; what is measured is as well within 0..1.
    return (values > 0.9).float() if task.rules.classifies else functional.normalize(values + 0.1)
