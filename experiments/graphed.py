"""Trains small networks on a GPU with the step captured once as a CUDA graph.

Networks of the studies launch some thousand kernels of a few microseconds each per step, so that
launching takes longer than computing. A graph launches them all at once. What is computed is the
same: loss, penalty and gradients of `DensePrediction`; the optimiser follows as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cen.training.module import DensePrediction

_WARM = 3


class GraphedStep:
    """The training step of a module as a graph; forward and backward in one replay."""

    def __init__(self, module: DensePrediction, batch: Mapping[str, Any]) -> None:
        self.module = module
        self.batch = {k: v.clone() if isinstance(v, Tensor) else v for k, v in batch.items()}
        kept = [buffer.clone() for buffer in module.buffers()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM):
                self._gradients()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self.loss = self._gradients()
        self.figures = module.figures
        with torch.no_grad():  # warming up moved the running statistics
            for buffer, value in zip(module.buffers(), kept, strict=True):
                buffer.copy_(value)

    def _gradients(self) -> Tensor:
        for parameter in self.module.parameters():
            parameter.grad = None
        loss = DensePrediction.training_step(self.module, self.batch, 0)
        loss.backward()
        return loss.detach()

    def __call__(self, batch: Mapping[str, Any]) -> Tensor:
        """Loss of a batch; its gradients are in ``.grad`` afterwards."""
        for name, value in self.batch.items():
            if isinstance(value, Tensor):
                value.copy_(batch[name], non_blocking=True)
        self.graph.replay()
        self.module.figures = self.figures
        return self.loss


def install() -> None:
    """Makes every plain training of this process use graphs, where one can hold it.

    λ that changes from step to step, and steps without some modality, are not captured.
    """

    class Graphed(DensePrediction):
        step: GraphedStep | None = None

        @property
        def captured(self) -> bool:
            changes = self.controller is not None or self.modality_dropout or self.sparsity_warmup
            return self.device.type == "cuda" and not changes

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if not self.captured:
                return super().training_step(batch, batch_idx)
            if self.step is None:
                self.step = GraphedStep(self, batch)
            return self.step(batch)

        def optimizer_zero_grad(self, *args: Any) -> None:
            if not self.captured:
                super().optimizer_zero_grad(*args)

        def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
            if not self.captured:
                super().backward(loss, *args, **kwargs)

    import cen.training.fitting as fit

    fit.DensePrediction = Graphed


def deviations(config: str, root: str, steps: int = 20) -> list[tuple[float, float]]:
    """Per step, ‖g − g'‖ / ‖g‖ between gradients of a graph and those computed step by step.

    Both start from the weights of the same plain training; the second entry compares two plain
    computations, which differ by the order in which a GPU adds.
    """
    from torch.utils.data import default_collate

    from cen.cli.sources import load_config
    from cen.training.fitting import _module
    from cen.training.setup import build_network, open_dataset, tasks_of

    resolved = load_config(config, {"data.root": root})
    data = open_dataset(resolved, "train")
    torch.manual_seed(0)
    module = _module(resolved, build_network(resolved, tasks_of(resolved, data), None)).cuda()
    module.present = tuple(module.net.inputs)
    module.trainer = _Alone()
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    step, found = None, []
    for index in range(steps):
        samples = [data[0, 8 * index + i] for i in range(8)]
        batch = default_collate([{k: v for k, v in s.items() if k != "name"} for s in samples])
        batch = {key: value.cuda() for key, value in batch.items()}
        step = step or GraphedStep(module, batch)
        step(batch)
        graph = _vector([parameter.grad for parameter in module.parameters()])
        plain = []
        for _ in range(2):  # leaves .grad, which the optimiser takes, as the graph filled it
            loss = DensePrediction.training_step(module, batch, 0)
            plain.append(_vector(torch.autograd.grad(loss, list(module.parameters()))))
        size = plain[0].norm()
        pair = ((graph - plain[0]).norm() / size, (plain[1] - plain[0]).norm() / size)
        found.append((float(pair[0]), float(pair[1])))
        optimizer.step()
    return found


class _Alone:
    """As much of a trainer as a training step asks for."""

    world_size, global_step = 1, 0


def _vector(tensors: Any) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


if __name__ == "__main__":
    import sys

    for pair in deviations(*sys.argv[1:]):
        print("graph {:.2e}  plain {:.2e}".format(*pair))
