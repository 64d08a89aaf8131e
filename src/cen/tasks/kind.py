"""What every kind of output says and does: the contract that the files beside this one fill in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cen.errors import ConfigError, DataError, ShapeError, described, did_you_mean
from cen.tasks.masks import absolute_error
from cen.tasks.pairs import check_pair, check_together

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_LARGEST = 1e6
"""The greatest magnitude of a ground truth that can be meant, in any unit."""


@dataclass(frozen=True)
class Score:
    """How one score is shown.

    Attributes:
        head: short column head.
        unit: what stands behind the value; ``"%"`` for shares in 0..1, printed times 100.
        higher: whether a greater value is a better one.
        text: what it is, in a sentence part.
    """

    head: str
    unit: str = "%"
    higher: bool = True
    text: str = ""


class Scores(Protocol):
    """The scores of one prediction, a NamedTuple of tensors."""

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers and lists for JSON; ``None`` stands for nan."""


@dataclass(frozen=True)
class Kind(ABC):
    """An output of one kind: what its values are, and all that is done with them.

    The attributes of the class are facts of the kind, those of an instance belong to one output.
    Batches of predictions are (B, C, H, W) as the network gives them, ground truth is (B, H, W)
    labels of a kind with ``labels``, else (B, C, H, W) with NaN where it is missing.

    Attributes:
        name: of the kind, as in configurations and checkpoints.
        fixed_channels: channels of every output of the kind; None: any number.
        fields: kinds of the fields of data that it can be learnt from.
        labels: ground truth are class numbers, of which one (``ignore_index``) does not count.
        classifies: the loss is that of a classification (for weighting by uncertainty).
        directions: values are vectors, whose x changes its sign in a mirror.
        generated: values are pictures in [-1, 1], or numbers like them, which a U-Net bounds by
            tanh, discriminators judge and feature networks compare.
        losses: names of the losses to choose from; the first is the default.
        scores: every scalar score by name, in the order of columns.
        main_score: the score by which outputs are compared.
        headline_score: the score that checkpoints are chosen by, which no other kind has.
        headline_worst: value of it that counts as 0, where 0 is the best; None: it is a share, and
            greater is better.
        channels: of the output; the number of classes of a segmentation.
        ignore_index: label of pixels that do not count.
        loss_name: which of the losses; None: the first.
    """

    name: ClassVar[str]
    fixed_channels: ClassVar[int | None] = None
    fields: ClassVar[tuple[str, ...]]
    labels: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    directions: ClassVar[bool] = False
    generated: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("l1",)
    scores: ClassVar[Mapping[str, Score]]
    main_score: ClassVar[str]
    headline_score: ClassVar[str]
    headline_worst: ClassVar[float | None] = None

    channels: int
    ignore_index: int = 255
    loss_name: str | None = None

    # Learning.

    @classmethod
    def check_loss(cls, place: str, loss: object) -> None:
        """Refuses the name of a loss that the kind does not have.

        Raises:
            ConfigError: with the names that there are.
        """
        if loss not in cls.losses:
            hint = did_you_mean(loss, cls.losses) if isinstance(loss, str) else ""
            raise ConfigError(
                f"{place} has no loss {described(loss)}{hint}; the kind {cls.name} has "
                f"{', '.join(cls.losses)}"
            )

    @classmethod
    def check(cls, prediction: Tensor, target: Tensor, name: str = "target") -> None:
        """Refuses a prediction (of any scale) and a ground truth that cannot be compared.

        Raises:
            ShapeError: the shapes do not fit.
            DataError: a type or a device does not fit, or there are no samples.
        """
        check_pair(
            cls.name, prediction, target, name, channels=cls.fixed_channels, labels=cls.labels
        )

    @classmethod
    def check_same(cls, prediction: Tensor, target: Tensor) -> None:
        """As `check`, for a prediction of the size of the ground truth."""
        check_together(prediction, target)
        if prediction.shape != target.shape:
            raise ShapeError(
                f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in "
                "shape; resize the prediction to the truth, and give both as (B, C, H, W)"
            )
        cls.check(prediction, target)

    def valid(self, target: Tensor) -> Tensor:
        """Where a ground truth counts: bool, of its shape or (B, H, W)."""
        return target.isfinite()

    def loss(
        self,
        prediction: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        tally: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, a mean over what `counted` counts; 0 where that is nothing.

        Unless a kind says otherwise the mean absolute error over valid values.

        Args:
            prediction: of any scale; it is resized to the ground truth.
            target: ground truth.
            class_weights: (channels,), for kinds with ``labels``.
            tally: what `tally` gave, summed over the processes of a step; None: of this batch.

        Raises:
            ShapeError, DataError: see `check`.
        """
        self.check(prediction, target)
        return absolute_error(prediction, target.float(), self.valid(target))

    def counted(self, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """How much a batch weighs in the mean over all processes that the loss is, a scalar."""
        return self.valid(target).sum().float()

    def tally(self, target: Tensor) -> Tensor | None:
        """Sums over ground truth that the loss needs of the whole step; None: of nothing."""
        return None

    def planes(self, target: Tensor) -> Tensor:
        """Ground truth as (B, channels, H, W) numbers, 0 where there is none."""
        return target.where(target.isfinite(), 0)

    def missing(self, size: Sequence[int]) -> Tensor:
        """The ground truth of a sample that has none, of (H, W): nothing in it counts."""
        import torch

        return torch.full((self.channels, *size), torch.nan)

    def excess(self, target: Tensor) -> Tensor:
        """Greatest magnitude in the ground truth of each sample, (B,); above 1: cannot be meant."""
        return extreme(target.where(target.isfinite(), 0)) / _LARGEST

    def excess_text(self, excess: float) -> str:
        """What a sample with that `excess` holds."""
        return f"{excess * _LARGEST:.4g}"

    # Predicting.

    def constrain(self, values: Tensor) -> Tensor:
        """Predictions as the network returns them: what the kind asks for by definition."""
        return values

    def ensemble(self, streams: Sequence[Tensor], weights: Tensor) -> Tensor:
        """The ensemble of the predictions of streams, weighted with the entries of (S,)."""
        constrained = [self.constrain(values) for values in streams]
        return self.constrain(weighted_sum(constrained, weights))

    def activate(self, values: Tensor) -> Tensor:
        """Predictions in the form of ground truth: logits become probabilities."""
        return self.constrain(values)

    def comparable(self, values: Tensor) -> Tensor:
        """What the mean over scales and mirrored predictions is taken of."""
        return self.activate(values)

    def decide(self, values: Tensor) -> Tensor:
        """What is scored of predictions, or of a mean of what `comparable` gives."""
        return values

    # Scoring.

    @abstractmethod
    def counts(self) -> dict[str, Tensor]:
        """What scores are made of, of no batch at all: tensors that are summed over batches."""

    @abstractmethod
    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The counts of one batch; nothing is read back to the host.

        Raises:
            ShapeError: the shapes differ.
            DataError: a type or (on the CPU) a value does not fit.
        """

    @abstractmethod
    def score(self, counts: Mapping[str, Tensor]) -> Scores:
        """The scores of summed counts."""

    @classmethod
    def headline(cls, scores: Mapping[str, Any]) -> float | None:
        """One number in 0..1, greater is better; None where nothing was labelled."""
        value = scores.get(cls.headline_score)
        if value is None or not math.isfinite(value):
            return None
        worst = cls.headline_worst
        return float(value) if worst is None else max(0.0, 1.0 - value / worst)

    @classmethod
    def headline_text(cls) -> str:
        """What `headline` is, for heads of columns and messages."""
        head, worst = cls.scores[cls.headline_score].head, cls.headline_worst
        if worst is None:
            return head
        return f"1 − {head}" if worst == 1 else f"1 − {head} / {worst:g}"

    # Arrays and files.

    def array(self, values: Tensor) -> NDArray[Any]:
        """One prediction (C, H, W) on the CPU as people use it: (H, W), or (H, W, C)."""
        return as_array(self.activate(values[None])[0])

    def truth(self, target: Tensor) -> NDArray[Any]:
        """One ground truth on the CPU, laid out like `array`; NaN where there is none."""
        return as_array(target.float())

    @classmethod
    def expected(cls, array: NDArray[Any]) -> str | None:
        """What a stored (H, W) or (H, W, C) should be; None where it is laid out like `array`."""
        return None

    @classmethod
    def further_files(cls, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Integers by name that are written as PNG beside the values and the picture."""
        return {}


def extreme(values: Tensor) -> Tensor:
    """The greatest magnitude of each sample, (B,) float32; NaN where there is one."""
    flat = values.detach().flatten(1)
    return flat.abs().amax(1).float() if flat.numel() else flat.new_zeros(len(flat))


def weighted_sum(values: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The sum of (B, C, H, W) tensors weighted with the entries of ``weights``, (S,)."""
    total = values[0] * weights[0].to(values[0].dtype)
    for index, value in enumerate(values[1:], 1):
        total = total + value * weights[index].to(value.dtype)
    return total


def as_array(values: Tensor) -> NDArray[Any]:
    """(C, H, W) as an array: (H, W) of one channel, else (H, W, C)."""
    if len(values) == 1:
        return values[0].numpy()
    return values.permute(1, 2, 0).contiguous().numpy()


def plain_scores(scores: Any) -> dict[str, Any]:
    """A NamedTuple of tensors as plain numbers and lists for JSON; ``None`` stands for nan."""
    return {name: _plain(value.tolist()) for name, value in scores._asdict().items()}


def checked_sums(sums: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """Sums of a metric on the host, float64, refused where they cannot be what was counted."""
    from torch import Tensor

    if not isinstance(sums, Tensor):
        raise DataError(f"{what} must be a tensor, got {described(sums)}")
    if sums.shape != shape:
        raise ShapeError(f"{what} have the shape {shape}, got {tuple(sums.shape)}")
    return sums.detach().cpu().double()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
