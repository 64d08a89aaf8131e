"""What a network says of a scene, band by band from top to bottom: whole, in tiles, averaged.

One place for predictions and evaluations. A picture that is cut is predicted tile by tile at the
decoder's resolution; the overlapping tiles are blended there, and rows of the result are resized as
those of a whole picture are. So no more than one row of tiles is in memory, in a file where that is
large, and what tiles do not change is equal to the prediction of the whole.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from cen.errors import CenWarning, CheckpointError, ConfigError
from cen.models import ChannelExchangeNetwork, Output, Task
from cen.predict.flips import mirror_truth
from cen.predict.scenes import ScaledScene, Scene
from cen.predict.tiled_rows import TiledRows
from cen.predict.tiles import Tile, check_tile, looks_afar, tile_side

Precision = Literal["fp32", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}

_OF_BAND = 2**22
"""Values of each prediction that a band of a picture in tiles holds, about."""


class Band(NamedTuple):
    """Rows of a prediction.

    Attributes:
        first: the first row.
        outputs: what is predicted, (B, C, rows, W), by output.
    """

    first: int
    outputs: dict[str, Output]


@dataclass(frozen=True)
class Views:
    """How often, and in which pieces, a network looks at a scene.

    Attributes:
        tile: side of the tiles that pictures are cut into, see `cen.predict.tiles.Tile`.
        scales: factors by which the inputs are resized (bilinear).
        flip: also the mirrored inputs.
        precision: of what the network computes; the weights keep theirs.

    Raises:
        ConfigError: there is no such tile, scale or precision.
    """

    tile: Tile = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        check_tile(self.tile)
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise ConfigError(f"scales: {list(self.scales)}; give factors above 0, such as 1")
        if self.precision not in get_args(Precision):
            choices = ", ".join(get_args(Precision))
            raise ConfigError(f"precision: {self.precision!r} is none of {choices}")

    @property
    def averaged(self) -> bool:
        """Whether predictions are means of what `cen.tasks.Kind.comparable` gives."""
        return self.scales != (1.0,) or self.flip

    def variants(self) -> list[tuple[float, bool]]:
        """The scales, each as it is and, where that is asked for, mirrored."""
        return [(s, m) for s in self.scales for m in ((False, True) if self.flip else (False,))]

    def computing(self, device: torch.device) -> AbstractContextManager[Any]:
        """In which the network runs."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, _HALF[self.precision])


def warn_of_tiles(net: ChannelExchangeNetwork) -> None:
    """Tells of a network whose predictions in tiles are others than those of the whole."""
    if parts := looks_afar(net):
        warnings.warn(
            f"the picture is cut into tiles, but the network has {' and '.join(parts)}, which go "
            "by the whole of what they see: the prediction is another one than that of the whole "
            "picture; larger tiles bring it nearer",
            CenWarning,
            stacklevel=4,
        )


def bands(
    net: ChannelExchangeNetwork,
    scene: Callable[[bool], Scene],
    size: tuple[int, int],
    views: Views,
    vectors: frozenset[str] = frozenset(),
) -> Iterator[Band]:
    """Predicts a scene, or several of one size, in evaluation mode and without gradients.

    Args:
        net: the network.
        scene: gives the inputs, as they are or (True) mirrored.
        size: height and width of what is predicted.
        views: how the network looks at it.
        vectors: the outputs whose values are directions, see `vector_fields`.

    Yields:
        Bands that cover the prediction from top to bottom. Of several views they hold the mean of
        what `cen.tasks.Kind.comparable` makes of each.

    Raises:
        ConfigError: the tiles are too small for the network.
        ShapeError: a scene is too small.
    """
    variants = views.variants()
    looks = [_look(net, scene(mirrored), scale, size, views) for scale, mirrored in variants]
    for first, stop in _rows(looks, size, net):
        outputs = [look(first, stop) for look in looks]
        if views.averaged:
            comparable = [
                _comparable(net.outputs, output, mirrored, vectors)
                for output, (_, mirrored) in zip(outputs, variants, strict=True)
            ]
            outputs = [_merged(comparable, lambda values: torch.stack(values).mean(0))]
        yield Band(first, outputs[0])


def check_finite(band: Band, precision: Precision) -> None:
    """Refuses predictions that are no numbers: of a segmentation they would be the first class.

    Raises:
        ConfigError: half precision is too little for the network.
        CheckpointError: the network itself gives no numbers.
    """
    for name, output in band.outputs.items():
        wrong = ~output.ensemble.isfinite()
        if not wrong.any():
            continue
        text = f"{name}: {float(wrong.float().mean()):.1%} of what is predicted is NaN or infinite"
        if precision == "fp16":
            raise ConfigError(
                f"{text} in fp16, whose largest number is 65504; take precision bf16 or fp32"
            )
        raise CheckpointError(
            f"{text}: weights or running statistics of the network are damaged, or its training "
            "had come to nothing; take an earlier checkpoint"
        )


def joined(found: Iterable[Band]) -> Band:
    """All bands of a prediction as one."""
    parts = [outputs for _, outputs in found]
    if len(parts) == 1:
        return Band(0, parts[0])
    return Band(0, _merged(parts, lambda rows: torch.cat(rows, -2)))


_Look = Callable[[int, int], dict[str, Output]]


def _look(
    net: ChannelExchangeNetwork, scene: Scene, scale: float, size: tuple[int, int], views: Views
) -> _Look:
    """What gives rows of the prediction of one view, asked from top to bottom."""
    if scale != 1.0:
        scene = ScaledScene(scene, scale)
    side = tile_side(views.tile, scene.size, net.smallest)
    if side is None:
        return _Whole(net, scene, size, views)
    return TiledRows(net, scene, size, views.computing, side)


def _rows(
    looks: Sequence[_Look], size: tuple[int, int], net: ChannelExchangeNetwork
) -> Iterator[tuple[int, int]]:
    """The bands: one where a view is of the whole picture anyway."""
    step = size[0]
    if any(isinstance(look, TiledRows) for look in looks):
        channels = max(task.channels for task in net.outputs.values())
        step = max(1, _OF_BAND // (size[1] * channels))
    for first in range(0, size[0], step):
        yield first, min(first + step, size[0])


class _Whole:
    """The prediction of a picture that is not cut."""

    def __init__(
        self, net: ChannelExchangeNetwork, scene: Scene, size: tuple[int, int], views: Views
    ) -> None:
        self._net, self._scene, self._size, self._views = net, scene, size, views
        self._outputs: dict[str, Output] = {}

    def __call__(self, first: int, stop: int) -> dict[str, Output]:
        if not self._outputs:
            inputs = self._scene.window(*(slice(0, side) for side in self._scene.size))
            with self._views.computing(next(iter(inputs.values())).device):
                self._outputs = self._net(inputs, size=self._size)
        if (first, stop) == (0, self._size[0]):
            return self._outputs
        rows = operator.itemgetter((..., slice(first, stop), slice(None)))
        return {name: _mapped(output, rows) for name, output in self._outputs.items()}


def _mapped(output: Output, of: Callable[[Tensor], Tensor]) -> Output:
    """What a function makes of the values of every stream and of the ensemble."""
    streams = {name: of(values) for name, values in output.streams.items()}
    return Output(streams, of(output.ensemble), output.alpha)


def _merged(
    predictions: Sequence[Mapping[str, Output]], of: Callable[[list[Tensor]], Tensor]
) -> dict[str, Output]:
    """What a function makes of several predictions' values, for every stream and the ensemble."""
    merged = {}
    for name, first in predictions[0].items():
        outputs = [prediction[name] for prediction in predictions]
        streams = {stream: of([o.streams[stream] for o in outputs]) for stream in first.streams}
        merged[name] = Output(streams, of([o.ensemble for o in outputs]), first.alpha)
    return merged


def _comparable(
    tasks: Mapping[str, Task],
    outputs: Mapping[str, Output],
    mirrored: bool,
    vectors: frozenset[str],
) -> dict[str, Output]:
    """What the mean over views is taken of, the right way round."""

    def of(name: str, values: Tensor) -> Tensor:
        values = tasks[name].rules.comparable(values.float())
        return mirror_truth(values, name in vectors) if mirrored else values

    return {name: _mapped(output, partial(of, name)) for name, output in outputs.items()}
