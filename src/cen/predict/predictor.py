"""Predict on image files or arrays, with any subset of the modalities a network knows."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray

from cen.data import Modality
from cen.data.tools.training_range import far_from, without_colours
from cen.errors import CenWarning, ConfigError, StreamError, did_you_mean
from cen.models import ChannelExchangeNetwork
from cen.models.network_file import opened
from cen.predict.absence import absence
from cen.predict.arrays import Arrays, Reading
from cen.predict.evaluating import Evaluating, move
from cen.predict.flips import vector_fields
from cen.predict.folding_on_demand import FoldingOnDemand
from cen.predict.inputs import (
    Inputs,
    Intrinsics,
    ReadScene,
    Scenes,
    Value,
    alike,
    check_batch,
    common_size,
    of_unit,
    read_value,
    scenes_of,
    size_of_batch,
    source_of,
    stored_modalities,
)
from cen.predict.predictions import DenseOutput, Prediction
from cen.predict.scenes import ArrayScene, MirroredScene, Scene
from cen.predict.segmentations import classes_of, segmentation_of
from cen.predict.tiles import Tile, tile_side
from cen.predict.views import Band, Precision, Views, bands, check_finite, warn_of_tiles
from cen.report.colours import Image, palette, to_picture

_RANGE = {"low", "high", "medians"}
"""What is known of a measured input whose range training saw."""


class Predictor:
    """Predicts on scenes given as image files or arrays: a segmentation, or every output.

    Everything that was chosen for the inputs when the network was trained (units, encodings,
    clipping, filling of holes, normalisation, ``data.transforms.resize``) is kept with it, so the
    files are enough; what is predicted has their size. Depth and other measured values far from
    those of training are warned of (``CenWarning``): mostly their unit is another one; so is a
    grey picture where the network has seen colours.

    A network trained without ``train.robust`` or ``modality_dropout`` never missed a modality: each
    subset is warned of once (``CenWarning``), with the figures of the run's own evaluation.

    One predictor serves any number of threads, each with a subset of the modalities of its own.

    Args:
        net: a network, or the path of a run folder or of a saved network (``.safetensors``).
        device: where to run; None leaves the network where it is (the CPU when it is loaded).
        preprocessing: how each modality's files become numbers; by default what was saved with
            the network (``net.metadata["preprocessing"]``).
        output: which segmentation a call gives; needed only where there are several. `all` gives
            every output, of any kind.
        unit: metres per stored value of the depth files that are given, of any number of bits;
            None: as in training. The network sees the same metres in the same encoding.
        source: run folder of a network that is given loaded; its evaluation is quoted where
            modalities are missing.
        tile: side in pixels of the overlapping tiles that pictures are cut into, so that memory
            does not grow with them; "auto": pictures of more than 2 megapixels alone (those of
            1920 × 1080 stay whole); None: never.
        scales: the predictions on inputs resized by these factors are averaged.
        flip: those on mirrored inputs are averaged, too.
        fold: compute once what exchange made common, see `cen.fold`: the same up to rounding.
            None: where at least a quarter of the own channels is exchanged and a tenth of the
            multiply-adds is saved; in "fp32" alone.
        compile: run it by ``torch.compile``, which takes a minute or two for each subset of the
            modalities and each of the first sizes: for many pictures alone.
        precision: of what is computed: "fp32", or "bf16" and "fp16", which are faster on devices
            made for them and differ in the last of their 8 and 11 bits.

    Raises:
        CheckpointError: nothing says how a modality is preprocessed.
        ConfigError: ``output`` is unknown or no segmentation, ``unit`` is no length, no modality
            of the network is of kind depth, so that it would change nothing, there is no such tile,
            scale or precision, or nothing here compiles.

    Example:
        ``Predictor("runs/demo")({"rgb": "a.png", "depth": "b.png"}).save("out")``
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork | str | Path,
        device: torch.device | str | None = None,
        *,
        preprocessing: Mapping[str, Modality] | None = None,
        output: str | None = None,
        unit: float | None = None,
        source: str | Path | None = None,
        tile: Tile = "auto",
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        precision: Precision = "fp32",
        fold: bool | None = None,
        compile: bool = False,
    ) -> None:
        self.views = Views(tile, tuple(scales), flip, precision)
        self._source = net if isinstance(net, str | Path) else source
        self._told: set[frozenset[str]] = set()
        self._told_of_tiles = False
        self.net = opened(net)
        if device is not None:
            move(self.net, device)
        self._evaluating = Evaluating(self.net)
        self._folding = FoldingOnDemand(self.net, fold if precision == "fp32" else False, compile)
        self.modalities = stored_modalities(self.net, preprocessing)
        self.readings = of_unit(self.modalities, unit)
        targets = self.net.metadata.get("targets") or {}
        self._targets = {name: Modality.from_dict(values) for name, values in targets.items()}
        self._vectors = vector_fields(self.net.outputs, self._targets)
        self.output = segmentation_of(self.net, output)
        self.classes: tuple[str, ...] = ()
        self.palette = palette(0)
        if self.output is not None:
            self.classes, self.palette = classes_of(self.net, self.output)

    @overload
    def __call__(
        self,
        inputs: Inputs,
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
        batch: int = 8,
    ) -> Prediction: ...

    @overload
    def __call__(
        self,
        inputs: Scenes,
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
        batch: int = 8,
    ) -> list[Prediction]: ...

    def __call__(
        self,
        inputs: Inputs | Scenes,
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
        batch: int = 8,
    ) -> Prediction | list[Prediction]:
        """Segment one scene, or each of several.

        Args:
            inputs: any non-empty subset of the modalities, all of one size and at least 32 pixels
                high and wide: a file; an array as :meth:`Modality.read` gives it (image: uint8
                (H, W, 3) RGB, or (H, W); depth: float (H, W) in metres, where nan, infinity and
                values <= 0 are missing; others: docs/modalities.md); a tensor of the same, (C, H,
                W) or (H, W); or a picture of PIL, which holds what a file does. Or a list of such
                scenes, or a list for each modality; their sizes may differ.
            probabilities: keep the class probabilities of the ensemble.
            intrinsics: (fx, fy, cx, cy) or (3, 3) of these pictures, in pixels; needed where an
                encoding (HHA, normals from depth) asks for them and the network was not saved
                with those of one camera.
            batch: of several scenes, the most that are predicted at once; those of one size and of
                the same modalities are, and the results are those of each alone up to rounding.

        Returns:
            The prediction at the size of the input; of several scenes a list.

        Raises:
            ConfigError: the network has no segmentation, or several of which none was chosen; or
                its predictions are no finite numbers in half precision.
            CheckpointError: they are none at all, as its weights are damaged.
            StreamError: no modality is given, one is unknown, or the segmentation cannot be
                predicted from those given (of a cycle network: from itself).
            DataError: a file cannot be read, an array is of the wrong kind, or intrinsics are
                needed.
            ShapeError: the sizes differ, or an image is too small; the message names the files.
        """
        several = scenes_of(inputs)
        scenes = [cast(Inputs, inputs)] if several is None else several
        check_batch(batch)
        read = ((at, self.read(scene, intrinsics)) for at, scene in enumerate(scenes))
        by_index: dict[int, Prediction] = {}
        for group in alike(read, batch):
            of_group = self.batch([scene for _, scene in group], probabilities=probabilities)
            by_index |= zip((at for at, _ in group), of_group, strict=True)
        predictions = [by_index[at] for at in range(len(scenes))]
        return predictions[0] if several is None else predictions

    def batch(
        self,
        scenes: Sequence[Inputs | ReadScene],
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
    ) -> list[Prediction]:
        """Segment scenes of one size at once, each given by the same modalities.

        Args:
            scenes: each as the inputs of a call, or as `read` gave it.
            probabilities: see there.
            intrinsics: see there.

        Returns:
            The predictions, in order: those of calls up to rounding.

        Raises:
            ConfigError, StreamError, DataError: see a call.
            ShapeError: the sizes differ, also between scenes.
        """
        if self.output is None:
            outputs = ", ".join(f"{name} ({task.kind})" for name, task in self.net.outputs.items())
            raise ConfigError(
                f"which segmentation? This network predicts {outputs}; choose one with output=, or "
                "ask for every output with all()"
            )
        results = self._run(scenes, intrinsics, probabilities)
        if self.output not in results[0]:
            others = ", ".join(name for name in self.net.inputs if name != self.output)
            raise StreamError(
                f"nothing to predict {self.output!r} from: it alone was given; give at least one "
                f"of {others}, or ask for the other outputs with all()"
            )
        return [cast(Prediction, by_output[self.output]) for by_output in results]

    def all(
        self,
        inputs: Inputs,
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
    ) -> dict[str, Prediction | DenseOutput]:
        """Predict every output of one scene; arguments and errors as those of a call.

        Returns:
            By output, in the order of the network: a `Prediction` for a segmentation, a
            `DenseOutput` for another kind. Of a cycle network those that can be predicted from
            what is given.
        """
        return self._run([inputs], intrinsics, probabilities)[0]

    def all_batch(
        self,
        scenes: Sequence[Inputs | ReadScene],
        *,
        probabilities: bool = False,
        intrinsics: Intrinsics = None,
    ) -> list[dict[str, Prediction | DenseOutput]]:
        """Every output of scenes of one size; see `all` and `batch`."""
        return self._run(scenes, intrinsics, probabilities)

    def read(self, inputs: Inputs, intrinsics: Intrinsics = None) -> ReadScene:
        """Reads and prepares a scene, for `batch` and `all_batch`; arguments as of a call.

        Raises:
            StreamError, DataError, ShapeError: see a call.
        """
        self.check_names(inputs)
        scene = {name: inputs[name] for name in self.modalities if name in inputs}
        values = {
            name: read_value(name, value, self.modalities[name], self.readings[name])
            for name, value in scene.items()
        }
        self.compare(scene, values)
        size = common_size({source_of(name, scene[name]): v.shape for name, v in values.items()})
        prepared = {name: self._prepared(name, v, intrinsics) for name, v in values.items()}
        return ReadScene(size, values, prepared)

    def _run(
        self,
        scenes: Sequence[Inputs | ReadScene],
        intrinsics: Intrinsics,
        probabilities: bool,
    ) -> list[dict[str, Prediction | DenseOutput]]:
        read = [s if isinstance(s, ReadScene) else self.read(s, intrinsics) for s in scenes]
        size = size_of_batch(read)
        prepared = {name: [scene.prepared[name] for scene in read] for name in read[0].values}
        scene = ArrayScene(prepared, self.modalities, next(self.net.parameters()).device)
        arrays = self.reading(probabilities).whole(self.in_bands(scene, size), size[0])
        self.tell_missing(read[0].values)  # of what was predicted: an error stands alone
        return [
            self._results(self.picture(scene.values), by_output)
            for scene, by_output in zip(read, arrays, strict=True)
        ]

    def _results(
        self, picture: Image, by_output: Mapping[str, Arrays]
    ) -> dict[str, Prediction | DenseOutput]:
        """What people get of the arrays of a scene."""
        results: dict[str, Prediction | DenseOutput] = {}
        for name, arrays in by_output.items():
            values, streams, alpha = arrays.values, arrays.streams, arrays.alpha
            if arrays.task.rules.labels:
                classes, colours = classes_of(self.net, name)
                results[name] = Prediction(
                    values, streams, alpha, classes, colours, picture, arrays.probabilities
                )
            else:
                results[name] = DenseOutput(arrays.task.kind, values, streams, alpha, arrays.shown)
        return results

    def in_bands(self, scene: Scene, size: tuple[int, int]) -> Iterator[Band]:
        """What the network says of scenes of one size, from top to bottom; see `bands`."""
        side = tile_side(self.views.tile, scene.size, self.net.smallest)
        if side is not None and not self._told_of_tiles:
            self._told_of_tiles = True
            warn_of_tiles(self.net)

        def view(mirrored: bool) -> Scene:
            return MirroredScene(scene, self.modalities) if mirrored else scene

        with self._evaluating, torch.inference_mode():
            net = self._folding.network()
            for band in bands(net, view, size, self.views, self._vectors):
                check_finite(band, self.views.precision)
                yield band

    def reading(self, probabilities: bool = False) -> Reading:
        """How bands become arrays."""
        return Reading(self.net.outputs, self._targets, probabilities, self.views.averaged)

    def tell_missing(self, inputs: Mapping[str, Any]) -> None:
        """Warns once of a subset that the network never saw in training."""
        subset = frozenset(inputs)
        if subset in self._told:
            return
        self._told.add(subset)
        warning = absence(self.net, subset, self._source)
        if warning:
            warnings.warn(warning, CenWarning, stacklevel=4)

    def check_names(self, inputs: Mapping[str, Any]) -> None:
        """Refuses names that are no modalities, and none at all."""
        names = ", ".join(self.modalities)
        for name in inputs:
            if name not in self.modalities:
                hint = did_you_mean(name, self.modalities)
                raise StreamError(f"unknown modality {name!r}{hint}; this network knows {names}")
        if not inputs:
            raise StreamError(f"no modality given; at least one of {names} is needed")

    def _prepared(self, name: str, value: NDArray[Any], intrinsics: Any) -> NDArray[Any]:
        """What is normalised window by window, at the size of `cen.data.transforms`."""
        modality, resize = self.modalities[name], self.net.metadata.get("resize")
        prepared = modality.prepare(value, intrinsics)
        if resize is not None and prepared.shape[:2] != tuple(resize):
            prepared = modality.resize(prepared, (int(resize[0]), int(resize[1])))
        return prepared

    def compare(self, given: Mapping[str, Value], values: Mapping[str, NDArray[Any]]) -> None:
        """Warns of measured values far from those of training, and of colours that are none."""
        seen_by_name = self.net.metadata.get("seen") or {}
        for name, value in values.items():
            seen, modality = seen_by_name.get(name) or {}, self.modalities[name]
            of_file = not isinstance(given[name], np.ndarray | torch.Tensor)
            far = far_from(value, modality, seen, of_file) if seen.keys() >= _RANGE else None
            strange = far or without_colours(value, modality, seen)
            if strange:
                source = source_of(name, given[name])
                warnings.warn(f"{source}: {strange}", CenWarning, stacklevel=3)

    def picture(self, values: Mapping[str, NDArray[Any]]) -> Image:
        """A scene as a picture: its first image, else its first modality, painted."""
        first = sorted(values, key=lambda name: not self.modalities[name].field_kind.colours)[0]
        return to_picture(self.modalities[first].picture(values[first]))
