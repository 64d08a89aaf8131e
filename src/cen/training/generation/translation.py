"""Image translation: a generator of streams trained against a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cen.adversarial import Adversarial, adversarial_loss, shown_to_discriminator
from cen.errors import ConfigError
from cen.models import ChannelExchangeNetwork, Output, PatchGAN
from cen.models.stems import tile
from cen.optim import build_optimizer, param_groups
from cen.options.training_options import TrainConfig
from cen.training.batch_fields import Batch, inputs_of, label_size, targets_of
from cen.training.module import DensePrediction
from cen.weighting import FixedWeighting


class Pairs(NamedTuple):
    """What a discriminator sees of a step, stream by stream, (S·B, ·, H, W) each.

    Attributes:
        source: input images.
        generated: images of the generator.
        truth: true images.
        streams: S, number of generated images per sample.
    """

    source: Tensor
    generated: Tensor
    truth: Tensor
    streams: int


class Translation(DensePrediction):
    """Adversarial training of the image outputs of a network (the released recipe).

    In each step the discriminator of every image output learns to tell real pairs (input, truth)
    from generated ones, then the generator learns from: the discriminator's judgement of every
    stream's image, ``l1`` times the mean absolute error of every stream and the ensemble, and the
    sparsity penalty. The ensemble has no adversarial loss, as released; a network that gives one
    prediction of everything is judged by that, beside all its inputs. Unlike the released code,
    which runs the generator twice per step, both parts of a step look at the same generated images
    (so did pix2pix). Outputs of other kinds have their own losses and no discriminator (this
    project's extension).

    Pixels without truth are shown to the discriminator as 0 in both images.

    Args:
        net: the generator.
        discriminators: one per image output, by name; see :func:`make_discriminators`.
        how: as for `DensePrediction`; ``adversarial`` says the form of the adversarial loss.
        **options: as for `DensePrediction`.

    Raises:
        ConfigError: there is no image output, or a weighting other than fixed.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        discriminators: Mapping[str, PatchGAN],
        how: TrainConfig,
        **options: Any,
    ) -> None:
        super().__init__(net, how, **options)
        self.automatic_optimization = False
        images = net.generated
        if not images or set(discriminators) != set(images):
            raise ConfigError(
                f"train.adversarial needs a discriminator for each output of kind image; the "
                f"outputs of that kind are {', '.join(images) or 'none'}, the discriminators are "
                f"for {', '.join(discriminators) or 'none'}"
            )
        if type(self.weighting) is not FixedWeighting:
            raise ConfigError("train.weighting: adversarial training takes fixed weights only")
        self.discriminators = nn.ModuleDict(dict(discriminators))
        self.adversarial: Adversarial = "bce" if how.adversarial == "none" else how.adversarial

    def configure_optimizers(self) -> Any:
        """The generator's optimiser and, of the same kind, the discriminators'."""
        generator = super().configure_optimizers()
        rates = self.schedule.rates(0)
        groups = param_groups(
            self.discriminators,
            decoder_lr=rates["decoder"],
            weight_decay=self.how.weight_decay,
            norm_decay=self.how.norm_decay,
        )
        return [generator, build_optimizer(groups, self.how.optimizer, momentum=self.how.momentum)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """As in the base class, for the discriminators' learning rates too."""
        super().on_train_batch_start(batch, batch_idx)
        self.schedule.apply(self.trainer.optimizers[1], self.trainer.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """One step of the discriminators, then one of the generator."""
        optimizers: Any = self.optimizers()
        generator, discriminator = optimizers
        # Lightning counts every optimiser's steps; the run's steps are the generator's.
        discriminator._on_before_step = discriminator._on_after_step = _nothing
        targets = targets_of(self.net, batch)
        inputs = inputs_of(self.net, batch, self.present)
        outputs = self.run_net(inputs, size=label_size(self.net, targets))
        pairs = {name: self._pairs(name, inputs, outputs, targets) for name in self.discriminators}
        wrong = torch.stack([self._judge(name, pair) for name, pair in pairs.items()]).sum()
        self.manual_backward(wrong)
        discriminator.step()
        discriminator.zero_grad()

        # The generator's loss needs no gradients of the discriminators' weights.
        self.discriminators.requires_grad_(False)
        deceived = {name: self._deceive(name, pair) for name, pair in pairs.items()}
        loss = self._total(outputs, targets, partial(self._amend, deceived))
        self.manual_backward(loss)
        self.discriminators.requires_grad_(True)
        self._update(generator.step)
        generator.zero_grad()
        self.figures |= {f"train/{n}/adversarial": v.detach() for n, v in deceived.items()}
        self.figures["train/discriminator"] = wrong.detach()

    def _pairs(
        self,
        name: str,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Output],
        targets: Mapping[str, Tensor],
    ) -> Pairs:
        """What the discriminator of an output sees."""
        discriminator: Any = self.discriminators[name]
        target, streams = targets[name], outputs[name].streams
        width = discriminator.channels - target.shape[1]
        if streams:
            seen = [shown_to_discriminator(inputs[stream], width) for stream in streams]
            images = list(streams.values())
        else:
            seen = [torch.cat(self._all_inputs(inputs), 1)]
            images = [outputs[name].ensemble]
        truth = target.repeat(len(images), 1, 1, 1)
        has_truth = torch.isfinite(truth)
        generated = torch.where(has_truth, torch.cat(images), 0)
        return Pairs(torch.cat(seen), generated, torch.where(has_truth, truth, 0), len(images))

    def _all_inputs(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The inputs as a discriminator of them all takes them; an absent one counts as zeros."""
        first = next(iter(inputs.values()))
        return [
            tile(
                inputs[name]
                if name in inputs
                else first.new_zeros(len(first), channels, *first.shape[2:])
            )
            for name, channels in self.net.inputs.items()
        ]

    def _judge(self, name: str, pair: Pairs) -> Tensor:
        """A discriminator's own loss: half of each error, summed over the streams."""
        source, images, truth, streams = pair
        logits = self.discriminators[name](
            torch.cat([source, source]), torch.cat([truth, images.detach()])
        )
        real, generated = logits.chunk(2)
        errors = adversarial_loss(real, True, self.adversarial)
        errors = errors + adversarial_loss(generated, False, self.adversarial)
        return 0.5 * streams * errors

    def _deceive(self, name: str, pair: Pairs) -> Tensor:
        """The generator's adversarial loss, summed over the streams."""
        logits = self.discriminators[name](pair.source, pair.generated)
        return pair.streams * adversarial_loss(logits, True, self.adversarial)

    def _amend(self, deceived: Mapping[str, Tensor], parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of the outputs as the generator learns from them."""
        images = {name: self.how.l1 * parts[name] + loss for name, loss in deceived.items()}
        return {**parts, **images}


def _nothing() -> None:
    """In place of Lightning's counting."""
