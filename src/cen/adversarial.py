"""Losses of adversarial training: of a discriminator, and of a generator against it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.arguments import choice
from cen.errors import DataError, ShapeError
from cen.tasks.pairs import check_numbers

Adversarial = Literal["bce", "least_squares"]


def adversarial_loss(logits: Tensor, real: bool, form: Adversarial = "bce") -> Tensor:
    """How far a discriminator's judgement is from "real" or from "generated".

    Args:
        logits: judgements of any shape, not yet probabilities; floating point.
        real: what they shall say.
        form: ``"bce"``: binary cross-entropy (released code); ``"least_squares"``: squared distance
            to 1 or 0 (Mao et al., ICCV 2017; Isola et al. offer both).

    Returns:
        Scalar, the mean over judgements, in float32.

    Raises:
        ConfigError: another ``form``, or ``real`` is no bool.
        DataError: no floating point tensor, or one without judgements.
    """
    choice("form", form, get_args(Adversarial))
    choice("real", real, (True, False))
    check_numbers(logits, "a discriminator's judgement")
    if not logits.numel():
        raise DataError(f"a discriminator's judgement {tuple(logits.shape)} is empty")
    target = torch.full_like(logits, float(real), dtype=torch.float32)
    if form == "bce":
        return F.binary_cross_entropy_with_logits(logits.float(), target)
    return F.mse_loss(logits.float(), target)


def shown_to_discriminator(image: Tensor, channels: int) -> Tensor:
    """An input image with as many channels as the discriminator expects.

    One channel is repeated, as it is for the generator; other images begin again with their first
    channel where they have too few.

    Args:
        image: (B, C, H, W).
        channels: number wanted, at least C.

    Raises:
        ShapeError: no images, or more channels than wanted.
        DataError: no floating point tensor.
    """
    check_numbers(image, "an image for a discriminator", "B, C, H, W")
    if not 1 <= image.shape[1] <= channels:
        raise ShapeError(
            f"a discriminator of {channels} channels cannot be shown {tuple(image.shape)} whole"
        )
    if image.shape[1] == channels:
        return image
    repeats = -(-channels // image.shape[1])
    return image.repeat(1, repeats, 1, 1)[:, :channels]
