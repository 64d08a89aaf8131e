"""What commands start from: the folder of a run, and a configuration by its file or its name."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from cen.cli import printing, words
from cen.errors import CenWarning, ConfigError, nearest, shown
from cen.fetching import is_url
from cen.files import NETWORKS, SHARED_NETWORK, is_locked, path_problem, remove_unfinished

if TYPE_CHECKING:  # the help of commands waits for no library that reads configurations
    from cen.config import Config
    from cen.data.readers.aligned import AlignedDataset
    from cen.data.readers.splitting import Split


def run_folder(run: Path) -> Path:
    """A folder that holds a run."""
    if run.is_file():
        raise ConfigError(f"{run}: is a file, not the folder of a run that cen train has made")
    if not run.is_dir():
        raise ConfigError(f"{run}: no such run folder; cen train CONFIG --out {run} makes one")
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"{run}: holds no config.yaml, so it is no run folder of cen train")
    remove_unfinished(run)
    return run


def trained_run(run: Path) -> Path:
    """A run folder with a network in it."""
    from cen.runfiles import way_on

    run_folder(run)
    if any((run / name).is_file() for name in NETWORKS):
        _warn_of_training(run, "what follows is of the network that it has saved last")
        return run
    if _training_step(run) is not None:
        raise ConfigError(
            f"{run}: is still training and has saved no network yet; wait for its first checkpoint "
            "(train.checkpoint_every, train.validate_every)"
        )
    raise ConfigError(
        f"{run}: holds no network, as the run ended before its first checkpoint; go on with: "
        f"{way_on(run)}"
    )


def begun_run(run: Path) -> Path:
    """A run folder as far as it has got."""
    from cen.report.runfolder import TRACES
    from cen.runfiles import way_on

    run_folder(run)
    if not any((run / name).exists() for name in TRACES):
        raise ConfigError(
            f"{run}: holds a configuration and nothing of a run yet, so there is nothing to show; "
            f"train it with: {way_on(run)}"
        )
    _warn_of_training(run, "what follows shows it as far as it has got")
    return run


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declares the argument RUN of a command that needs nothing but a network."""
    parser.add_argument(
        "run_folder",
        metavar="RUN",
        type=words.network,
        help="folder of a run, a .safetensors file, or hf://owner/name",
    )


def network_source(path: Path | str) -> Path:
    """A ``.safetensors`` file or the folder of a run, from which a network is loaded.

    What ``hf://`` names is fetched first.
    """
    if isinstance(path, str):
        from cen.models import hub

        return hub.fetched(path)
    if path.is_file() or (path / SHARED_NETWORK).is_file():
        return path
    if path.suffix == ".safetensors":
        raise ConfigError(f"{path}: no such file")
    return trained_run(path)


def _warn_of_training(run: Path, what: str) -> None:
    """Says of a run that still trains how far it is."""
    if (step := _training_step(run)) is not None:
        warnings.warn(f"{run}: is still training (step {step}); {what}", CenWarning, stacklevel=3)


def _training_step(run: Path) -> int | None:
    """The step that a run has reached which a process trains at present; None for others."""
    from cen.report.runfolder import read_run

    files = read_run(run, panels=False)
    # A run that was killed says so, too, but nobody holds its lock.
    if files.info.get("status") == "running" and is_locked(run / ".lock"):
        return files.last_step or 0
    return None


def config_of(run: Path, overrides: Mapping[str, str], *, resumed: bool = False) -> Config:
    """The configuration of a run, moved to another place or machine; or gone on with for longer."""
    from cen.config import EXTENDABLE, MOVABLE, Config

    free = (*MOVABLE, *EXTENDABLE) if resumed else MOVABLE
    for key in overrides:
        if key not in free:
            started = f"; cen train --from {run} starts another one from its network"
            raise ConfigError(
                f"--{key}: a run keeps what it was configured with, but for {', '.join(free)}"
                f"{started if resumed else ''}"
            )
    return Config.load(run / "config.yaml", overrides, of_run=True)


def shipped() -> dict[str, Path]:
    """The shipped configurations: name to file."""
    folder = Path(str(resources.files("cen") / "configs"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def shipped_one(name: str) -> Path:
    """One shipped configuration."""
    files = shipped()
    if name not in files:
        raise ConfigError(f"{name}: no file and no shipped configuration{nearest(name, files)}")
    return files[name]


def list_shipped(args: argparse.Namespace, key: str, what: str, files: Mapping[str, Path]) -> int:
    """Prints shipped files with the first lines of the comments that they begin with."""
    summaries = {
        name: file.read_text("utf-8").partition("\n")[0].lstrip("# ").rstrip(".")
        for name, file in files.items()
    }
    printing.emit(args, {key: summaries}, printing.table(("name", what), summaries.items()))
    return 0


def load_config(name: str, overrides: Mapping[str, str]) -> Config:
    """Loads a configuration file, or a shipped one by name, with overrides."""
    from cen.config import Config

    if Path(name).is_dir():
        raise ConfigError(
            f"{name}: is a folder; give a YAML file, or a name that cen configs ls prints"
        )
    if Path(name).is_file():
        return Config.load(name, overrides)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        raise ConfigError(f"{name}: no such file; cen configs cp NAME {name} makes one")
    return Config.load(shipped_one(name), overrides)


def need_data(config: Config) -> None:
    """Refuses a configuration whose data folder is not there, saying how to make it."""
    root = Path(config.data.root)
    # A container is a file, Rooms rendered while it is read needs neither, and what is elsewhere
    # is for its reader to find.
    if is_url(config.data.root) or config.data.layout == "rooms":
        return
    if problem := path_problem(config.data.root):
        raise ConfigError(f"data.root {shown(config.data.root)}: {problem}")
    if not root.exists():
        raise ConfigError(
            f"data.root: there is no folder {root}; give --data.root FOLDER of your data, "
            f"or make one with: cen data rooms {root}"
        )


def dataset_of(source: Path, split: Split, overrides: Mapping[str, str]) -> AlignedDataset:
    """A split of the data that the run of a network was configured for."""
    from cen.runfiles import folder_of
    from cen.training.setup import open_dataset

    config = config_of(run_folder(folder_of(source)), overrides)
    need_data(config)
    return open_dataset(config, split)
