"""What a conversion made of every norm of a network, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Fate = Literal["exchanging", "private", "shared"]


@dataclass(frozen=True)
class NormFate:
    """What became of one norm.

    Attributes:
        name: Its qualified name in the network that was converted.
        kind: What it computes, such as "layer norm"; of others the name of their class.
        channels: C; 0 where it is no norm of channels.
        fate: "exchanging": each stream has its own, and channels are exchanged after it.
            "private": each stream has its own. "shared": all streams use the one there is.
        reason: Why.
        wanted: Whether that is what was asked for, or makes no difference; False is warned of.
    """

    name: str
    kind: str
    channels: int
    fate: Fate
    reason: str
    wanted: bool = True


@dataclass(frozen=True)
class ConversionSummary:
    """All norms of a converted network; ``print`` shows the table.

    Attributes:
        norms: In the order of the network's modules; those that are functions come last, and are
            known after the first pass.
    """

    norms: tuple[NormFate, ...]

    def of(self, fate: Fate) -> tuple[str, ...]:
        """The names of the norms of one fate."""
        return tuple(norm.name for norm in self.norms if norm.fate == fate)

    @property
    def exchanging(self) -> tuple[str, ...]:
        """Names of the norms after which channels are exchanged."""
        return self.of("exchanging")

    @property
    def private(self) -> tuple[str, ...]:
        """Names of the norms that each stream has for itself, without exchange."""
        return self.of("private")

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the norms that all streams share."""
        return self.of("shared")

    def __str__(self) -> str:
        head = ", ".join(
            f"{len(names)} {fate}"
            for fate, names in (
                ("exchanging", self.exchanging),
                ("private", self.private),
                ("shared", self.shared),
            )
        )
        rows = [("norm", "kind", "channels", "streams", "because")]
        rows += [(n.name, n.kind, str(n.channels or "-"), n.fate, n.reason) for n in self.norms]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
            for row in rows
        ]
        return "\n".join([f"{len(self.norms)} norms: {head}", *lines])


def named(names: Sequence[str], most: int = 4) -> str:
    """The first few of some names in quotes, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
