"""CEN: Channel Exchanging Networks for multimodal and multitask dense prediction.

``import cen`` is quick: torch and the rest are imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cen import losses
    from cen.exchange import (
        ExchangeRule,
        Streams,
        convert,
        exchange_rate,
        freeze_statistics,
        inspect,
        sparsity,
    )
    from cen.models import (
        Task,
        build,
        finetune,
        load,
        load_released,
        save,
        save_encoder,
        save_released,
    )
    from cen.optim import param_groups
    from cen.predictor import Predictor

__version__ = "0.1.0"

_HOME = {
    "ExchangeRule": "cen.exchange",
    "Streams": "cen.exchange",
    "convert": "cen.exchange",
    "exchange_rate": "cen.exchange",
    "freeze_statistics": "cen.exchange",
    "inspect": "cen.exchange",
    "sparsity": "cen.exchange",
    "Task": "cen.models",
    "build": "cen.models",
    "finetune": "cen.models",
    "load": "cen.models",
    "load_released": "cen.models",
    "save": "cen.models",
    "save_encoder": "cen.models",
    "save_released": "cen.models",
    "losses": "cen.losses",
    "param_groups": "cen.optim",
    "Predictor": "cen.predictor",
}

__all__ = [
    "ExchangeRule",
    "Predictor",
    "Streams",
    "Task",
    "build",
    "convert",
    "exchange_rate",
    "finetune",
    "freeze_statistics",
    "inspect",
    "load",
    "load_released",
    "losses",
    "param_groups",
    "save",
    "save_encoder",
    "save_released",
    "sparsity",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cen' has no attribute {name!r}")
    module = import_module(_HOME[name])
    return module if name == "losses" else getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
