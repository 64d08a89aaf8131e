"""What an export computes: a network with positions for names, and what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cen.data import Modality
from cen.errors import StreamError
from cen.models import ChannelExchangeNetwork
from cen.predict.raw_inputs import as_numbers


class ExportGraph(nn.Module):
    """A network for some of its inputs, the preprocessing before it and the decision behind it.

    Args:
        net: the network, or what `cen.fold` made of it.
        of: the network itself.
        names: its inputs, in order.
        raw: how these are preprocessed in the graph; None: they come normalised.

    Raises:
        StreamError: nothing is predicted from these inputs.
    """

    def __init__(
        self,
        net: nn.Module,
        of: ChannelExchangeNetwork,
        names: Sequence[str],
        raw: Mapping[str, Modality] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.names = net, list(names)
        self.raw = None if raw is None else [raw[name] for name in names]
        self.tasks = of.predicted_from(names) if of.cyclic else of.outputs
        if not self.tasks:
            raise StreamError(f"nothing is predicted from {', '.join(names)} alone")

    @property
    def places(self) -> tuple[int, int, int]:
        """Where batch, height and width stand in the shapes of the inputs."""
        # Raw pictures have their channels last, others behind the batch.
        return (0, 1, 2) if self.raw is not None else (0, 2, 3)

    @property
    def results(self) -> list[str]:
        """Names of what is returned."""
        return [
            result
            for name, task in self.tasks.items()
            for result in ((name, f"{name}_probabilities") if task.rules.labels else (name,))
        ]

    @property
    def names_in_file(self) -> list[str]:
        """`results` as files call them: ONNX has no output that is called like an input."""
        given = {*self.names}
        return [f"{name}_predicted" if name in given else name for name in self.results]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps the inputs to the results, in order and in float32 or float64."""
        if self.raw is not None:
            inputs = tuple(map(as_numbers, self.raw, inputs))
        size = (inputs[0].shape[2], inputs[0].shape[3])
        outputs = self.net(dict(zip(self.names, inputs, strict=True)), size=size)
        results: list[Tensor] = []
        for name, task in self.tasks.items():
            ensemble = outputs[name].ensemble
            wide = ensemble.float() if ensemble.dtype == torch.float16 else ensemble
            values = task.rules.activate(wide)
            results += [values.argmax(1), values] if task.rules.labels else [values]
        return tuple(results)


class FreePooling(TorchFunctionMode):
    """Adaptive pooling as a product with shares, which runs at any size wherever products do.

    ONNX has no pooling of windows that depend on the size of the picture.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function, or what stands in for it."""
        if func is F.adaptive_avg_pool2d or func is torch._C._nn.adaptive_avg_pool2d:
            return _pooled(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _pooled(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    pair = (output_size,) * 2 if isinstance(output_size, int) else output_size
    height, width = input.shape[-2:]
    bins = [length if n is None else n for n, length in zip(pair, (height, width), strict=True)]
    if bins == [1, 1]:
        return input.mean((-2, -1), keepdim=True)
    rows, columns = _shares(height, bins[0], input), _shares(width, bins[1], input)
    return rows @ input @ columns.T


def _shares(length: int, bins: int, like: Tensor) -> Tensor:
    """(bins, length): what each place counts in each bin, of which those side by side overlap."""
    places = torch.arange(length, device=like.device)
    rows = []
    for number in range(bins):
        # Both are quotients of positive numbers, which all programs round alike.
        first, stop = number * length // bins, ((number + 1) * length + bins - 1) // bins
        inside = (places >= first) & (places < stop)
        rows.append(inside.to(like.dtype) / (stop - first))
    return torch.stack(rows)
