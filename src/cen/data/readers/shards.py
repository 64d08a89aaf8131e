"""Shards: a data set as a few large files that are read by ranges, from a disk or over a network.

A shard is an ordinary tar file as WebDataset writes it; ``index.npy`` says where in it every
picture is. So any sample is one look into the index and one read of a range, and the order of
samples stays that of `cen.data.sampling.StepBatches`: shuffled over the whole data set, dealt out
to processes and workers, and resumable at any step. A reader that runs through tar files from front
to back, as WebDataset's own does, can only shuffle within a buffer and cannot be resumed exactly.
"""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.conventions import normals_in_doubt
from cen.data.fields.modality import Modality
from cen.data.formats.containers import read_npy
from cen.data.formats.file_bytes import InMemoryFile
from cen.data.formats.headers import BYTE_LIMIT
from cen.data.readers.aligned import AlignedDataset
from cen.data.readers.dataset_yaml import Classes
from cen.data.readers.shard_storage import Store
from cen.data.sampling import Key, split_key
from cen.data.transforms import Sample
from cen.documents import parse_json, parse_yaml
from cen.errors import CenWarning, DataError

DESCRIPTION, INDEX, ABOUT = "shards.yaml", "index.npy", "json"
HEADER = 512
"""Bytes of a tar header, which stands before the content of a file."""

Member = tuple[int, str]


class Shards(AlignedDataset):
    """Samples in tar files with an index, as ``cen data NAME convert`` writes them.

    Layout::

        root/shards.yaml             fields, classes, number of samples and of those in a shard
        root/train/index.npy         (N, F + 1, 2) uint32: offset and size of every file in its
                                     shard, in the order of the fields, then of the JSON file;
                                     0 where a partly annotated sample has none
        root/train/000000.tar        KEY.rgb.png, KEY.depth.png, ..., KEY.json
        root/validation, root/test   the same

    The tar files are those of WebDataset, whose tools read them too. Files are the originals where
    their bytes alone say what the picture is, else lossless PNG or NPY, so that a sample is that of
    the source to the last bit. The validation split is the one that was cut when the shards were
    written.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: a folder, or a URL that fsspec opens (``s3://``, ``gs://``, ``https://``, ``hf://``;
            some need a package of their own, such as s3fs).
        modalities, targets: which fields are read; None: those of the data set that was converted.
        classes: must be None, or agree with the classes in shards.yaml.
        validation: plays no part here.
        ignore_index: label value that is no class; None: what shards.yaml says.
        storage: options of fsspec for the root, such as ``{anon: true}``.

    Raises:
        DataError: at once: shards.yaml or an index is missing or damaged, a local shard is missing
            or too short; on reading: a range cannot be read or decoded.
    """

    def open(
        self, classes: int | Sequence[str] | None, *, storage: Mapping[str, Any] | None = None
    ) -> None:
        """Reads shards.yaml; see the class for ``storage``."""
        self.store = Store(self.address, storage or {})
        description = _description(self.store)
        if isinstance(description["splits"], dict) and self.split not in description["splits"]:
            splits = ", ".join(description["splits"])
            raise DataError(
                f"{self.store.path(DESCRIPTION)}: has no split {self.split}, only {splits}"
            )
        self._take(description)
        _warn_of_normals(description, self.store.path(DESCRIPTION))
        _check_classes(classes, self.labels, self.store)
        self._columns = {name: column for column, name in enumerate([*self.fields, ABOUT])}
        self._index: NDArray[np.uint32] | None = None
        self._held: dict[Member, InMemoryFile] = {}

    def _take(self, description: Mapping[str, Any]) -> None:
        """Takes over what shards.yaml says."""
        try:
            self.fields = {name: dict(field) for name, field in description["fields"].items()}
            self.labels = {
                name: Classes(
                    tuple(str(n) for n in classes["names"]),
                    np.array(classes["palette"], dtype=np.uint8).reshape(len(classes["names"]), 3),
                )
                for name, classes in description["labels"].items()
            }
            self.usual_inputs = tuple(description["inputs"])
            self.usual_targets = tuple(description["targets"])
            self.length = int(description["splits"][self.split])
            self.per_shard = int(description["samples_per_shard"])
            self.partial = bool(description.get("partial", False))
            self.along_ray = frozenset(map(str, description.get("along_ray", ())))
            self.rendered = bool(description.get("rendered", False))
            self.own_classes = bool(description.get("own_classes", False))
            if not self.ignore_declared:
                self.ignore_index = int(description.get("ignore_index", 255))
                self.undeclared = frozenset(map(str, description.get("undeclared", ())))
                self.half_declared = frozenset(map(str, description.get("half_declared", ())))
            if min(self.length, self.per_shard) < 1:
                raise ValueError("there must be samples")
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise DataError(
                f"{self.store.path(DESCRIPTION)}: is damaged ({error!r}); convert the source anew"
            ) from error

    def __len__(self) -> int:
        return self.length

    def __getstate__(self) -> dict[str, Any]:
        # A process that reads maps the index itself: half a gigabyte for millions of samples.
        return {**self.__dict__, "_index": None, "_held": {}}

    def __getitems__(self, keys: Sequence[int | Key]) -> list[Sample]:
        """The samples of a batch; what they need is fetched at once, over a network side by side.

        torch's DataLoader calls this where it is defined.
        """
        self._fetch([split_key(key)[1] for key in keys])
        try:
            return [self[key] for key in keys]
        finally:
            self._held.clear()

    def raw(self, index: int) -> Sample:
        """The sample as it was before it was put into a shard."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        alone = (index, ABOUT) not in self._held
        if alone:
            self._fetch([index])
        try:
            return super().raw(index)
        finally:
            if alone:
                self._held.clear()

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Decodes one file of a shard."""
        file = self._member(index, field)
        if file.name.endswith(".npy"):
            # Raw values, as the reader of the source made them.
            return read_npy(file.content, file)
        return modality.read(file)

    def name(self, index: int) -> str:
        """The name of the sample in the source."""
        name: str = self._about(index)["name"]
        return name

    def group(self, index: int) -> str:
        """The room, building or scene in the source."""
        group: str = self._about(index)["group"]
        return group

    def extra(self, index: int) -> dict[str, Any]:
        """What else the source had of the sample, such as intrinsics."""
        extra: dict[str, Any] = self._about(index)["extra"]
        return extra

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets that the sample had in the source."""
        sizes = self._table()[index, :, 1]
        return tuple(name for name in self.targets if sizes[self._columns[name]])

    def place(self, index: int) -> str:
        """The shard and the number of the sample in it."""
        return f"{self.store.path(self._shard(index))}, sample {index % self.per_shard}"

    def files(self, index: int) -> dict[str, Path]:
        """The shard, for every field, where it is on a disk of this machine."""
        if not self.store.local:
            return {}
        path = Path(self.store.path(self._shard(index)))
        return dict.fromkeys(self.fields, path)

    def check_files(self) -> None:
        """Checks the index and, on a disk of this machine, that every shard is whole."""
        table = self._table()
        # Shard by shard: the index of millions of samples is not for copying.
        for first in range(0, self.length if self.store.local else 0, self.per_shard):
            name = self._shard(first)
            part = table[first : first + self.per_shard].astype(np.int64)
            end = int(part.sum(axis=2).max())
            size = self.store.size(name)
            if size < end:
                raise DataError(
                    f"{self.store.path(name)}: has {size} bytes, its index needs {end}; it is cut "
                    "short or belongs to another index"
                )

    def _about(self, index: int) -> dict[str, Any]:
        file = self._member(index, ABOUT)
        about = parse_json(file.content.tobytes(), str(file), nan=True)
        try:
            extra = {
                str(name): np.array(value, dtype=np.float64)
                for name, value in about.get("extra", {}).items()
            }
            return {"name": str(about["name"]), "group": str(about["group"]), "extra": extra}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file}: does not describe a sample ({error!r})") from error

    def _shard(self, index: int) -> str:
        return f"{self.split}/{index // self.per_shard:06d}.tar"

    def _table(self) -> NDArray[np.uint32]:
        """The index, mapped rather than read where it is a file of this machine."""
        if self._index is None:
            name = f"{self.split}/{INDEX}"
            table = self.store.array(name)
            expected = (self.length, len(self._columns), 2)
            if table.shape != expected or table.dtype != np.uint32:
                raise DataError(
                    f"{self.store.path(name)}: has shape {table.shape}, not {expected}; it belongs "
                    "to other shards"
                )
            self._index = table
        return self._index

    def _member(self, index: int, field: str) -> InMemoryFile:
        if (index, field) in self._held:
            return self._held[index, field]
        return next(iter(self._ranges([(index, field)]).values()))

    def _fetch(self, indices: Sequence[int]) -> None:
        """Reads all that some samples need."""
        members = [
            (index, name)
            for index in dict.fromkeys(indices)
            for name in (ABOUT, *self.fields_of(index))
        ]
        self._held = self._ranges(members)

    def _ranges(self, members: Sequence[Member]) -> dict[Member, InMemoryFile]:
        table = self._table()
        places = [table[index, self._columns[field]].tolist() for index, field in members]
        for (index, field), (offset, size) in zip(members, places, strict=True):
            if offset < HEADER:
                raise DataError(f"{self.place(index)}: has no {field}")
            if size > BYTE_LIMIT:
                raise DataError(
                    f"{self.place(index)}: {field} has {size} bytes, the limit is {BYTE_LIMIT}"
                )
        shards = [self._shard(index) for index, _ in members]
        # The tar header is read along: it says what kind of file it is, and that it is the one.
        ranges = [(offset - HEADER, offset + size) for offset, size in places]
        contents = self.store.ranges(shards, ranges)
        return {
            member: _unwrapped(content, member[1], self.store.path(shard))
            for member, content, shard in zip(members, contents, shards, strict=True)
        }


def _description(store: Store) -> dict[str, Any]:
    """shards.yaml."""
    place = store.path(DESCRIPTION)
    description = parse_yaml(store.read(DESCRIPTION), place, DataError).value
    keys = ("fields", "labels", "inputs", "targets", "splits", "samples_per_shard")
    if not isinstance(description, dict) or any(key not in description for key in keys):
        raise DataError(
            f"{place}: does not describe shards; it must have {', '.join(keys)}. "
            f"shards are written by: cen data CONFIG convert --out {store.root}, CONFIG being the "
            "configuration of what they are made of"
        )
    return description


def _warn_of_normals(description: Mapping[str, Any], place: object) -> None:
    """Tells of shards that were made when Taskonomy's normals were read with a wrong z."""
    source = description.get("source")
    taskonomy = isinstance(source, Mapping) and source.get("layout") == "taskonomy"
    fields = {"targets": description["fields"]}
    if not taskonomy or "conventions" in description or not (names := normals_in_doubt(fields)):
        return
    warnings.warn(
        f"{place}: was written when z of Taskonomy's normals was read with the wrong sign. If "
        f"these are Taskonomy's own files, set axes of {', '.join(names)} there to '+x +y +z'; "
        "shards of Rooms are right as they are. cen data shards check compares normals with "
        "depth; say 'conventions: {normals: 1}' there once it is settled",
        CenWarning,
        stacklevel=4,
    )


def _check_classes(
    classes: int | Sequence[str] | None, labels: Mapping[str, Classes], store: Store
) -> None:
    """Refuses classes that are not those of the shards."""
    names = {field_classes.names for field_classes in labels.values()}
    wrong = (
        all(len(class_names) != classes for class_names in names)
        if isinstance(classes, int)
        else classes is not None and tuple(classes) not in names
    )
    if wrong:
        raise DataError(
            f"{store.path(DESCRIPTION)}: has other classes than data.classes; leave data.classes "
            "out, or convert the source anew"
        )


def _unwrapped(content: bytes, field: str, place: str) -> InMemoryFile:
    """The file after its tar header, which must be of the field that was looked for."""
    try:
        header = tarfile.TarInfo.frombuf(content[:HEADER], "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise DataError(f"{place}: no file where its index says one is ({error})") from error
    if not header.isreg():
        raise DataError(f"{place}: {header.name!r} is a link or a device, no file")
    extension = header.name.rpartition("/")[2].partition(".")[2]
    if extension.partition(".")[0] != field or header.size != len(content) - HEADER:
        raise DataError(f"{place}: holds {header.name!r} where its index says {field} is")
    return InMemoryFile(f"{place}: {header.name}", np.frombuffer(content, np.uint8, offset=HEADER))
