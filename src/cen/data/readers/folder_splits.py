"""Which samples of a folder of own files belong to a split: by list, by share or by folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cen.data.formats.text_lists import composed, forward, leaves
from cen.data.readers.folder_yaml import Description
from cen.data.readers.patterns import natural
from cen.data.readers.split_lists import listed_splits
from cen.data.readers.splitting import SPLITS, Split, cut_validation, hashed_split
from cen.errors import ConfigError, DataError, did_you_mean

TEST_SHARE = 0.2
"""Share of the samples that is the test split where nothing says so."""

Places = dict[str, str]
"""The samples of a split in order, with list and line of those that a list names."""

# What the folder of a split is called where the YAML does not say it.
_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}


def check_splits(description: Description) -> None:
    """Refuses splits that do not exist and values that are neither list, folder nor share."""
    by_folder = any(pattern.by_split for pattern in description.patterns.values())
    for name, value in description.config.splits.items():
        at = description.at(f"splits.{name}")
        if name not in SPLITS:
            meant = next((split for split, also in _FOLDERS.items() if name in also), name)
            hint = did_you_mean(meant, SPLITS)
            raise ConfigError(f"{at}: no split{hint}; there are {', '.join(SPLITS)}")
        if isinstance(value, str):
            if (
                not value
                or ".." in Path(forward(value)).parts
                or (by_folder and Path(value).is_absolute())
            ):
                raise ConfigError(f"{at}: {value!r} leaves the folder of the data")
        elif by_folder:
            raise ConfigError(
                f"{at}: {value!r}; the patterns have {{split}}, so give the name of a folder"
            )
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{at}: {value!r}; give a list file or a share such as 0.2")
        elif name == "train":
            raise ConfigError(f"{at}: training gets what is left; give shares of test, validation")
        elif isinstance(description.config.splits.get("train"), str) and name == "test":
            raise ConfigError(
                f"{at}: a share of what? Training has a list, so give a list here too"
            )


def split_folder(description: Description, split: Split) -> str | None:
    """The folder that {split} stands for; None where the split has none."""
    declared_folder = description.config.splits.get(split)
    for name in (declared_folder,) if isinstance(declared_folder, str) else _FOLDERS[split]:
        for pattern in description.patterns.values():
            if pattern.by_split and (description.root / pattern.folder(name)).is_dir():
                return name
    return None


def choose(
    description: Description, split: Split, names: Sequence[str], validation: float
) -> Places:
    """The samples of a split where patterns have no {split}, of all samples, sorted."""
    splits = description.config.splits
    listed = listed_splits(
        {k: description.root / forward(v) for k, v in splits.items() if isinstance(v, str)},
        partial(_name_of, description=description, names=set(names)),
    )
    if split == "test" and splits and "test" not in splits:
        raise ConfigError(
            f"{description.at('splits')}: says nothing of test; give a list or a share"
        )
    shares = {k: float(v) for k, v in splits.items() if not isinstance(v, str)}
    if "validation" in listed:
        validation = 0.0
    validation = shares.get("validation", validation)
    if split in listed and (split != "train" or validation == 0.0):
        return listed[split]
    if "train" in listed:
        pool, places = sorted(listed["train"], key=natural), listed["train"]
        assert split != "test"
        part = cut_validation(
            groups(description, pool), validation, split, f"{description.root / splits['train']}"
        )
        kept = {pool[index] for index in part}
        return {name: place for name, place in places.items() if name in kept}
    # The other frames of a listed scene are left out: they would show it to the other splits.
    listed_groups = set(groups(description, [name for rows in listed.values() for name in rows]))
    owners = zip(names, groups(description, names), strict=True)
    pool = [name for name, group in owners if group not in listed_groups]
    test = shares.get("test", 0.0 if splits else TEST_SHARE)
    where = str(description.path)
    part = hashed_split(
        groups(description, pool), split, validation=validation, test=test, where=where
    )
    return dict.fromkeys([pool[index] for index in part], "")


def groups(description: Description, names: Sequence[str]) -> list[str]:
    """What each sample belongs to: what the expression ``group`` finds in its name, else itself."""
    if description.config.group is None:
        return list(names)
    try:
        expression = re.compile(description.config.group)
    except re.error as error:
        raise ConfigError(
            f"{description.at('group')}: is no regular expression ({error})"
        ) from None
    group_names = []
    for name in names:
        match = expression.search(name)
        if match is None:
            raise DataError(f"{description.at('group')}: does not match the sample {name!r}")
        group_names.append(match[1] if expression.groups else match[0])
    return group_names


def _name_of(text: str, description: Description, names: set[str]) -> str:
    """The sample that a line names, by its name or as the path of one of its files."""
    for name in (composed(text), forward(composed(text)).removeprefix("./")):
        if name in names:
            return name
    for pattern in description.patterns.values():
        if (sample := pattern.name_of(name)) in names:
            return sample
    raise DataError(_no_sample(description, name, names))


def _no_sample(description: Description, text: str, names: set[str]) -> str:
    if leaves(text):
        return f"{text!r} leaves {description.root}; a line is the name of a sample"
    # Comparing with a million names would take minutes.
    hint = did_you_mean(text, names) if len(names) < 10_000 else ""
    return (
        f"there is no sample {text!r}{hint}; a line is what {{id}} stands for in the patterns, "
        f"such as {min(names)!r}"
    )
