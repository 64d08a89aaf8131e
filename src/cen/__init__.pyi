from . import losses
from .exchange import (
    ExchangeRule,
    Streams,
    exchange_rate,
    freeze_statistics,
    inspect,
    sparsity,
)
from .folding import fold
from .models import (
    Task,
    build,
    convert,
    finetune,
    from_pretrained,
    load,
    load_released,
    save,
    save_encoder,
    save_released,
)
from .optim import param_groups
from .predict.predictor import Predictor
from .training.own_data import fit

__version__: str

__all__ = [
    "ExchangeRule",
    "Predictor",
    "Streams",
    "Task",
    "build",
    "convert",
    "exchange_rate",
    "finetune",
    "fit",
    "fold",
    "freeze_statistics",
    "from_pretrained",
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
