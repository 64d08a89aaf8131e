"""Where the norms of transformers exchange unless told: before the MLP of each block."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from cen.exchange.conversion.plain_norms import PlainNorm


def norms_before_mlps(module: nn.Module, norms: Mapping[int, PlainNorm]) -> set[int]:
    """The layer and RMS norms inside residual branches whose output goes into an MLP.

    A block is the innermost module that holds such norms and an MLP: layers from C channels to
    more, and from others back to C. The last norm that a block holds itself is the one before its
    MLP in blocks of transformers, and the one in the branch in ConvNeXt's. Patch embeddings, the
    norms of queries and keys, and those after the last block are none of these.

    Args:
        module: The network.
        norms: What its layers are, by ``id``.

    Returns:
        ``id`` of the layers.
    """
    last: dict[nn.Module, int] = {}
    for owner in module.modules():
        own = [id(c) for c in owner.children() if id(c) in norms and _of_positions(norms[id(c)])]
        if own and not isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            channels = norms[own[-1]].channels
            if _holds_mlp(owner, channels):
                last[owner] = own[-1]
    return {
        norm
        for owner, norm in last.items()
        if not any(part in last for part in owner.modules() if part is not owner)
    }


def _of_positions(norm: PlainNorm) -> bool:
    return norm.kind in ("layer norm", "RMS norm")


def _holds_mlp(owner: nn.Module, channels: int) -> bool:
    """Whether layers lead from ``channels`` to more, and from another number back to it."""
    widths = [
        (layer.in_features, layer.out_features)
        if isinstance(layer, nn.Linear)
        else (layer.in_channels, layer.out_channels)
        for layer in owner.modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    widens = any(one == channels < other for one, other in widths)
    return widens and any(one != channels == other for one, other in widths)
