"""What a notebook shows of a network."""

from __future__ import annotations

from typing import Any

from cen import notebook
from cen.exchange import exchange_layers, exchange_rate


def described_in_html(net: Any) -> str:
    """What goes into a `ChannelExchangeNetwork` and out of it, and how much it exchanges."""
    rows = [(f"input {name}", f"{count} channels") for name, count in net.inputs.items()]
    rows += [
        (f"output {name}", f"{task.kind}, {task.channels} channels")
        for name, task in net.outputs.items()
    ]
    parts = (net.config.get("name"), net.config.get("encoder") or net.config.get("network"))
    count = sum(parameter.numel() for parameter in net.parameters())
    rows += [("parameters", f"{count / 1e6:.2f} million")]
    if exchange_layers(net):
        rows += [("own channels exchanged", f"{float(exchange_rate(net)):.1%}")]
    return notebook.table(", ".join(str(part) for part in parts if part), rows)
