"""What an output of a network is: its kind, its channels, its classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from cen.arguments import whole
from cen.errors import ConfigError, described, did_you_mean
from cen.tasks.depth import Depth
from cen.tasks.edge import Edge
from cen.tasks.image import Image
from cen.tasks.kind import Kind
from cen.tasks.normal import Normal
from cen.tasks.segmentation import Segmentation

KindName = Literal["segmentation", "depth", "normal", "edge", "image"]
"""The names of the kinds of outputs, the keys of `KINDS`."""

KINDS: Mapping[str, type[Kind]] = {
    kind.name: kind for kind in (Segmentation, Depth, Normal, Edge, Image)
}
"""Every kind of output by its name, in the order of `KindName`."""


@dataclass(frozen=True)
class Task:
    """One output of a network.

    Attributes:
        kind: ``"segmentation"`` (one logit per class), ``"depth"`` (one channel), ``"normal"``
            (three channels, the ensemble is renormalised to unit length), ``"edge"`` (one logit)
            or ``"image"`` (any number of channels).
        channels: channels of the output; the number of classes of a segmentation.
        classes: names of the classes of a segmentation, or None where they are not known.
        ignore_index: label of pixels that neither the loss nor the metrics count.
        loss: one of the losses of the kind; None becomes the first of them.

    Raises:
        ConfigError: if the kind is unknown, or the channels, the classes or the loss do not fit it.
    """

    kind: KindName
    channels: int
    classes: tuple[str, ...] | None = None
    ignore_index: int = 255
    loss: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            kinds = ", ".join(KINDS)
            hint = did_you_mean(self.kind, KINDS) if isinstance(self.kind, str) else ""
            raise ConfigError(
                f"a task cannot be of kind {described(self.kind)}{hint}; the kinds are {kinds}"
            )
        channels = whole(f"the number of channels of a {self.kind} task", self.channels)
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "ignore_index", whole("ignore_index", self.ignore_index, -(2**63)))
        fixed = KINDS[self.kind].fixed_channels
        if fixed is not None and self.channels != fixed:
            raise ConfigError(f"a {self.kind} task has {fixed} channels, not {self.channels}")
        if self.loss is None:
            object.__setattr__(self, "loss", KINDS[self.kind].losses[0])
        KINDS[self.kind].check_loss(f"a {self.kind} task", self.loss)
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))
            if not self.rules.labels or len(self.classes) != self.channels:
                raise ConfigError(
                    f"{len(self.classes)} class names do not fit a {self.kind} task with "
                    f"{self.channels} channels; give one name per channel of a segmentation"
                )

    @property
    def rules(self) -> Kind:
        """What is done with an output of this kind: its loss, scores, arrays, and all else."""
        return KINDS[self.kind](self.channels, self.ignore_index, self.loss)

    def same_kind(self, other: Task) -> bool:
        """Whether the values of both mean the same; channels and classes may differ."""
        return self.kind == other.kind

    @classmethod
    def of(cls, value: object) -> Task:
        """The task meant by ``value``: a number of classes, a task, or what `to_dict` gave.

        Raises:
            ConfigError: if ``value`` is none of these.
        """
        if isinstance(value, Task):
            return value
        if not isinstance(value, bool) and isinstance(value, Integral):
            return cls("segmentation", int(value))
        if isinstance(value, Mapping):
            field_names = [field.name for field in dataclasses.fields(cls)]
            for key in value:
                if key not in field_names:
                    hint = did_you_mean(key, field_names) if isinstance(key, str) else ""
                    raise ConfigError(
                        f"a task has no {described(key)}{hint}; it has {', '.join(field_names)}"
                    )
            for key in ("kind", "channels"):
                if key not in value:
                    raise ConfigError(
                        f"{described(value)} does not describe a task: give its {key}"
                    )
            return cls(**value)
        hint = ""
        if isinstance(value, str) and value in KINDS:
            channels = KINDS[value].fixed_channels or "channels"
            hint = f"; for {value} give cen.Task({value!r}, {channels})"
        raise ConfigError(
            f"an output is a number of classes or a Task, not {described(value)}{hint}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The task as plain JSON-able values; `Task.of` reads it back."""
        values = dataclasses.asdict(self)
        values["classes"] = None if self.classes is None else list(self.classes)
        if self.loss == self.rules.losses[0]:
            del values["loss"]  # as versions wrote it that had no other
        return values
