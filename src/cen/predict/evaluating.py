"""A network while it predicts, perhaps in several threads: its evaluation mode, and its device."""

from __future__ import annotations

import threading

import torch

from cen.errors import ConfigError


class Evaluating:
    """Evaluation mode while any thread predicts; every module then gets back the mode it had.

    ``net.train()`` would not do: it also wakes norms and dropout that somebody keeps frozen.
    Switched by the first that comes and the last that leaves, so that nobody's network is put back
    into training mode while it predicts.
    """

    def __init__(self, net: torch.nn.Module) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._inside = 0
        self._modes: list[tuple[torch.nn.Module, bool]] = []

    def __reduce__(self) -> tuple[type, tuple[torch.nn.Module]]:
        return Evaluating, (self._net,)  # locks are not copied

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._modes = [(m, m.training) for m in self._net.modules()]
                self._net.eval()
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for module, training in self._modes:
                    module.training = training
                self._modes = []


def move(net: torch.nn.Module, device: torch.device | str) -> None:
    """Moves a network to a device.

    Raises:
        ConfigError: There is no such device.
    """
    try:
        net.to(device)
    except (AssertionError, RuntimeError) as error:  # as PyTorch says it
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"device {device}: {reason}; without device= it is the CPU") from None
