"""Networks with encoders of timm are exported, folded, compiled, recomputed, copied and sharded."""

from __future__ import annotations

import copy
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.folding.networks import scatter
from tests.peers.torchvision_operators import define_missing_operators
from tests.processes import side_by_side
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import cen
from cen.exchange import exchange_rate, inspect, sparsity
from cen.folding import fold
from cen.predict.exporting import Exporting, Sample, export

KEPT = define_missing_operators()
pytest.importorskip("timm")

INPUTS = {"rgb": 3, "depth": 1, "bands": 5}
NETWORKS = {
    "maps": ("segformer", "timm/test_convnext"),
    "tokens": ("segformer", "timm/test_vit"),
    "batch norms": ("upernet", "timm/test_efficientnet"),
}
BLOCKS = ("Block", "Residual")
SWIN = "timm/swin_tiny_patch4_window7_224"


def network(kind: str = "", encoder: str = "", **changes: Any) -> Any:
    """A network of random scales, some of which give way."""
    torch.manual_seed(0)
    name, own = NETWORKS[kind] if kind else ("segformer", encoder)
    options: dict[str, Any] = {"inputs": INPUTS, "outputs": {"s": 4}, "decoder_channels": 8}
    return scatter(cen.build(name, encoder=own, **options | changes), 0.5).eval()


def images(seed: int = 0, size: tuple[int, int] = (64, 96), batch: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(batch, c, *size, generator=generator) for n, c in INPUTS.items()}


def some(given: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: given[name] for name in names}


def agree(found: Any, expected: Any, share: float) -> None:
    """Every stream and the ensemble, as a share of the greatest value."""
    assert found["s"].streams.keys() == expected["s"].streams.keys()
    pairs = [(found["s"].ensemble, expected["s"].ensemble)]
    pairs += [(value, expected["s"].streams[n]) for n, value in found["s"].streams.items()]
    for one, other in pairs:
        assert one.shape == other.shape
        assert float((one - other).abs().max()) <= share * float(other.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("names", [("rgb", "depth", "bands"), ("depth",)], ids="+".join)
@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_exports_run_in_onnx_runtime(
    kind: str, folded: bool, names: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    net = network(kind)
    sizes = (((64, 96), 1), ((101, 70), 3))
    samples = [Sample(some(images(1, size, batch), names)) for size, batch in sizes]
    found = export(net, tmp_path / "net.onnx", samples, Exporting(folded=folded), names=names)
    assert found.difference < 1e-4


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_folding_is_exact_or_said_to_be_none(kind: str) -> None:
    net = network(kind)
    folded = fold(net, saved=-math.inf)
    for names in (("rgb", "depth", "bands"), ("rgb", "bands"), ("depth",)):
        for size in ((64, 96), (51, 70)):
            given = some(images(1, size), names)
            agree(folded(given), net(given), 1e-5)
            plan = folded.plan(given)
            assert (plan.graph is None) == (kind == "tokens"), plan.reason
            assert plan.graph is not None or plan.summary().startswith("not folded: ")


@pytest.mark.slow
@torch.no_grad()
def test_shifted_windows_have_a_graph() -> None:
    net = network(encoder=SWIN, inputs={"rgb": 3, "depth": 1})
    folded = fold(net, saved=-math.inf)
    for names in (("rgb", "depth"), ("depth",)):
        for size in ((64, 96), (70, 101)):
            given = some(images(1, size), names)
            agree(folded(given), net(given), 1e-5)
            assert folded.plan(given).graph is not None, folded.plan(given).reason


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_compiled_network_gives_and_learns_the_same(kind: str) -> None:
    net = network(kind)
    # Traced and differentiated as for any back end; generating code takes minutes.
    compiled = torch.compile(net, backend="aot_eager")
    for names in (("rgb", "depth", "bands"), ("depth",)):
        given = some(images(1), names)
        results = net(given), compiled(given)
        agree(*results, 1e-5)
        one, other = (_gradients(net, result) for result in results)
        _same_gradients(one, other)


def _gradients(net: nn.Module, result: Any) -> dict[str, Tensor]:
    net.zero_grad()
    loss = sum(value.square().mean() for value in result["s"].streams.values())
    (loss + result["s"].ensemble.square().mean()).backward()
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def _same_gradients(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    largest = max(float(gradient.norm()) for gradient in one.values())
    for name, gradient in one.items():
        limit = 1e-4 * float(gradient.norm()) + 1e-6 * largest
        assert float((gradient - other[name]).norm()) <= limit, name


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_recomputed_gives_the_same_gradients_and_moves_no_statistics(kind: str) -> None:
    """The gradient checkpointing of timm, of a subset of the streams."""
    net = network(kind).train()
    again = copy.deepcopy(net)
    _checkpointed(again.encoder)
    for names in (("rgb", "bands"), ("rgb", "depth", "bands"), ("depth",)):
        given = some(images(1), names)
        torch.manual_seed(1)
        expected = _gradients(net, net(given))
        torch.manual_seed(1)
        _same_gradients(expected, _gradients(again, again(given)))
    for (name, value), other in zip(
        net.state_dict().items(), again.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(value, other, msg=name)


def _checkpointed(encoder: nn.Module) -> None:
    """Switches on timm's own, of which features alone are made by a wrapper in some."""
    found = [m for m in encoder.modules() if hasattr(m, "set_grad_checkpointing")]
    assert found
    for module in found:
        module.set_grad_checkpointing(True)
    assert any(getattr(m, "grad_checkpointing", False) for m in encoder.modules())


def step(net: nn.Module, of: Any, ranks: tuple[int, ...]) -> None:
    """Trains on subsets of the streams in turn."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    for names in (tuple(INPUTS), ("rgb", "bands"), ("depth",)):
        optimiser.zero_grad()
        losses = []
        for rank in ranks:
            out = net(some(images(rank), names))["s"]
            losses.append(sum(value.square().mean() for value in out.streams.values()))
            losses[-1] = losses[-1] + out.ensemble.square().mean()
        (sum(losses) / len(losses) + 0.01 * sparsity(of)).backward()  # type: ignore[union-attr]
        for parameter in net.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        optimiser.step()


def work(rank: int, folder: str, way: str, kind: str) -> None:
    """One of two processes, each with images of its own."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net = network(kind)
    if way == "copies":
        # What an absent stream has of its own has no gradient in that step.
        step(DistributedDataParallel(net, find_unused_parameters=True), net, (rank,))
    else:
        mesh = init_device_mesh("cpu", (2,))
        # Blocks, which are called as modules; some wrappers of timm call other methods of theirs.
        blocks = [m for m in net.encoder.modules() if type(m).__name__.endswith(BLOCKS)]
        assert blocks
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(net, mesh=mesh)
        assert all(isinstance(parameter, DTensor) for parameter in net.parameters())
        step(net, net, (rank,))
    facts = torch.tensor([float(exchange_rate(net)), inspect(net).rate, float(sparsity(net))])
    state = {
        name: value.full_tensor() if isinstance(value, DTensor) else value
        for name, value in net.state_dict().items()
    }
    torch.save({"state": state, "facts": facts}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["copies", "shards"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_two_processes_learn_what_one_learns_of_both_their_images(kind: str, way: str) -> None:
    alone = network(kind)
    before = copy.deepcopy(alone.state_dict())
    step(alone, alone, (0, 1))
    facts = [float(exchange_rate(alone)), inspect(alone).rate, float(sparsity(alone))]
    with tempfile.TemporaryDirectory() as folder:
        side_by_side(work, folder, way, kind)
        parts = [torch.load(Path(folder) / f"{r}.pt", weights_only=True) for r in (0, 1)]
    for part in parts:
        torch.testing.assert_close(part["facts"], torch.tensor(facts))
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(part["state"][name], value, rtol=1e-3, atol=1e-5, msg=name)
    moved = [name for name, value in before.items() if not torch.equal(value, part["state"][name])]
    assert len(moved) > len(before) / 2
