"""Networks filled from state dicts of the released code, and written as such.

A layout is said once, as triples: the released key, the key of the network here, and the row of
that tensor where it has one per stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from cen.errors import CheckpointError
from cen.models.foreign_weights import require_fit, require_shapes, shadow_of

Entry = tuple[str, str, int | None]
Net = TypeVar("Net", bound=nn.Module)

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""The tensors of a norm."""


def written(net: nn.Module, entries: Iterable[Entry]) -> dict[str, Tensor]:
    """The tensors of a network by their released keys; they share their memory."""
    own = net.state_dict()
    return {released: own[key] if row is None else own[key][row] for released, key, row in entries}


def filled(
    make: Callable[[], Net],
    layout: Callable[[Net], dict[str, Tensor]],
    state: Mapping[str, Tensor],
    wrong: str,
) -> Net:
    """A network filled from a released state dict, in eval mode.

    Args:
        make: gives the network.
        layout: what `written` gives for it, and tensors that nothing here uses.
        state: the state dict, without prefixes. Counters are absent from files of old PyTorch
            versions; nothing depends on them.
        wrong: how messages begin.

    Raises:
        CheckpointError: a key, a shape or a value does not fit.
    """
    # Nothing is allocated before the shapes are known to be right.
    shadow = layout(shadow_of(make, wrong))
    counters = [key for key in shadow if key.endswith("num_batches_tracked")]
    full_state = {**{key: shadow[key] for key in counters}, **state}
    require_shapes({key: tuple(value.shape) for key, value in full_state.items()}, shadow, wrong)
    net = make()
    own = layout(net)
    values = {**{key: own[key] for key in counters}, **state}
    require_fit(values, own, wrong)
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(values[key])
    return net.eval()


def count_streams(state: Mapping[str, Tensor], norm: str, wrong: str) -> int:
    """Number of streams, by the norms of a layer that are numbered behind ``norm``."""
    pattern = re.compile(re.escape(norm) + r"(\d+)\.weight")
    streams = {int(match[1]) for key in state if (match := pattern.fullmatch(key))}
    if not streams or streams != set(range(len(streams))):
        raise CheckpointError(
            f"{wrong}: it has no norms {norm}0, {norm}1, ... "
            f"(its first keys are {', '.join(list(state)[:3])})"
        )
    return len(streams)


def drawn(norms: Mapping[str, int]) -> dict[str, Tensor]:
    """Norms as they are before any training, by prefix and channels."""
    return {
        f"{prefix}.{key}": value
        for prefix, channels in norms.items()
        for key, value in nn.BatchNorm2d(channels).state_dict().items()
    }
