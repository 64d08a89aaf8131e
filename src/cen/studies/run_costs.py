"""What a network costs: parameters and multiply-adds, counted once and kept in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cen.studies.run_store import read_json, write_json


def costs_of(run: Path, root: str | Path) -> dict[str, Any]:
    """Parameters and multiply-adds of the network of a run.

    Counted by :func:`cen.models.costs.costs`, at the size that training sees.

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
    from cen.config import Config  # only here: torch is slow to import
    from cen.models import load
    from cen.models.costs import costs
    from cen.training.setup import open_dataset

    config = Config.load(run / "config.yaml", {"data.root": str(root)}, of_run=True)
    net = load(run)
    height, width = open_dataset(config, "train")[0][next(iter(net.inputs))].shape[-2:]
    found = costs(net, (height, width))
    return {
        "parameters": found.parameters,
        "macs": found.multiply_adds,
        "size": [height, width],
    }
