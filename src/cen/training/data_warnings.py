"""What is probably wrong with the data of a run, told before the first step."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

from cen.config import Config
from cen.data import AlignedDataset
from cen.data.tools.depth_units import depth_doubts
from cen.data.tools.label_facts import label_doubts
from cen.data.tools.normal_facts import normal_doubts
from cen.data.tools.training_range import crop_doubt
from cen.data.tools.value_ranges import value_doubts
from cen.errors import CenWarning
from cen.fetching import is_url


def warn_of_data(config: Config, run_dir: str | Path, train: AlignedDataset) -> None:
    """Warns of labels, values, units, axes and crops that are probably wrong, by some samples."""
    check = check_command(config, run_dir)
    for doubts in (label_doubts, value_doubts, depth_doubts, normal_doubts):
        for text in doubts(train):
            sentence = text if text.endswith("?") else f"{text}."
            said = f"{sentence} Every file is read by: {check}"
            warnings.warn(said, CenWarning, stacklevel=2)
    if larger := crop_doubt(train):
        warnings.warn(larger, CenWarning, stacklevel=2)


def check_command(config: Config, run_dir: str | Path) -> str:
    """The command that reads every file of the data as a run reads them, to copy into a shell."""
    words = ["cen", "data", str(Path(run_dir) / "config.yaml"), "check"]
    # What is fetched is never named by a file alone.
    return shlex.join([*words, config.data.root] if is_url(config.data.root) else words)
