"""What is probably wrong with the data of a run, told before the first step."""

from __future__ import annotations

import shlex
from pathlib import Path

from cen.config import Config
from cen.data import AlignedDataset
from cen.data.tools.depth_units import warn_of_depth
from cen.data.tools.label_facts import warn_of_labels
from cen.data.tools.normal_facts import warn_of_normals
from cen.data.tools.training_range import warn_of_crop
from cen.data.tools.value_ranges import warn_of_values
from cen.fetching import is_url


def warn_of_data(config: Config, run_dir: str | Path, train: AlignedDataset) -> None:
    """Warns of labels, values, units, axes and crops that are probably wrong, by some samples.

    Args:
        config: the configuration of the run.
        run_dir: its folder, where the configuration is written next.
        train: the training split with its transform.
    """
    check = check_command(config, run_dir)
    warn_of_labels(train, check)
    warn_of_values(train, check)
    warn_of_depth(train, check)
    warn_of_normals(train, check)
    warn_of_crop(train)


def check_command(config: Config, run_dir: str | Path) -> str:
    """The command that reads every file of the data as a run reads them, to copy into a shell."""
    words = ["cen", "data", str(Path(run_dir) / "config.yaml"), "check"]
    # What is fetched is never named by a file alone.
    return shlex.join([*words, config.data.root] if is_url(config.data.root) else words)
