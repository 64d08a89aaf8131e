"""What a network costs: parameters and multiply-adds, counted once and kept in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cen.studies.store import read_json, write_json


def costs_of(run: Path, root: str | Path) -> dict[str, Any]:
    """Parameters and multiply-adds of the network of a run.

    Multiply-adds are those of the convolutions and matrix products of one sample's forward pass
    with all modalities, at the size that training sees, as torch's own counter gives them
    (two operations each).

    Args:
        run: The run folder; the figures are kept in its study.json.
        root: Where its data lie now.

    Returns:
        ``parameters``, ``macs`` and ``size`` (height and width of a sample).
    """
    facts = read_json(run / "study.json")
    if "costs" not in facts:
        facts["costs"] = _count(run, root)
        write_json(run / "study.json", facts)
    return dict(facts["costs"])


def _count(run: Path, root: str | Path) -> dict[str, Any]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from cen.config import Config
    from cen.models import load
    from cen.training.setup import open_dataset

    config = Config.load(run / "config.yaml", {"data.root": str(root)})
    net = load(run).eval()
    sample = open_dataset(config, "train")[0]
    batch = {name: sample[name].unsqueeze(0) for name in net.inputs}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(batch)
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "macs": counter.get_total_flops() // 2,
        "size": list(next(iter(batch.values())).shape[-2:]),
    }
