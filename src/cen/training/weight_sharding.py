"""Training with the weights dealt out to the processes (FSDP2), so that none keeps all of them.

Lightning's own strategies for it want GPUs (FSDP), or write checkpoints that only they read. What
is dealt out here are the kernels and matrices of convolutions and linear layers, with their
gradients and what the optimiser keeps of them: all but a few per mille of a network. Scales and
shifts of norms, private layers of streams and α stay whole on every process, as under DDP, so that
the exchange, its penalty and its rate are what they are in one process. Files of a run are the
same, whatever the strategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from cen.exchange import Streams
from cen.exchange.functional import whole
from cen.models import ChannelExchangeNetwork

_DEALT = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


class ShardedStrategy(DDPStrategy):
    """DDP whose copies of a network are shards of one; for a module with a network ``net``."""

    def configure_ddp(self) -> None:
        """Deals the weights out; what the first process holds counts."""
        module = self.lightning_module
        assert module is not None
        for value in (*module.parameters(), *module.buffers()):
            dist.broadcast(value.detach(), 0)
        deal_out(module.net, self.root_device.type)  # type: ignore[arg-type]

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole state, on every process."""
        module = self.lightning_module
        assert module is not None
        return whole_state(module)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state of an optimiser, as one of a single process would give it."""
        state: dict[str, Any] = super().optimizer_state(optimizer)
        state["state"] = {
            number: {key: _read(value) for key, value in entry.items()}
            for number, entry in state["state"].items()
        }
        return state

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Deals the state of each optimiser out as its parameters are."""
        states = []
        for optimizer, kept in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            numbers = [number for group in kept["param_groups"] for number in group["params"]]
            entries = {
                number: {key: _alike(value, parameter) for key, value in entry.items()}
                for number, parameter in zip(numbers, parameters, strict=True)
                if (entry := kept["state"].get(number)) is not None
            }
            states.append({**kept, "state": entries})
        super().load_optimizer_state_dict({**checkpoint, "optimizer_states": states})


class Sharding(Callback):
    """What a run with `ShardedStrategy` does beside it, between steps and around validations.

    Args:
        net: gets the weights at the end; what is trained is a copy of it.
        clip_norm: greatest norm of the gradient; None: not clipped.
    """

    def __init__(self, net: ChannelExchangeNetwork, clip_norm: float | None = None) -> None:
        self.net, self.clip_norm = net, clip_norm
        self._whole = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Deals out again what a validation has put together."""
        if self._whole:
            _release(pl_module)
            self._whole = False

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Averages the gradients of what every process holds whole; clips those of all."""
        for parameter in pl_module.parameters():
            if parameter.grad is not None and not isinstance(parameter, DTensor):
                dist.all_reduce(parameter.grad)
                parameter.grad /= trainer.world_size
        if self.clip_norm is not None:
            clip(list(pl_module.parameters()), self.clip_norm)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the network together: processes have different numbers of passes to do.

        Running statistics are those of the first process, as under DDP.
        """
        for buffer in pl_module.net.buffers():  # type: ignore[union-attr]
            dist.broadcast(buffer, 0)
        _gather(pl_module)
        self._whole = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hands the weights over."""
        self.net.load_state_dict(whole_state(pl_module.net))  # type: ignore[arg-type]


def deal_out(net: nn.Module, device: str) -> None:
    """Shards the convolutions and linear layers of a network over all processes, in place."""
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    dealt = {
        id(parameter)
        for layer in net.modules()
        if isinstance(layer, _DEALT) and not isinstance(getattr(layer, "streams", None), Streams)
        for parameter in (layer.weight,)
    }
    kept = {parameter for parameter in net.parameters() if id(parameter) not in dealt}
    for block in (*_blocks(net, dealt), net):
        fully_shard(block, mesh=mesh, ignored_params=kept)


def _blocks(module: nn.Module, dealt: set[int]) -> Iterator[nn.Module]:
    """The parts that are put together for as long as they are computed: blocks of lists."""
    for child in module.children():
        listed = isinstance(module, nn.ModuleList | nn.Sequential)
        container = isinstance(child, nn.ModuleList | nn.ModuleDict)
        if listed and not container and any(id(p) in dealt for p in child.parameters()):
            yield child
        else:
            yield from _blocks(child, dealt)


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module whose weights may be dealt out; all processes have to call it."""
    return {name: whole(value) for name, value in module.state_dict().items()}


def clip(parameters: list[nn.Parameter], largest: float) -> None:
    """Scales gradients, of shards and others, so that their norm is no more than ``largest``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    parts = [g.to_local() for g in gradients if isinstance(g, DTensor)]
    others = [g for g in gradients if not isinstance(g, DTensor)]
    device = gradients[0].device if gradients else torch.device("cpu")
    square = sum((part.square().sum() for part in parts), torch.zeros((), device=device))
    dist.all_reduce(square)
    square = square + sum(other.square().sum() for other in others)
    factor = (largest / (square.sqrt() + 1e-6)).clamp(max=1)  # as torch.nn.utils has it
    for gradient in (*parts, *others):
        gradient.mul_(factor)


def _gather(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.unshard()
            part.set_reshard_after_forward(False, recurse=False)


def _release(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def _read(value: Any) -> Any:
    return whole(value).cpu() if isinstance(value, Tensor) else value


def _alike(value: Any, parameter: nn.Parameter) -> Any:
    """A value of an optimiser's state, dealt out as its parameter is."""
    if not (isinstance(parameter, DTensor) and isinstance(value, Tensor)):
        return value
    if value.shape != parameter.shape:  # the number of steps
        return value
    value = value.to(parameter.device)
    # Each process has all of it and keeps its own part.
    return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
