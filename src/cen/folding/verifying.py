"""What a recording cannot see in the programs of others, seen in the values that it gives.

A graph follows the functions of torch that a program calls. Where a program writes into a view of a
tensor, or into its data past torch, the tensor itself changes and no function says so. So the graph
of a network that holds modules of others is compared once with the network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

_OURS = ("cen.", "torch.nn.")
_ALIKE = 1e-3
"""Greatest difference over the greatest value; rounding is about 1e-6 of it in float32."""
_ALIKE_IN_HALF = 5e-2


def foreign(net: nn.Module) -> bool:
    """Whether a network holds modules that are neither of this project nor of PyTorch."""
    return any(not type(module).__module__.startswith(_OURS) for module in net.modules())


def untouched(leaves: Sequence[Any]) -> list[Any]:
    """Arguments that a program may change in place without changing these."""
    return [leaf.clone() if isinstance(leaf, Tensor) else copy.copy(leaf) for leaf in leaves]


def difference(expected: Any, found: Any) -> str | None:
    """What makes results other than expected by more than rounding; None: nothing."""
    pairs = zip(pytree.tree_leaves(expected), pytree.tree_leaves(found), strict=True)
    for k, (a, b) in enumerate(pairs):
        if not isinstance(a, Tensor) or not a.dtype.is_floating_point:
            continue
        if a.shape != b.shape:
            return f"result {k} is {tuple(b.shape)} and should be {tuple(a.shape)}"
        limit = _ALIKE if a.dtype in (torch.float32, torch.float64) else _ALIKE_IN_HALF
        wrong = (a.isfinite() != b.isfinite()).any()
        a, b = (x.double().nan_to_num(0.0, 0.0, 0.0) for x in (a, b))
        apart = float((a - b).abs().max()) / max(float(a.abs().max()), 1e-30) if a.numel() else 0.0
        if wrong or apart > limit:
            return f"result {k} is {apart:.2g} of its greatest value off"
    return None
