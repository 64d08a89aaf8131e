"""From a configuration to the objects of a run: data sets, network, schedule, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cen.config import Config
from cen.conventions import CONVENTIONS, REVERSED_AXES, normals_in_doubt
from cen.data import AlignedDataset, Modality, eval_transform, train_transform
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.training_range import with_camera
from cen.errors import ConfigError
from cen.models import ChannelExchangeNetwork, build
from cen.options.data_options import ModalityConfig
from cen.options.network_options import OutputConfig
from cen.tasks import KINDS, Task


def open_dataset(config: Config, split: Literal["train", "validation", "test"]) -> AlignedDataset:
    """Opens one split of the data of a run, with the transforms that belong to it.

    Args:
        config: the configuration; only fields that the network takes or predicts are read.
        split: "train" gets the random transforms; "validation" and "test" get whole images.

    Raises:
        DataError: a file or list of the data set cannot be used.
        ConfigError: a modality, an output or a transform is impossible.
    """
    how = config.data.transforms
    dataset = data_source(config).open(split)
    check_outputs(config, dataset)
    if split == "train":
        dataset.transform = train_transform(
            dataset.modalities,
            targets=dataset.targets,
            ignore_index=dataset.ignore_index,
            augment={name: modality.augment for name, modality in config.data.modalities.items()},
            **vars(how),
        )
    else:
        dataset.transform = eval_transform(
            dataset.modalities,
            targets=dataset.targets,
            resize=how.resize,
            ignore_index=dataset.ignore_index,
        )
    return dataset


def data_source(config: Config) -> DatasetRecipe:
    """The data of a run: its layout, and the fields that the network takes and learns."""
    data = config.data
    settings = {name: _given(modality) for name, modality in data.modalities.items()}
    inputs = {
        name: {**settings.get(name, {}), "channels": channels}
        for name, channels in config.model.inputs.items()
    }
    return DatasetRecipe(
        data.layout,
        data.root,
        # A cycle network makes its inputs of the ground truth.
        inputs={} if config.model.name == "cycle" else inputs,
        outputs={name: settings.get(name, {}) for name in config.model.outputs},
        given=settings,
        options=data.options,
        partial=data.partial,
        common={
            "classes": data.classes,
            "validation": data.validation,
            "seed": config.seed,
            # What is left out is the reader's matter: some know what their data ignore.
            **({} if data.ignore_index is None else {"ignore_index": data.ignore_index}),
        },
    )


def check_outputs(config: Config, dataset: AlignedDataset) -> None:
    """Refuses an output whose kind does not fit the field that it shall be learnt from."""
    for name, output in config.model.outputs.items():
        field_kind, rules = dataset.targets[name].kind, KINDS[output.kind]
        if field_kind not in rules.fields:
            fits = [kind.name for kind in KINDS.values() if field_kind in kind.fields]
            # A translation learns the picture that an encoding makes of a depth or of edges.
            picture = rules.generated and field_kind in ("depth", "edge")
            raise ConfigError(
                f"model.outputs.{name}.kind: {output.kind}, but the field {name} of the data in"
                f" {config.data.root} is of kind {field_kind}; say kind: {' or '.join(fits)}"
                + (
                    f", or, to translate it as a picture, data.modalities.{name}.kind: continuous"
                    if picture
                    else ""
                )
            )


def tasks_of(config: Config, dataset: AlignedDataset) -> dict[str, Task]:
    """The tasks of a run: its outputs with the classes and channels of its data."""
    tasks = {}
    for name, output in config.model.outputs.items():
        classes = dataset.labels[name].names if KINDS[output.kind].labels else None
        channels = _channels(name, output, dataset.targets[name], classes)
        tasks[name] = Task(output.kind, channels, classes, dataset.ignore_index, output.loss)
    return tasks


def _channels(
    name: str, output: OutputConfig, target: Modality, classes: tuple[str, ...] | None
) -> int:
    """Channels of an output: what the data say, which the configuration may only repeat."""
    channels = target.channels if classes is None else len(classes)
    if output.channels not in (None, channels):
        raise ConfigError(
            f"model.outputs.{name}.channels: {output.channels}, but the data have {channels}"
            f" {'classes' if classes else 'channels'}; leave channels out"
        )
    return channels


def build_network(
    config: Config,
    tasks: Mapping[str, Task],
    feeds: Mapping[str, Any] | None = None,
    *,
    resumed: bool = False,
) -> ChannelExchangeNetwork:
    """Builds the network of a run.

    Args:
        config: the configuration.
        tasks: the tasks of its data, see :func:`tasks_of`.
        feeds: of a cycle network, see :func:`cen.training.generation.cycle_fusion.feeds_of`.
        resumed: its weights come from a checkpoint, so those it once started from are not read.
    """
    arguments = config.model.arguments()
    if resumed:
        arguments.pop("weights", None)
    if config.model.name == "cycle":
        arguments["feeds"] = feeds
    return build(outputs=tasks, exchange=config.model.rule(config.seed), **arguments)


def metadata(dataset: AlignedDataset) -> dict[str, Any]:
    """What a checkpoint says beside the weights, so that it can be used on its own."""
    labels = {name: dataset.labels[name] for name in dataset.targets if name in dataset.labels}
    others = {name: m.to_dict() for name, m in dataset.targets.items() if name not in labels}
    read = with_camera(dataset) or dataset.targets
    resize = dataset.transform.resize if dataset.transform is not None else None
    return {
        "preprocessing": {name: m.to_dict() for name, m in read.items()},
        "classes": {name: list(classes.names) for name, classes in labels.items()},
        "palette": {name: classes.palette.tolist() for name, classes in labels.items()},
        **({"targets": others} if others else {}),
        "conventions": dict(CONVENTIONS),
        **({"resize": list(resize)} if resize else {}),
    }


def check_normals(stored: Mapping[str, Any], dataset: AlignedDataset) -> None:
    """Refuses data whose normals are read with another sign than a network was trained with."""
    for name in () if dataset.rendered else normals_in_doubt(stored):
        read = {**dataset.targets, **dataset.modalities}.get(name)
        if read is not None and read.axes != REVERSED_AXES:
            raise ConfigError(
                f"data.modalities.{name}.axes: the network was trained when z of Taskonomy's "
                f"normals was read with the wrong sign; say --data.modalities.{name}.axes "
                f"'{REVERSED_AXES}' to read them as it did (for its own figures), or train anew"
            )


def _given(config: ModalityConfig | None) -> dict[str, Any]:
    """The keys of a modality that the user gave."""
    if config is None:
        return {}
    settings = vars(config).items()
    return {key: value for key, value in settings if value is not None and key != "augment"}
