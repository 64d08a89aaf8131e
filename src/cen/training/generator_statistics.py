"""The ways in which a generator can be run to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import instance_statistics
from cen.predict.evaluating import Evaluating

GeneratorMode = Literal["eval", "instance", "released"]
"""How a generator is evaluated; see `generating`."""


@contextmanager
def generating(net: nn.Module, mode: GeneratorMode, seed: int = 0) -> Iterator[None]:
    """Runs a generator inside the context in one of three ways.

    ``"eval"``: eval mode, that is, without dropout and with running statistics where the norms keep
    any. ``"instance"``: without dropout, with the statistics of the image at hand (this project's
    extension). ``"released"``: with dropout and the statistics of the image at hand, because the
    released code never leaves training mode; repeatable, from ``seed``.

    Raises:
        ConfigError: the mode is unknown.
    """
    if mode not in get_args(GeneratorMode):
        modes = ", ".join(get_args(GeneratorMode))
        raise ConfigError(f"the generator cannot be evaluated in mode {mode!r}; there are {modes}")
    with Evaluating(net):
        if mode == "eval":
            yield
            return
        with instance_statistics(net):
            if mode == "instance":
                yield
                return
            for module in net.modules():
                if isinstance(module, nn.Dropout):
                    module.train()
            devices = {p.device for p in net.parameters() if p.device.type == "cuda"}
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                yield
