"""Losses of adversarial training: of a discriminator, and of a generator against it."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Adversarial = Literal["bce", "least_squares"]


def adversarial_loss(logits: Tensor, real: bool, kind: Adversarial = "bce") -> Tensor:
    """How far a discriminator's judgement is from "real" or from "generated".

    Args:
        logits: judgements of any shape, not yet probabilities.
        real: what they shall say.
        kind: ``"bce"``: binary cross-entropy (released code); ``"least_squares"``: squared distance
            to 1 or 0 (Mao et al., ICCV 2017; Isola et al. offer both).

    Returns:
        Scalar, the mean over judgements, in float32.
    """
    wanted = torch.full_like(logits, float(real), dtype=torch.float32)
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits.float(), wanted)
    return F.mse_loss(logits.float(), wanted)


def shown_to_discriminator(image: Tensor, channels: int) -> Tensor:
    """An input image with as many channels as the discriminator expects.

    One channel is repeated, as it is for the generator; other images begin again with their first
    channel where they have too few.

    Args:
        image: (B, C, H, W).
        channels: number wanted, at least C.
    """
    if image.shape[1] == channels:
        return image
    repeats = -(-channels // image.shape[1])
    return image.repeat(1, repeats, 1, 1)[:, :channels]
