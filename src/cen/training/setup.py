"""From a configuration to the objects of a run: data sets, network, schedule, metadata."""

from __future__ import annotations

from typing import Any, Literal

from cen.config import Config, ModalityConfig
from cen.data import AlignedDataset, eval_transform, open_layout, train_transform
from cen.exchange import ExchangeRule
from cen.models import ChannelExchangeNetwork, Task, build
from cen.optim import Schedule, Stage

OUTPUT = "segmentation"


def open_dataset(config: Config, split: Literal["train", "validation", "test"]) -> AlignedDataset:
    """Opens one split of the data of a run, with the transforms that belong to it.

    Args:
        config: the configuration; only modalities that the network takes are read.
        split: "train" gets the random transforms; "validation" and "test" get whole images.

    Raises:
        DataError: a file or list of the data set cannot be used.
        ConfigError: a modality or a transform is impossible.
    """
    data, how = config.data, config.data.transforms
    dataset = open_layout(
        data.layout,
        data.root,
        split,
        inputs={
            name: {**_given(data.modalities.get(name)), "channels": channels}
            for name, channels in config.model.inputs.items()
        },
        outputs={OUTPUT: _given(data.modalities.get(OUTPUT))},
        options=data.options,
        classes=data.classes,
        validation=data.validation,
        ignore_index=data.ignore_index,
        seed=config.seed,
    )
    if split == "train":
        dataset.transform = train_transform(
            dataset.modalities,
            shorter_side=how.shorter_side,
            scale=how.scale,
            flip=how.flip,
            crop=how.crop,
            ignore_index=data.ignore_index,
        )
    else:
        dataset.transform = eval_transform(dataset.modalities, ignore_index=data.ignore_index)
    return dataset


def build_network(config: Config, classes: tuple[str, ...]) -> ChannelExchangeNetwork:
    """Builds the network of a run for the classes of its data."""
    model = config.model
    rule = ExchangeRule(
        threshold=model.threshold,
        scope=model.scope,
        penalty=model.penalty,
        enabled=model.exchange,
    )
    task = Task("segmentation", len(classes), classes, config.data.ignore_index)
    return build(
        model.name,
        encoder=model.encoder,
        inputs=model.inputs,
        outputs={OUTPUT: task},
        width=model.width,
        decoder_channels=model.decoder_channels,
        decoder_norm=model.decoder_norm,
        decoder_exchange=model.decoder_exchange,
        exchange=rule,
        norm=model.norm,
        convolution=model.convolution,
        dropout=model.dropout,
        weights=model.weights,
    )


def make_schedule(config: Config) -> Schedule:
    """The learning rates of a run."""
    train = config.train
    return Schedule(
        kind=train.schedule,
        steps=train.max_steps,
        encoder_lr=train.encoder_lr,
        decoder_lr=train.decoder_lr,
        warmup=train.warmup,
        stages=tuple(Stage(s.steps, s.encoder_lr, s.decoder_lr) for s in train.stages),
    )


def metadata(dataset: AlignedDataset) -> dict[str, Any]:
    """What a checkpoint says beside the weights, so that it can be used on its own."""
    return {
        "preprocessing": {name: m.to_dict() for name, m in dataset.modalities.items()},
        "classes": {OUTPUT: list(dataset.classes)},
        "palette": {OUTPUT: dataset.palette.tolist()},
    }


def _given(config: ModalityConfig | None) -> dict[str, Any]:
    """The keys of a modality that the user gave."""
    if config is None:
        return {}
    return {key: value for key, value in vars(config).items() if value is not None}
