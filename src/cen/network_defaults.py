"""What a network takes where it is not told, by the name of its decoder. Imports no torch.

The builders read it, and so do the pages that say what a run was: each value stands here alone.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class NetworkDefaults(NamedTuple):
    """Values that the source of a network gives.

    Attributes:
        threshold: θ of the exchange: 2e-2 for segmentation, 1e-2 for translation (paper).
        dropout: Probability of the decoder's dropout.
        channels: Channels of the decoder; None where they follow from the encoder's.
        norm: Norms of the decoder with one output; with several there always are.
    """

    threshold: float
    dropout: float
    channels: int | None
    norm: Literal["none", "batch"] | None


DEFAULTS = {
    # As released.
    "refinenet": NetworkDefaults(2e-2, 0.5, 256, "none"),
    # As in the paper of PSPNet.
    "pspnet": NetworkDefaults(2e-2, 0.1, 512, "batch"),
    # As released.
    "unet": NetworkDefaults(1e-2, 0.5, None, None),
    "cycle": NetworkDefaults(1e-2, 0.5, None, None),
}
"""By the name of the decoder, a key of `cen.models.builders`."""
