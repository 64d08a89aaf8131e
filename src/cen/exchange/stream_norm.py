"""A normalisation layer that knows about streams: private γ and β, and the exchange behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange.functional import exchange_wide, group_parts, replaced_channels, whole
from cen.exchange.rule import ExchangeRule
from cen.exchange.streams import Activation, Pass, Streams, narrow, widen

_NAMES = "streams"


class StreamNorm(nn.Module):
    """Base of the stream norms: per-stream scales γ and shifts β, and the exchange after them.

    Takes the packed tensor (B·S, C, *) of the active streams, with any number of spatial
    dimensions, and returns one of the same shape, dtype and memory format. A subclass normalises
    the wide view (B, S·C, *), or has another channel axis and says in `_streamwise` what to do.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network, shared by its layers.
        exchange: The rule, or None for a norm that never exchanges and is never penalised.
        bias: False leaves out β.

    Attributes:
        weight: γ, (S, C). bias: β, (S, C), or None.
        own: (S, C) bool, the parts.
        chosen: (S, C) bool, what guide "random" replaces, saved with the weights; else None.
        channel_axis: Where the channels lie in what it is called with.
        folds: Whether a pass has shown that rows folded behind the sample (frames, windows) lie in
            the order of the samples, see ``row_order``: row // k mod S is then the stream.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    own: Tensor
    chosen: Tensor | None
    partnered: Tensor
    owned: Tensor
    per_stream: tuple[str, ...] = ("weight", "bias")
    channel_axis: int = 1
    folds: bool = False

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.streams = streams
        self.exchange = exchange
        shape = len(streams), num_features
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None
        self._divide()

    def _divide(self) -> None:
        """Whose part each channel is, and what guide "random" replaces."""
        self._part()
        rule = self.exchange
        chosen = None if rule is None else rule.chosen(self.num_features, self.streams.groups)
        self.register_buffer("chosen", None if chosen is None else chosen.to(self.weight.device))

    def _part(self) -> None:
        """Whose part each channel is, where the scales are."""
        groups, device = self.streams.groups, self.weight.device
        with torch.device("cpu"):  # also where a network is built without values
            partnered = torch.zeros(len(self.streams), 1, dtype=torch.bool)
            for group in groups:
                partnered[list(group)] = len(group) > 1
            parts = "paper" if self.exchange is None else self.exchange.parts
            own = group_parts(self.num_features, groups, parts)
        # Derived from the arguments: not saved, but moved along with the module.
        self.register_buffer("own", own.to(device), persistent=False)
        self.register_buffer("partnered", partnered.to(device), persistent=False)
        self.register_buffer("owned", (own & partnered).to(device), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StreamNorm:
        """Moves the module; one that had no values yet (device "meta") gets its parts."""
        valueless = self.own.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if valueless:
            self._part()
        return self

    def restream(self, rows: Sequence[int]) -> None:
        """Takes the values of former streams for streams that have just taken their place.

        Args:
            rows: The former stream that each of the present ones starts from.
        """
        for name in self.per_stream:
            value = getattr(self, name)
            if isinstance(value, nn.Parameter):
                setattr(self, name, nn.Parameter(value.detach()[rows], value.requires_grad))
            elif value is not None:
                setattr(self, name, value[rows])
        self._divide()

    def extra_repr(self) -> str:
        """What ``print(net)`` shows of the layer."""
        return f"{self.num_features}, streams={list(self.streams.names)}, exchange={self.exchange}"

    def forward(self, packed: Tensor) -> Tensor:
        """Normalises, then exchanges; (B·S, C, *) → (B·S, C, *).

        Raises:
            ShapeError: Wrong number of channels or of rows, or too few values for statistics.
        """
        if packed.ndim < 2 or packed.shape[self.channel_axis] != self.num_features:
            channels = f"{self.num_features}, …" if self.channel_axis == 1 else "…"
            last = "" if self.channel_axis == 1 else f", {self.num_features}"
            raise ShapeError(
                f"expected (rows, {channels}{last}) with {len(self.streams.active)} "
                f"active streams, got {tuple(packed.shape)}"
            )
        running = self.streams.running
        if running.witness is not None and not running.witness.see(self, packed):
            with Activation(self.streams, Pass(running.active[:1], False)):
                return self._streamwise(packed, 1)
        count, folded = len(running.active), self._folded(packed.shape[0], running)
        if folded == 1:
            return self._streamwise(packed, count)
        # What is folded behind the sample counts as so many samples more.
        rows = torch.unflatten(packed, 0, (-1, count, folded)).transpose(1, 2)
        unfolded = torch.unflatten(self._streamwise(rows.flatten(0, 2), count), 0, rows.shape[:3])
        return unfolded.transpose(1, 2).flatten(0, 2)

    def _folded(self, row_count: int, running: Pass) -> int:
        """How many rows a row of the network has become; 1 where nobody said how many ride."""
        count, rows = len(running.active), running.rows
        if rows is None or row_count == rows or count == 1:
            return 1
        if row_count % rows == 0 and (self.folds or running.witness is not None):
            return row_count // rows
        raise ShapeError(
            f"a stream norm of {self.num_features} channels got {row_count} rows where {rows} ride "
            f"through the network ({rows // count} samples of {count} streams): frames, windows or "
            "tokens were folded into the batch, and not in an order that a pass has shown, so rows "
            "of several streams could be mixed; keep this norm shared (convert(shared=...))"
        )

    def _streamwise(self, packed: Tensor, count: int) -> Tensor:
        """Normalises and exchanges rows of ``count`` streams, the stream changing fastest."""
        wide = self._normalise(widen(packed, count))
        rule = self._acting_rule()
        if rule is not None:
            wide = exchange_wide(wide, self._replaced_now(rule), self._groups_now(), rule.parts)
        return narrow(wide, count)

    def _normalise(self, wide: Tensor) -> Tensor:
        raise NotImplementedError

    def _acting_rule(self) -> ExchangeRule | None:
        """The rule, where it replaces anything among the streams that are present.

        Static, decided without the device.
        """
        rule, running = self.exchange, self.streams.running
        if rule is None or not rule.enabled or running.witness is not None:
            return None
        partners = (sum(i in group for i in running.active) for group in self.streams.groups)
        return rule if any(count > 1 for count in partners) else None

    def _replaced_now(self, rule: ExchangeRule) -> Tensor:
        """The channels that give way, of the active streams."""
        if self.chosen is not None:
            return self._rows(self.chosen)
        own = self._rows(self.own) if rule.scope == "own" else None
        return replaced_channels(self._rows(self.weight), rule.threshold, own)

    def _groups_now(self) -> list[list[int]]:
        """Positions among the active streams, by group; who is alone in one keeps its values."""
        places = {stream: place for place, stream in enumerate(self.streams.active)}
        present = [[places[i] for i in g if i in places] for g in self.streams.groups]
        return [group for group in present if group]

    def _rows(self, per_stream: Tensor) -> Tensor:
        """The rows of the active streams; the tensor itself when all are."""
        if self.streams.all_active:
            return per_stream
        # Static indexing per stream: an index tensor would be copied from the host.
        return torch.stack([per_stream[i] for i in self.streams.active])

    def _affine(self) -> tuple[Tensor, Tensor | None]:
        """γ and β of the active streams side by side, (S·C,) each."""
        shift = None if self.bias is None else self._rows(self.bias).flatten()
        return self._rows(self.weight).flatten(), shift

    def replaced(self) -> Tensor:
        """(S, C) bool: the channels that give way at present, all streams being active."""
        if self.exchange is None or not self.exchange.enabled:
            return torch.zeros_like(self.own)
        if self.chosen is not None:
            return self.chosen & self.partnered
        own = self.own if self.exchange.scope == "own" else None
        return replaced_channels(whole(self.weight), self.exchange.threshold, own) & self.partnered

    def counted(self, streams: Collection[str] | None = None) -> Tensor:
        """(S, C) bool: the scales that the rule penalises, of ``streams`` (default: all).

        Streams without a partner in their group are not penalised: they have nobody to take from.

        Raises:
            StreamError: A name in ``streams`` is unknown.
        """
        indices = range(len(self.streams)) if streams is None else self.streams.indices(streams)
        rule = self.exchange
        if rule is None or rule.penalty == "none":
            return torch.zeros_like(self.own)
        counted = self.owned if rule.penalty == "own" else self.partnered.expand_as(self.own)
        if len(set(indices)) == len(self.streams):
            return counted
        rows = [row if i in indices else torch.zeros_like(row) for i, row in enumerate(counted)]
        return torch.stack(rows)

    def load_plain(self, norm: nn.Module) -> None:
        """Gives every stream a copy of a plain norm's parameters, statistics and dtype/device."""
        for name in self.per_stream:
            source = getattr(norm, name, None)
            if source is None or getattr(self, name) is None:
                continue
            values = source.detach().expand(getattr(self, name).shape).clone()
            if isinstance(source, nn.Parameter):
                setattr(self, name, nn.Parameter(values, requires_grad=source.requires_grad))
            else:
                setattr(self, name, values)
        for name in ("own", "partnered", "owned", "chosen"):
            buffer = getattr(self, name)
            setattr(self, name, None if buffer is None else buffer.to(self.weight.device))
        self.train(norm.training)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Whose rows they are goes along, as the version of a module does."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if metadata := getattr(destination, "_metadata", {}).get(prefix[:-1]):
            metadata[_NAMES] = [str(name) for name in self.streams.names]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any], *args: Any
    ) -> None:
        """Accepts the entries of a plain norm: each stream starts from them.

        Rows of the same streams in another order are an error: they have the same shapes.
        """
        saved, names = metadata.get(_NAMES), [str(name) for name in self.streams.names]
        if saved is not None and saved != names and sorted(saved) == sorted(names):
            problem = (
                f"rows of the norms are of the streams {saved}, in another order than {names} "
                "here; give the inputs in the order in which they were saved"
            )
            *_, problems = args
            if problem not in problems:
                problems.append(problem)
        for name in self.per_stream:
            value, target = state_dict.get(prefix + name), getattr(self, name)
            if value is not None and target is not None and value.shape == target.shape[1:]:
                state_dict[prefix + name] = value.expand(target.shape)
        super()._load_from_state_dict(state_dict, prefix, metadata, *args)
        if self.own.device != self.weight.device:  # assigned, so that no move told of it
            self._part()
