"""One network of another project under trial: does each stream get what it would get alone?"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import CenWarning
from cen.exchange import (
    MultiStream,
    StreamNorm,
    convert,
    exchange_layers,
    exchange_rate,
    sparsity,
)
from cen.exchange.conversion.first_pass import LEFT_OUT

STREAMS = ("a", "b")
ROUNDING = 1e-6
"""Most difference, as a share of the largest value, between a stream and its plain network.

In double precision; norms of some libraries compute in single.
"""
FLOOR = 1e-6
"""Values below are rounding themselves, as gradients behind a norm of two values are."""
SEEN = 1e-9
"""Least difference, as a share of the largest value, that shows that something has a say."""


def tensors(result: Any) -> list[Tensor]:
    """All floating point tensors of a nested result, in turn."""
    if isinstance(result, Tensor):
        return [result] if result.is_floating_point() else []
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        fields = [getattr(result, field.name) for field in dataclasses.fields(result)]
        return [tensor for value in fields for tensor in tensors(value)]
    values = result.values() if isinstance(result, Mapping) else result
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return []
    return [tensor for value in values for tensor in tensors(value)]


def distance(one: Any, other: Any) -> float:
    """The largest difference of two results, as a share of the largest value of its tensor."""
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    assert pairs, "the result holds no tensors"
    assert all(a.shape == b.shape for a, b in pairs)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=FLOOR)) for a, b in pairs)


@torch.no_grad()
def randomise(plain: nn.Module, generator: torch.Generator) -> None:
    """Random scales, shifts and statistics, no part that starts at zero, and nothing dropped."""
    for part in plain.modules():
        for option, value in vars(part).items():
            if isinstance(value, float) and ("drop" in option or option == "p"):
                setattr(part, option, 0.0)
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            # Of a size at which what goes in comes out: 0.02 of some libraries lets it fade away.
            nn.init.kaiming_normal_(part.weight, nonlinearity="linear", generator=generator)
    for name, parameter in plain.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if parameter.ndim == 1:
            parameter += 0.1 * noise
            if not name.endswith("bias"):  # away from any threshold
                parameter += 0.5 * parameter.sign() * (parameter.abs() < 0.5)
        elif not parameter.any():
            parameter += 0.02 * noise
    for name, buffer in plain.named_buffers():
        _randomise_statistics(name, buffer, generator)


def _randomise_statistics(name: str, buffer: Tensor, generator: torch.Generator) -> None:
    if name.endswith("running_mean"):
        buffer += 0.1 * torch.randn(buffer.shape, generator=generator, dtype=torch.float64)
    if name.endswith("running_var"):
        buffer *= 0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def set_streams_apart(net: nn.Module, generator: torch.Generator) -> None:
    """Gives every stream norms of its own values."""
    for part in net.modules():
        if isinstance(part, StreamNorm):
            drawn = torch.rand(part.weight.shape, generator=generator, dtype=torch.float64)
            part.weight *= 0.7 + 0.7 * drawn
            if part.bias is not None:
                part.bias += 0.2 * (drawn - 0.5)
            for name, buffer in part.named_buffers():
                _randomise_statistics(name, buffer, generator)


def plain_state(plain: nn.Module, net: MultiStream, stream: int) -> dict[str, Tensor]:
    """What a plain network would hold that computes what one stream of a converted one does."""
    packed, state = net.module.state_dict(), {}
    for key, value in plain.state_dict().items():
        owner, _, last = key.rpartition(".")
        found = packed[key] if key in packed else packed[f"{owner}.norm.{last}"]
        state[key] = found if found.shape == value.shape else found[stream]
    return state


class Trial:
    """A converted network beside the plain one that it was made of.

    Args:
        plain: A network with weights.
        shape: (C, *) of an image.
        call: Further arguments of a call.
        options: Of the conversion.
    """

    def __init__(
        self,
        plain: nn.Module,
        shape: tuple[int, ...],
        call: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.plain, self.shape, self.call = plain.double().eval(), shape, dict(call or {})
        self.options = options
        randomise(self.plain, self.generator)
        self.images = self.draw()
        self._count_statistics()
        self.net, self.told = self.converted()
        set_streams_apart(self.net, self.generator)
        self.state = {key: value.clone() for key, value in self.net.state_dict().items()}
        self.twins = [copy.deepcopy(self.plain) for _ in STREAMS]

    @torch.no_grad()
    def _count_statistics(self) -> None:
        """Statistics of the images, so that in evaluation what goes through does not fade away."""
        norms = [part for part in self.plain.modules() if hasattr(part, "running_mean")]
        kept = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.9
        self.of(self.plain.train(), self.images["a"])
        self.plain.eval()
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum

    def converted(self) -> tuple[MultiStream, list[str]]:
        """The network of streams, and the warnings of its conversion and first pass."""
        with warnings.catch_warnings(record=True) as caught, torch.no_grad():
            warnings.simplefilter("always")
            net = convert(self.plain, STREAMS, **self.options)
            net(self.images, **self.call)
        return net, [str(one.message) for one in caught if one.category is CenWarning]

    def draw(self) -> dict[str, Tensor]:
        """Two different images per stream."""
        return {
            name: torch.randn(2, *self.shape, generator=self.generator, dtype=torch.float64)
            for name in STREAMS
        }

    def nothing_is_silent(self) -> None:
        """Whatever stays shared without having been asked for was told of."""
        norms = self.net.summary().norms
        idle = [n for n in norms if n.fate == "exchanging" and LEFT_OUT in n.reason]
        unwanted = [*idle, *(norm for norm in norms if not norm.wanted)]
        assert bool(unwanted) == bool(self.told)
        listed = {norm.name for norm in norms}
        for name, part in self.plain.named_modules():
            named = "norm" in type(part).__name__.lower()
            own = [p for p in part.parameters(recurse=False) if p.ndim == 1]
            assert not (named and own and not list(part.children())) or name in listed, name
        assert "norms: " in str(self.net.summary())

    def of(self, network: nn.Module, given: Any) -> Any:
        """What a network gives; what it draws at random it draws alike each time."""
        torch.manual_seed(0)
        return network(given, **self.call)

    def afresh(self, training: bool) -> MultiStream:
        """The network of streams in its first state."""
        self.net.load_state_dict(self.state)
        self.net.zero_grad()
        return self.net.train(training)

    def twin(self, stream: int) -> nn.Module:
        """The plain network that one stream should be."""
        twin = self.twins[stream].train(self.net.training)
        twin.load_state_dict(plain_state(self.plain, self.net, stream))
        twin.zero_grad()
        return twin

    def streams_are_exact(self, training: bool) -> float:
        """Each stream is the plain network with its norms, and learns and counts as that does."""
        net, errors = self.afresh(training), list[float]()
        twins = [self.twin(stream) for stream in range(len(STREAMS))]
        found = self.of(net, self.images)
        torch.stack([t.square().mean() for t in tensors(list(found.values()))]).sum().backward()
        for stream, (name, twin) in enumerate(zip(STREAMS, twins, strict=True)):
            expected = self.of(twin, self.images[name])
            torch.stack([t.square().mean() for t in tensors(expected)]).sum().backward()
            errors.append(distance(found[name], expected))
            errors += self._norms_differ(net, twin, stream)
        with torch.no_grad():  # exact and yet nothing shown, were the norms without a say
            one, other = (self.of(twin.eval(), self.images["a"]) for twin in twins)
            assert distance(one, other) > SEEN
        return max(errors)

    def _norms_differ(self, net: MultiStream, twin: nn.Module, stream: int) -> list[float]:
        """By how much gradients of scales and running statistics are not those of the twin."""
        moved, state = plain_state(self.plain, net, stream), twin.state_dict()
        keys = [key for key in state if "running_" in key and state[key].numel()]
        errors = [distance(moved[key], state[key]) for key in keys]
        modules = dict(twin.named_modules())
        for name, part in net.module.named_modules():
            if isinstance(part, StreamNorm) and part.weight.requires_grad:
                plain = modules.get(name) or modules[name.removesuffix(".norm")]
                if getattr(plain, "weight", None) is None:
                    continue
                assert (part.weight.grad is None) == (plain.weight.grad is None), name
                if part.weight.grad is not None:
                    errors.append(distance(part.weight.grad[stream], plain.weight.grad))
        return errors

    @torch.no_grad()
    def a_missing_stream_changes_nothing(self) -> float:
        """A stream alone, with weak scales, is its plain network still: nobody is there to ask."""
        alone = self.of(self.fallen(STREAMS), {"b": self.images["b"]})
        assert list(alone) == ["b"]
        return distance(alone["b"], self.of(self.twin(1), self.images["b"]))

    @torch.no_grad()
    def fallen(self, streams: tuple[str, ...]) -> MultiStream:
        """A network whose own scales of some streams lie below the threshold."""
        net = self.afresh(training=False)
        for layer in exchange_layers(net).values():
            for stream in streams:
                index = STREAMS.index(stream)
                layer.weight[index, layer.own[index]] = 0.001
        return net

    @torch.no_grad()
    def channels_are_exchanged(self) -> int:
        """Where own scales have fallen, streams look alike after the norm, and see the other."""
        net, calls = self.fallen(STREAMS), set[str]()
        layers = exchange_layers(net)
        assert abs(float(exchange_rate(net)) - 1) < ROUNDING

        def compare(name: str, result: Tensor) -> None:
            rows = result.unflatten(0, (2, len(STREAMS), -1))
            assert torch.equal(rows[:, 0], rows[:, 1]), name
            calls.add(name)

        hooks = [
            layer.register_forward_hook(lambda _, __, out, name=name: compare(name, out))
            for name, layer in layers.items()
        ]
        self.of(net, self.images)
        for hook in hooks:
            hook.remove()
        spare = {norm.name for norm in net.summary().norms if LEFT_OUT in norm.reason}
        called = {name for name in layers if name.removeprefix("module.") not in spare}
        assert calls == called, f"never called: {called ^ calls}"
        net, other = self.fallen(("a",)), self.draw()
        both = self.of(net, self.images)
        another_b = self.of(net, {"a": self.images["a"], "b": other["b"]})
        another_a = self.of(net, {"a": other["a"], "b": self.images["b"]})
        assert distance(another_b["a"], both["a"]) > SEEN
        assert distance(another_a["b"], both["b"]) < SEEN / 1000
        return len(layers)

    def a_step_trains(self) -> None:
        """A step with the penalty moves what the network computes, to something finite."""
        net = self.afresh(training=True)
        before = self.of(net, self.images)
        loss = torch.stack([t.square().mean() for t in tensors(before)]).sum()
        (loss + 1e-3 * sparsity(net)).backward()
        torch.optim.SGD(net.parameters(), lr=1e-3).step()
        after = self.of(net, self.images)
        assert all(t.isfinite().all() for t in tensors(after))
        assert distance(after["a"], before["a"]) > SEEN

    @torch.no_grad()
    def weights_go_round(self) -> None:
        """A network converted anew computes the same with the state of this one."""
        made, _ = self.converted()
        made.load_state_dict(self.state)
        one, other = self.of(made.eval(), self.images), self.of(self.afresh(False), self.images)
        assert distance(one, other) == 0
