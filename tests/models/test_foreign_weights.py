import io
import os
import pickle
import types
from functools import partial

import numpy as np
import pytest
import torch

from cen.errors import CheckpointError
from cen.models import build
from cen.models.foreign_weights import read_pickle, read_tensors, shadow_of

SCALAR = np.float64(0).__reduce__()[0]


class NumpyPickler(pickle._Pickler):
    """Names NumPy's `scalar` by the path that the wanted version of NumPy writes."""

    module = b"numpy.core.multiarray"

    def save_global(self, obj, name=None):
        if obj is SCALAR:
            self.write(b"c" + self.module + b"\nscalar\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)


class Numpy2Pickler(NumpyPickler):
    module = b"numpy._core.multiarray"


def pickle_module(pickler):
    def dump(obj, file, protocol=None):
        pickler(file, protocol).dump(obj)

    return types.SimpleNamespace(
        __name__="old_pickle", Pickler=pickler, dump=dump, load=pickle.load
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("pickler", [NumpyPickler, Numpy2Pickler], ids=["numpy1", "numpy2"])
@pytest.mark.parametrize("scalar", [np.float64(0.5158), np.float32(0.25), np.int64(7)])
def test_numpy_numbers_are_read(tmp_path, legacy, pickler, scalar):
    content = {"segmenter": {"w": torch.arange(3.0)}, "epoch_start": 3, "best_val": scalar}
    torch.save(
        content,
        tmp_path / "a.pth",
        pickle_module=pickle_module(pickler),
        _use_new_zipfile_serialization=not legacy,
    )
    raw = (tmp_path / "a.pth").read_bytes()
    assert pickler.module + b"\nscalar" in raw
    assert raw.startswith(b"PK") != legacy
    found = read_pickle(tmp_path / "a.pth")
    assert found["best_val"] == scalar
    assert found["epoch_start"] == 3
    assert torch.equal(found["segmenter"]["w"], torch.arange(3.0))


class Payload:
    """Runs a command where it is unpickled without care."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("extra", ["payload", "array", "function"])
def test_anything_else_is_refused_and_not_run(tmp_path, legacy, extra):
    path, target = tmp_path / "evil.pth", tmp_path / "made"
    extras = {"payload": Payload(target), "array": np.zeros(3), "function": np.load}
    content = {"w": torch.zeros(1), "best_val": extras[extra]}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"evil.pth is not a checkpoint of tensors alone"):
        read_pickle(path)
    assert not target.exists()


def test_allow_list_is_not_left_behind(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "a.pth")
    before = set(torch.serialization.get_safe_globals())  # a set inside, in any order
    read_pickle(tmp_path / "a.pth")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    for content in (b"", b"no checkpoint", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            read_tensors(path)


def test_truncated_checkpoint(tmp_path):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(1000)}, buffer)
    path = tmp_path / "cut.pth"
    path.write_bytes(buffer.getvalue()[:-200])
    with pytest.raises(CheckpointError, match=r"cut.pth is damaged"):
        read_pickle(path)


def test_missing_file_and_no_state_dict(tmp_path):
    with pytest.raises(CheckpointError, match=r"none.pth does not exist"):
        read_tensors(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"list.pth holds no state dict"):
        read_tensors(tmp_path / "list.pth")


@pytest.mark.parametrize("name", ["refinenet", "unet"])
def test_a_shadow_has_the_shapes_of_its_network_and_no_values(name):
    small = {
        "refinenet": {"encoder": "resnet18", "decoder_channels": 4},
        "unet": {"encoder": "unet3"},
    }
    make = partial(
        build,
        name,
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 3},
        width=4,
        **small[name],
    )
    before = torch.get_rng_state()
    shadow = shadow_of(make, "wrong").state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    values = make().state_dict()
    assert all(value.is_meta for value in shadow.values())
    assert {key: (value.shape, value.dtype) for key, value in shadow.items()} == {
        key: (value.shape, value.dtype) for key, value in values.items()
    }
