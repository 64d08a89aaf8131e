"""Functions of torch that treat all channels alike, by what they do to a tensor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def methods(names: str) -> list[Any]:
    """Methods of a tensor and the functions of torch of the same names, with spaces between."""
    rooms = (Tensor, torch, F)
    functions = [getattr(room, name, None) for name in names.split() for room in rooms]
    return [function for function in dict.fromkeys(functions) if function is not None]


POINTWISE = methods(
    "relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardswish hardsigmoid "
    "hardtanh softplus softsign logsigmoid dropout dropout2d dropout3d alpha_dropout "
    "feature_dropout abs neg exp log sqrt rsqrt square clamp clip erf sin cos float double half "
    "bfloat16 to clone detach contiguous type_as nan_to_num reciprocal sign round floor ceil "
    "threshold"
)
SPATIAL = methods(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "adaptive_max_pool3d interpolate upsample lp_pool2d"
)
IN_PLACE = methods(
    "relu_ relu6_ leaky_relu_ elu_ selu_ celu_ hardtanh_ clamp_ sigmoid_ tanh_ threshold_ "
    "dropout_ abs_ neg_ exp_"
)
BINARY = (
    *methods("add sub subtract mul multiply div divide true_divide"),
    *methods("maximum minimum pow"),
    *(getattr(Tensor, f"__{stem}__") for stem in ("add", "sub", "mul", "truediv", "pow")),
    *(getattr(Tensor, f"__r{stem}__") for stem in ("add", "sub", "mul", "truediv")),
)
BINARY_IN_PLACE = (
    *methods("add_ sub_ mul_ div_"),
    *(getattr(Tensor, f"__i{stem}__") for stem in ("add", "sub", "mul", "truediv")),
)
