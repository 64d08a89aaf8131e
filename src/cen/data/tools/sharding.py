"""Writes any data set as shards, for `cen.data.readers.shards` and for WebDataset's own tools."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from cen.conventions import CONVENTIONS
from cen.data.fields.label_field import stored_numbers
from cen.data.fields.modality import Modality
from cen.data.formats.pictures import write_npy
from cen.data.readers.aligned import AlignedDataset
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.shards import ABOUT, DESCRIPTION, HEADER, INDEX
from cen.data.readers.splitting import SPLITS, Split
from cen.data.tools.parallel import over_samples
from cen.errors import ConfigError, DataError
from cen.files import is_written, write_atomically, write_text

# Files that say all of a picture by themselves; their bytes are taken over as they are.
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
# An offset is kept in 32 bits.
_LARGEST = 2**32 - 1
_LONGEST_KEY = 60
# The description of what is not written to the end.
_PLAN = "shards.plan.yaml"


def write_shards(
    source: DatasetRecipe,
    out: str | Path,
    splits: Sequence[Split] = SPLITS,
    *,
    per_shard: int = 1000,
    workers: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> dict[str, int]:
    """Writes a data set as shards.

    Every shard is written under a temporary name and renamed, and ``shards.yaml`` is written last.
    An interrupted conversion goes on where it was when it is started again in the same folder.
    Sources are only read.

    Args:
        source: the data set; the fields it reads are those that are written.
        out: a folder, new or of the same conversion.
        splits: which splits; those that are empty or absent are left out.
        per_shard: samples in a shard.
        workers: processes; None: as many as pay.
        progress: called with (split, samples done, samples in all).

    Returns:
        Samples by split.

    Raises:
        ConfigError: WebDataset is not installed.
        DataError: a sample cannot be read, the folder holds something else or cannot be written.
    """
    _need_webdataset()
    root = Path(out)
    opened: dict[Split, AlignedDataset] = {}
    problems = []
    for split in splits:
        try:
            opened[split] = source.open(split)
        except DataError as error:
            problems.append(error)
    if not opened:
        raise problems[0]
    about = _description(source, opened, per_shard)
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, default_flow_style=None)

    def same(path: Path) -> bool:
        return path.read_text("utf-8", "replace") == text

    if is_written(root, DESCRIPTION, _PLAN, same, "other shards", DataError):
        raise DataError(f"{root}: these shards are complete; nothing is left to do")
    write_text(root / _PLAN, text, DataError)
    for name, dataset in opened.items():
        task = partial(_write_shard, root, per_shard)
        for part, _ in over_samples(task, dataset, workers=workers, chunk=per_shard):
            if progress is not None:
                progress(name, part.stop, len(dataset))
        _join_indices(root / name, len(dataset), per_shard)
    # A set whose description is there is whole.
    (root / _PLAN).rename(root / DESCRIPTION)
    return {split: len(dataset) for split, dataset in opened.items()}


def _need_webdataset() -> None:
    try:
        import webdataset  # noqa: F401
    except ImportError:
        raise ConfigError(
            "writing shards needs WebDataset; install it with: pip install 'cen[stream]'"
        ) from None


def _description(
    source: DatasetRecipe, opened: Mapping[Split, AlignedDataset], per_shard: int
) -> dict[str, Any]:
    dataset = next(iter(opened.values()))
    read = {**dataset.modalities, **dataset.targets}
    return {
        "source": {"layout": source.layout, "root": source.root},
        "samples_per_shard": per_shard,
        "splits": {split: len(one) for split, one in opened.items()},
        "inputs": list(dataset.modalities),
        "targets": list(dataset.targets),
        "ignore_index": dataset.ignore_index,
        "partial": dataset.partial,
        "own_classes": dataset.own_classes,
        "along_ray": sorted(dataset.along_ray & set(read)),
        "rendered": dataset.rendered,
        "conventions": dict(CONVENTIONS),
        "undeclared": sorted(dataset.undeclared),
        "half_declared": sorted(dataset.half_declared),
        "fields": {
            name: _file_options(dataset.fields[name], modality) for name, modality in read.items()
        },
        "labels": {
            name: {"names": list(classes.names), "palette": classes.palette.tolist()}
            for name, classes in dataset.labels.items()
            if name in read
        },
    }


_READ = (
    *("kind", "channels", "unit", "missing", "bits", "axes"),
    *("bit_rotation", "farthest", "beyond"),
    *("bands", "page", "variable", "exif"),
    *("first", "ignore", "ignore_index", "values"),
)


def _file_options(field: Mapping[str, Any], modality: Modality) -> dict[str, Any]:
    """What the files of a field are, as `Modality.of` takes it."""
    plain = modality.to_dict()
    # How files are read; what is done to the values later is the user's matter, not the data's.
    read = {key: plain[key] for key in _READ}
    if "clip" in modality.field_kind.file_options and modality.clip is not None:
        read["clip"] = plain["clip"]
    return {**{k: v for k, v in field.items() if v is not None}, **read}


def _write_shard(root: Path, per_shard: int, dataset: AlignedDataset, part: range) -> None:
    """One shard and its index. A task for `cen.data.tools.parallel.over_samples`."""
    import webdataset

    shard = root / dataset.split / f"{part.start // per_shard:06d}.tar"
    if shard.is_file() and shard.with_suffix(".npy").is_file():
        return
    fields = [*{**dataset.modalities, **dataset.targets}]
    needed = [*dataset.modalities, ABOUT] if dataset.partial else [*fields, ABOUT]

    def write(temporary: Path) -> None:
        # A time that does not change makes files that do not change, either.
        with (
            temporary.open("wb") as file,
            webdataset.TarWriter(file, encoder=False, mtime=0) as tar,
        ):
            for index in part:
                tar.write(_sample(dataset, index))

    write_atomically(shard, write, DataError)
    index = _index_of(shard, [*fields, ABOUT], needed, len(part))
    write_npy(shard.with_suffix(".npy"), index)


def _sample(dataset: AlignedDataset, index: int) -> dict[str, Any]:
    """The files of one sample by the end of their names."""
    raw = dataset.raw(index)
    files = dataset.files(index)
    name = str(raw["name"])
    # A dot ends a key.
    key = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[-_LONGEST_KEY:]
    sample: dict[str, Any] = {"__key__": f"{index:09d}_{key}"}
    fields = {**dataset.modalities, **dataset.targets}
    for field, modality in fields.items():
        if field not in raw:  # partly annotated data lack some targets
            continue
        suffix, content = _encoded(raw[field], modality, files.get(field))
        sample[f"{field}.{suffix}"] = content
    extra = {k: np.asarray(v).tolist() for k, v in raw.items() if k != "name" and k not in fields}
    about = {"name": name, "group": dataset.group(index), "extra": extra}
    sample[ABOUT] = json.dumps(about, ensure_ascii=False).encode()
    return sample


def _encoded(value: NDArray[Any], modality: Modality, path: Path | None) -> tuple[str, bytes]:
    """A picture as a file from which the same raw values are read, to the last bit."""
    if path is not None and path.suffix.lower() in _PICTURES and _same(modality, path, value):
        return path.suffix.lower()[1:], path.read_bytes()
    stored = _as_png(value, modality)
    if stored is not None:
        ordered = stored[..., ::-1] if stored.ndim == 3 else stored
        _, png = cv2.imencode(".png", np.ascontiguousarray(ordered))
        return "png", png.tobytes()
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(value))
    return "npy", file.getvalue()


def _same(modality: Modality, path: Path, value: NDArray[Any]) -> bool:
    """Whether the file alone gives the picture, without what its reader knows besides."""
    try:
        return np.array_equal(modality.read(path), value, equal_nan=value.dtype.kind == "f")
    except DataError:
        return False


def _as_png(value: NDArray[Any], modality: Modality) -> NDArray[Any] | None:
    """8- or 16-bit values that a PNG holds and that are read as these; None where there are none.

    Depth is often held as whole steps of its unit: then that is what is written.
    """
    if (modality.bands, modality.page, modality.variable) != (None, None, None):
        return None  # which would be looked for in the PNG
    colours = value.ndim == 3 and value.shape[2] == 3
    if modality.field_kind.colours and value.dtype == np.uint8 and (value.ndim == 2 or colours):
        return value
    if modality.field_kind.classes:
        wide = stored_numbers(value, modality)
        if wide is None or wide.min() < 0 or wide.max() >= 2**16:
            return None
        numbers = wide.astype(np.uint8 if wide.max() < 2**8 else np.uint16)
        # Only where the numbers are read as these: one that is no class may not be told from them.
        return numbers if np.array_equal(modality.from_stored(numbers), value) else None
    if not modality.field_kind.metres or not modality.missing:
        return None
    measured = np.isfinite(value)
    steps = np.rint(np.where(measured, value, 0.0).astype(np.float64) / modality.unit_or_one)
    hole = modality.missing[0]
    if not (float(hole).is_integer() and 0 <= hole < 2**16 and steps.min() >= 0):
        return None
    if steps.max() >= 2**16 or np.any(steps[measured] == hole):
        return None
    stored = np.where(measured, steps, hole).astype(np.uint16)
    back = modality.from_stored(stored)
    return stored if np.array_equal(back, value, equal_nan=True) else None


def _index_of(
    shard: Path, columns: Sequence[str], needed: Sequence[str], samples: int
) -> NDArray[np.uint32]:
    """(samples, columns, 2): where the content of every file begins, and its size.

    Both are 0 where a sample has no such file, which those ``needed`` must have.
    """
    index = np.zeros((samples, len(columns), 2), dtype=np.uint32)
    place = {name: column for column, name in enumerate(columns)}
    key, row = "", -1
    foreign = f"{shard}: is no shard of this conversion; delete it and start anew"
    try:
        with tarfile.open(shard, "r:") as tar:  # as it is written: nothing is unpacked
            for member in tar:
                start, _, rest = member.name.partition(".")
                if start != key:
                    key, row = start, row + 1
                if member.offset_data + member.size > _LARGEST:
                    raise DataError(
                        f"{shard}: is larger than 4 GiB; put fewer samples into a shard"
                    )
                column = place[rest.partition(".")[0]]
                if not member.isreg() or index[row, column].any():
                    raise DataError(foreign)
                index[row, column] = member.offset_data, member.size
    except (tarfile.TarError, KeyError, IndexError) as error:
        raise DataError(foreign) from error
    starts = index[:, [place[name] for name in needed], 0]
    if row + 1 != samples or (starts < HEADER).any():
        raise DataError(f"{shard}: does not hold {samples} whole samples; delete it and start anew")
    return index


def _join_indices(folder: Path, samples: int, per_shard: int) -> None:
    """One index of a split in place of one per shard."""
    parts = [folder / f"{first // per_shard:06d}.npy" for first in range(0, samples, per_shard)]
    if (folder / INDEX).is_file() and not any(part.is_file() for part in parts):
        return
    index = np.concatenate([np.load(part, allow_pickle=False) for part in parts])
    write_npy(folder / INDEX, index)
    for part in parts:
        part.unlink()
