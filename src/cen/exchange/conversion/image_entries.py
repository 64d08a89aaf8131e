"""Where images enter a network whose streams have other numbers of channels: by its stems alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from cen.errors import ConversionError
from cen.exchange.conversion.private_stems import StreamStem
from cen.exchange.conversion.trial_pass import Run, trial_pass
from cen.exchange.streams import Streams


@contextmanager
def told_of_stems(module: nn.Module) -> Iterator[None]:
    """Says of what PyTorch cannot compute in a network with stems that images may go elsewhere."""
    try:
        yield
    except RuntimeError as error:
        stems = [name for name, part in module.named_modules() if isinstance(part, StreamStem)]
        if not stems:
            raise
        raise ConversionError(
            f"images with the channels of the widest stream cannot be computed ({error}). If they "
            f"enter elsewhere than through {', '.join(map(repr, stems))}, name all convolutions "
            "that take the image (stem=[...])"
        ) from error


@torch.no_grad()
def show_stems(module: nn.Module, streams: Streams, example: Tensor, run: Run) -> None:
    """Shows that images enter a network through its stems alone, channel by channel.

    With what the stems give held fast, other images must change nothing; nor must channels that a
    stream has not, with the stems at work.

    Args:
        module: The network.
        streams: Its streams.
        example: (B·S, C, *), packed, of all streams.
        run: Calls the network on a packed tensor.

    Raises:
        ConversionError: They do.
    """
    stems = {n: m for n, m in module.named_modules() if isinstance(m, StreamStem)}
    if not stems:
        return
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(example.shape, generator=generator).to(example)
    counts = list(next(iter(stems.values())).channels.values()) * (len(example) // len(streams))
    behind = torch.tensor([[c >= n for c in range(example.shape[1])] for n in counts])
    behind = behind.view(*behind.shape, *[1] * (example.ndim - 2)).to(example.device)
    outputs: list[Tensor] = []
    with _hooked(stems.values(), outputs.append):
        plain = trial_pass(module, streams, example, run)
    again = iter(outputs)
    with _hooked(stems.values(), lambda out: next(again, out)):
        held = trial_pass(module, streams, example + noise, run)
    names = ", ".join(map(repr, stems))
    if not _same(plain, held):
        raise ConversionError(
            f"streams of different numbers of channels: images enter the network elsewhere than "
            f"through {names}, so that no channel could be told from another there; name all "
            "convolutions that take the image (stem=[...])"
        )
    if not _same(plain, trial_pass(module, streams, torch.where(behind, noise, example), run)):
        raise ConversionError(
            f"the images that {names} get are not those that the network is called with: their "
            "channels have been mixed or moved before; give all streams the same number"
        )


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


@contextmanager
def _hooked(stems: Iterable[StreamStem], hook: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Calls a function with what stems give; what it returns is taken in its place."""
    with ExitStack() as hooks:
        for stem in stems:
            hooks.enter_context(stem.register_forward_hook(lambda _, __, out: hook(out)))
        yield
