"""Losses of adversarial training: their values, and what they refuse."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cen.adversarial import adversarial_loss, shown_to_discriminator
from cen.errors import ConfigError, DataError, ShapeError

JUDGED = torch.tensor([[0.5, -2.0]])


def test_values() -> None:
    assert adversarial_loss(JUDGED, True).item() == pytest.approx(
        (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(2.0))) / 2
    )
    assert adversarial_loss(JUDGED, False, "least_squares").item() == pytest.approx(4.25 / 2)
    half = adversarial_loss(JUDGED.half(), True)
    assert half.dtype == torch.float32
    assert half.item() == F.softplus(-JUDGED).mean().item()


@pytest.mark.parametrize(
    ("logits", "options", "error", "words"),
    [
        (JUDGED.long(), {}, DataError, "int64"),
        (JUDGED > 0, {}, DataError, "bool"),
        (JUDGED.cfloat(), {}, DataError, "complex"),
        (JUDGED[:0], {}, DataError, "empty"),
        (np.ones(3), {}, DataError, "ndarray"),
        (JUDGED, {"form": "bcee"}, ConfigError, "'bce' or 'least_squares'"),
        (JUDGED, {"real": "fake"}, ConfigError, "True or False"),
    ],
)
def test_what_is_no_judgement_is_refused(logits, options, error, words) -> None:
    with pytest.raises(error, match=words):
        adversarial_loss(logits, **{"real": True, **options})


def test_images_are_shown_whole() -> None:
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(shown_to_discriminator(image, 5), torch.cat([image, image[:, :2]], 1))
    for bad, channels in ((image, 2), (image[0], 6), (image[:, :0], 3)):
        with pytest.raises(ShapeError):
            shown_to_discriminator(bad, channels)
    with pytest.raises(DataError, match="floating point"):
        shown_to_discriminator(image.byte(), 3)
