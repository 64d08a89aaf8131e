"""One network in several threads at once, each with a subset of the streams of its own."""

import asyncio
import itertools
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cen.exchange import ExchangeRule, MultiStream, Streams, convert
from cen.exchange.batch_norm import StreamBatchNorm

STREAMS = ("rgb", "depth", "thermal")
SUBSETS = [s for n in (1, 2, 3) for s in itertools.combinations(STREAMS, n)]


class Blocks(nn.Module):
    """Two convolutions with norms; the second part may be recomputed in the backward pass."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.last = nn.Conv2d(6, 3, 1)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.reentrant is None:
            x = self.second(x)
        else:
            x = checkpoint(self.second, x, use_reentrant=self.reentrant)
        out: Tensor = self.last(x)
        return out


def network(reentrant: bool | None = None) -> MultiStream:
    """Three streams, about half of whose own channels are exchanged."""
    torch.manual_seed(0)
    net = convert(Blocks(reentrant), STREAMS, exchange=ExchangeRule(threshold=0.5))
    for layer in net.modules():
        if isinstance(layer, StreamBatchNorm):
            nn.init.uniform_(layer.weight)
            nn.init.normal_(layer.bias)
    return net


def images(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 2, 8, 8, generator=generator) for name in STREAMS}


def together(work: Callable[[int], None], count: int = 8) -> None:
    """Runs a function in several threads that begin at the same time."""
    start = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@torch.no_grad()
def test_eight_threads_give_what_one_gives() -> None:
    net, given = network().eval(), images()
    chosen = [{name: given[name] for name in subset} for subset in SUBSETS]
    alone = [net(inputs) for inputs in chosen]

    @torch.no_grad()
    def work(number: int) -> None:
        for call in range(100):
            which = (call * (number + 1) + number) % len(chosen)
            found = net(chosen[which])
            assert all(torch.equal(found[name], alone[which][name]) for name in alone[which])

    together(work)
    assert net.streams.all_active


@torch.no_grad()
def test_asyncio_to_thread_gives_what_one_thread_gives() -> None:
    net, given = network().eval(), images()
    chosen = [{name: given[name] for name in subset} for subset in SUBSETS]
    alone = [net(inputs) for inputs in chosen]

    def call(which: int) -> bool:
        with torch.no_grad():
            found = net(chosen[which])
        return all(torch.equal(found[name], alone[which][name]) for name in alone[which])

    async def many() -> list[bool]:
        numbers = [n % len(chosen) for n in range(200)]
        return await asyncio.gather(*(asyncio.to_thread(call, n) for n in numbers))

    assert all(asyncio.run(many()))


def test_gradients_by_torch_func_are_those_of_autograd() -> None:
    net = network().eval()
    given = {name: images()[name] for name in STREAMS[:2]}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        found = torch.func.functional_call(net, parameters, (given,))
        return sum((v.square().sum() for v in found.values()), torch.zeros(()))

    parameters = dict(net.named_parameters())
    expected = torch.autograd.grad(loss(parameters), list(parameters.values()))
    found = torch.func.grad(loss)(parameters)
    for name, gradient in zip(parameters, expected, strict=True):
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-6), name


def test_a_subset_of_one_thread_is_not_seen_by_another() -> None:
    streams = Streams(STREAMS)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with streams.activate(["rgb"]):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    assert streams.all_active
    leave.set()
    thread.join()


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("subset", SUBSETS)
def test_foreign_gradient_checkpointing_sees_the_subset(
    reentrant: bool, subset: tuple[str, ...]
) -> None:
    """Networks of other projects recompute with ``torch.utils.checkpoint`` themselves."""
    plain, saving = network(), network(reentrant)
    given = {name: images()[name] for name in subset}
    for net in (plain, saving):
        loss = sum(value.square().sum() for value in net(given).values())
        loss.backward()  # type: ignore[union-attr]
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name  # type: ignore[arg-type]
    for (name, one), other in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(one, other), f"{name} moved twice"


@pytest.mark.parametrize("reentrant", [False, True])
def test_one_backward_pass_through_several_subsets(reentrant: bool) -> None:
    plain, saving = network().eval(), network(reentrant).eval()
    for net in (plain, saving):
        losses = [
            net({name: images(k)[name] for name in subset})[subset[0]].square().sum()
            for k, subset in enumerate((STREAMS[:1], STREAMS, STREAMS[1:]))
        ]
        torch.stack(losses).sum().backward()
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-6), name  # type: ignore[arg-type]


def test_what_was_compiled_for_one_subset_is_not_used_for_another() -> None:
    """A layer compiled by itself, run inside subsets that are activated outside of it."""
    streams = Streams(STREAMS)
    norm = StreamBatchNorm(6, streams, exchange=ExchangeRule(threshold=0.5)).eval()
    nn.init.uniform_(norm.weight)
    compiled = torch.compile(norm, fullgraph=True, backend="eager")
    # Two of one stream and two of two, which differ in nothing but which they are.
    for subset in (*SUBSETS[:2], *SUBSETS[3:5], STREAMS, SUBSETS[0]):
        packed = torch.randn(2 * len(subset), 6, 4, 4)
        with streams.activate(subset), torch.no_grad():
            assert torch.equal(compiled(packed), norm(packed))
