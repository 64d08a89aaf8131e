"""Predict on image files or arrays, with any subset of the modalities a network knows."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cen.data import Modality
from cen.data.tools.training_range import far_from, without_colours
from cen.errors import (
    CenWarning,
    ConfigError,
    StreamError,
    did_you_mean,
)
from cen.models import ChannelExchangeNetwork, Output
from cen.models.network_file import opened
from cen.predict.absence import absence
from cen.predict.arrays import read_prediction, read_streams
from cen.predict.inputs import check_array, common_size, of_unit, source_of, stored_modalities
from cen.predict.predictions import DenseOutput, Labels, Prediction
from cen.report.colours import Image, as_palette, palette, to_picture


class Predictor:
    """Predicts on scenes given as image files or arrays: a segmentation, or every output.

    Everything that was chosen for the inputs when the network was trained (units, encodings,
    clipping, filling of holes, normalisation, ``data.transforms.resize``) is kept with it, so the
    files are enough; what is predicted has their size. Depth far
    from that of training is warned of (``CenWarning``): mostly its unit is another one; so is a
    grey picture where the network has seen colours.

    A network that was trained without ``train.modality_dropout`` never missed a modality: each
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

    Raises:
        CheckpointError: nothing says how a modality is preprocessed.
        ConfigError: ``output`` is unknown or no segmentation, ``unit`` is no length, or no modality
            of the network is of kind depth, so that it would change nothing.

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
    ) -> None:
        self._source = net if isinstance(net, str | Path) else source
        self._told: set[frozenset[str]] = set()
        self.net = opened(net)
        if device is not None:
            self.net.to(device)
        self._evaluating = _Evaluating(self.net)
        self.modalities = stored_modalities(self.net, preprocessing)
        self._reading = of_unit(self.modalities, unit)
        targets = self.net.metadata.get("targets") or {}
        self._targets = {name: Modality.from_dict(values) for name, values in targets.items()}
        self.output = _segmentation(self.net, output)
        self.classes: tuple[str, ...] = ()
        self.palette = palette(0)
        if self.output is not None:
            self.classes, self.palette = _classes(self.net, self.output)

    def __call__(
        self,
        inputs: Mapping[str, str | Path | NDArray[Any]],
        *,
        probabilities: bool = False,
        intrinsics: Sequence[float] | NDArray[Any] | None = None,
    ) -> Prediction:
        """Segment one scene.

        Args:
            inputs: any non-empty subset of the modalities, all of one size and at least 32 pixels
                high and wide: a file, or an array as :meth:`Modality.read` gives it (image: uint8
                (H, W, 3) RGB, or (H, W); depth: float (H, W) in metres, where nan, infinity and
                values <= 0 are missing; others: docs/modalities.md).
            probabilities: keep the class probabilities of the ensemble.
            intrinsics: (fx, fy, cx, cy) or (3, 3) of these pictures, in pixels; needed where an
                encoding (HHA, normals from depth) asks for them and the network was not saved
                with those of one camera.

        Returns:
            The prediction at the size of the input.

        Raises:
            ConfigError: the network has no segmentation, or several of which none was chosen.
            StreamError: no modality is given, one is unknown, or the segmentation cannot be
                predicted from those given (of a cycle network: from itself).
            DataError: a file cannot be read, an array is of the wrong kind, or intrinsics are
                needed.
            ShapeError: the sizes differ, or an image is too small; the message names the files.
        """
        if self.output is None:
            known = ", ".join(f"{name} ({task.kind})" for name, task in self.net.outputs.items())
            raise ConfigError(
                f"which segmentation? This network predicts {known}; choose one with output=, or "
                "ask for every output with all()"
            )
        picture, results = self._run(inputs, intrinsics)
        if self.output not in results:
            others = ", ".join(name for name in self.net.inputs if name != self.output)
            raise StreamError(
                f"nothing to predict {self.output!r} from: it alone was given; give at least one "
                f"of {others}, or ask for the other outputs with all()"
            )
        return self._segmentation(self.output, results[self.output], picture, probabilities)

    def all(
        self,
        inputs: Mapping[str, str | Path | NDArray[Any]],
        *,
        intrinsics: Sequence[float] | NDArray[Any] | None = None,
    ) -> dict[str, Prediction | DenseOutput]:
        """Predict every output of one scene; arguments and errors as those of a call.

        Returns:
            By output, in the order of the network: a `Prediction` for a segmentation, a
            `DenseOutput` for another kind. Of a cycle network those that can be predicted from
            what is given.
        """
        picture, results = self._run(inputs, intrinsics)
        found: dict[str, Prediction | DenseOutput] = {}
        for name, result in results.items():
            task = self.net.outputs[name]
            if task.rules.labels:
                found[name] = self._segmentation(name, result, picture, False)
            else:
                found[name] = self._dense(name, result)
        return found

    def _run(
        self,
        inputs: Mapping[str, str | Path | NDArray[Any]],
        intrinsics: Sequence[float] | NDArray[Any] | None,
    ) -> tuple[Image, dict[str, Output]]:
        """The scene as a picture, and what the network says of it at its size."""
        self._check_names(inputs)
        given = {name: inputs[name] for name in self.modalities if name in inputs}
        values = {name: self._read(name, value) for name, value in given.items()}
        self._compare(given, values)
        size = common_size({source_of(name, given[name]): v.shape for name, v in values.items()})
        device = next(self.net.parameters()).device
        batch = {
            name: torch.from_numpy(self._numbers(name, value, intrinsics))[None].to(device)
            for name, value in values.items()
        }
        with self._evaluating, torch.inference_mode():
            results: dict[str, Output] = self.net(batch, size=size)
        self._tell_missing(inputs)  # of what was predicted: an error stands alone
        return self._picture(values), results

    def _segmentation(
        self, name: str, result: Output, picture: Image, probabilities: bool
    ) -> Prediction:
        task = self.net.outputs[name]
        classes, colours = _classes(self.net, name)
        labels: Labels = read_prediction(task, result.ensemble[0])
        alpha = dict(zip(result.streams, result.alpha.tolist(), strict=True))
        shares = result.ensemble[0].float().softmax(0).cpu().numpy() if probabilities else None
        streams = read_streams(task, result)
        return Prediction(labels, streams, alpha, classes, colours, picture, probabilities=shares)

    def _dense(self, name: str, result: Output) -> DenseOutput:
        task, target = self.net.outputs[name], self._targets.get(name)
        values = read_prediction(task, result.ensemble[0], target)
        alpha = dict(zip(result.streams, result.alpha.tolist(), strict=True))
        picture = read_prediction(task, result.ensemble[0]) if task.rules.generated else None
        return DenseOutput(task.kind, values, read_streams(task, result, target), alpha, picture)

    def _tell_missing(self, inputs: Mapping[str, Any]) -> None:
        """Warns once of a subset that the network never saw in training."""
        given = frozenset(inputs)
        if given in self._told:
            return
        self._told.add(given)
        said = absence(self.net, given, self._source)
        if said:
            warnings.warn(said, CenWarning, stacklevel=4)

    def _check_names(self, inputs: Mapping[str, Any]) -> None:
        known = ", ".join(self.modalities)
        for name in inputs:
            if name not in self.modalities:
                hint = did_you_mean(name, self.modalities)
                raise StreamError(f"unknown modality {name!r}{hint}; this network knows {known}")
        if not inputs:
            raise StreamError(f"no modality given; at least one of {known} is needed")

    def _read(self, name: str, value: str | Path | NDArray[Any]) -> NDArray[Any]:
        modality = self.modalities[name]
        if isinstance(value, str | Path):
            return self._reading[name].read(value)
        array = np.asarray(value)
        check_array(name, array, modality)
        if modality.kind == "depth":
            return np.where(array > 0, array, np.nan).astype(np.float32)
        return array

    def _numbers(self, name: str, value: NDArray[Any], intrinsics: Any) -> NDArray[np.float32]:
        """What the network sees, in the steps and at the size of `cen.data.transforms`."""
        modality, resize = self.modalities[name], self.net.metadata.get("resize")
        prepared = modality.prepare(value, intrinsics)
        if resize is not None and prepared.shape[:2] != tuple(resize):
            prepared = modality.resize(prepared, (int(resize[0]), int(resize[1])))
        return modality.normalise(prepared)

    def _compare(
        self, given: Mapping[str, str | Path | NDArray[Any]], values: Mapping[str, NDArray[Any]]
    ) -> None:
        """Warns of depth far from that of training, and of colours that are none."""
        known = self.net.metadata.get("seen") or {}
        for name, value in values.items():
            seen, modality = known.get(name) or {}, self.modalities[name]
            far = far_from(value, seen) if "medians" in seen else None
            strange = far or without_colours(value, modality, seen)
            if strange:
                source = source_of(name, given[name])
                warnings.warn(f"{source}: {strange}", CenWarning, stacklevel=3)

    def _picture(self, values: Mapping[str, NDArray[Any]]) -> Image:
        """The first image among the modalities, else the first depth map, painted."""
        first = sorted(values, key=lambda name: self.modalities[name].kind != "image")[0]
        return to_picture(self.modalities[first].picture(values[first]))


def _segmentation(net: ChannelExchangeNetwork, output: str | None) -> str | None:
    """The segmentation that is asked for, or else the only one; None where it is not clear."""
    known = [name for name, task in net.outputs.items() if task.rules.labels]
    if output is None:
        return known[0] if len(known) == 1 else None
    if output in known:
        return output
    names = ", ".join(known) or "none"
    raise ConfigError(
        f"the segmentation outputs of this network are: {names}; {output!r} is not among them"
    )


def _classes(net: ChannelExchangeNetwork, output: str) -> tuple[tuple[str, ...], Image]:
    """Names and colours of the classes, as saved with the network."""
    count = net.outputs[output].channels
    names = net.outputs[output].classes or (net.metadata.get("classes") or {}).get(output) or ()
    if len(names) != count:
        names = [f"class {i}" for i in range(count)]
    colours = (net.metadata.get("palette") or {}).get(output)
    return tuple(str(name) for name in names), as_palette(colours, count)


class _Evaluating:
    """Evaluation mode while any thread predicts; every module then gets back the mode it had.

    Switched by the first that comes and the last that leaves, so that nobody's network is put back
    into training mode while it predicts.
    """

    def __init__(self, net: torch.nn.Module) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._inside = 0
        self._modes: list[tuple[torch.nn.Module, bool]] = []

    def __reduce__(self) -> tuple[type, tuple[torch.nn.Module]]:
        return _Evaluating, (self._net,)  # locks are not copied

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._modes = [(m, m.training) for m in self._net.modules() if m.training]
                if self._modes:
                    self._net.eval()
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for module, training in self._modes:
                    module.training = training
                self._modes = []
