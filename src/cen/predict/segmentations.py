"""The segmentations of a network: which one is meant, and what its classes are called."""

from __future__ import annotations

from cen.errors import ConfigError
from cen.models import ChannelExchangeNetwork
from cen.report.colours import Image, as_palette


def segmentation_of(net: ChannelExchangeNetwork, output: str | None) -> str | None:
    """The segmentation that is asked for, or else the only one; None where it is not clear.

    Raises:
        ConfigError: what is asked for is none.
    """
    segmentations = [name for name, task in net.outputs.items() if task.rules.labels]
    if output is None:
        return segmentations[0] if len(segmentations) == 1 else None
    if output in segmentations:
        return output
    names = ", ".join(segmentations) or "none"
    raise ConfigError(
        f"the segmentation outputs of this network are: {names}; {output!r} is not among them"
    )


def classes_of(net: ChannelExchangeNetwork, output: str) -> tuple[tuple[str, ...], Image]:
    """Names and colours of the classes, as saved with the network."""
    count = net.outputs[output].channels
    names = net.outputs[output].classes or (net.metadata.get("classes") or {}).get(output) or ()
    if len(names) != count:
        names = [f"class {i}" for i in range(count)]
    colours = (net.metadata.get("palette") or {}).get(output)
    return tuple(str(name) for name in names), as_palette(colours, count)
