"""Carrying a network's weights over to other inputs, outputs or classes."""

from __future__ import annotations

from collections.abc import Mapping

from cen.errors import ConfigError, described
from cen.models.network import ChannelExchangeNetwork
from cen.tasks import Task


def finetune(
    net: ChannelExchangeNetwork,
    *,
    inputs: Mapping[str, int] | None = None,
    outputs: Mapping[str, int | Task] | None = None,
) -> ChannelExchangeNetwork:
    """Build a network for other inputs, classes or tasks that keeps every weight that fits.

    This project's extension. Kept are: all shared convolutions; the norms (scales, shifts,
    statistics) and private convolutions of every stream and output that stays; the classifier and
    the ensemble's scalars of an output whose name, kind and number of channels stay. A new input
    starts from the norms of the first old one; as a decoder stream, from that of the same input,
    else of the same output, else from the first. A private stem whose number of channels changes
    is adapted by the rule of `adapt_channels`. A new or changed classifier starts afresh. Options
    (widths, exchange rule, ...) stay as they are, and so does the order of the inputs that stay,
    by which exchanging channels are dealt out.

    Args:
        net: the network to start from; it is not changed.
        inputs: channels of each input of the new network; None for those of ``net``.
        outputs: classes or `Task` of each output of the new network; None for those of ``net``.

    Returns:
        A new network, on the device and with the dtype and training mode of ``net``.

    Raises:
        ConfigError: if an input or output cannot be built.
        StreamError: if a name cannot be used.
    """
    if not isinstance(net, ChannelExchangeNetwork):
        raise ConfigError(
            f"finetune takes a network that cen.build or cen.load gave, not {described(net)}"
        )
    if inputs is not None:
        staying = {name: inputs[name] for name in net.inputs if name in inputs}
        inputs = {**staying, **inputs}
    return net.adapt(inputs=inputs, outputs=outputs)
