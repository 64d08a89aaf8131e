import io
import json
import pickle
import shutil
import tarfile

import fsspec
import numpy as np
import pytest
import webdataset
import yaml
from tests.data.readers.made_up import MADE_UP
from tests.data.shard_processes import work
from tests.processes import side_by_side
from torch.utils.data import DataLoader

from cen import cli
from cen.data import StepBatches, eval_transform
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.registry import LAYOUTS
from cen.data.readers.shards import Shards
from cen.data.tools.sharding import write_shards
from cen.errors import DataError

LAYOUTS_ON_DISK = sorted(set(LAYOUTS) - {"rooms", "shards"})


@pytest.fixture
def root(shards, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(shards, tmp_path / "data")
    return tmp_path / "data"


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, str):
            assert value == other[name]
        else:
            # Labels come back in the narrowest type that holds them.
            assert value.dtype == other[name].dtype or name in ("segmentation", "segment_semantic")
            np.testing.assert_array_equal(value, other[name])


@pytest.mark.parametrize("layout", LAYOUTS_ON_DISK)
def test_every_field_of_every_layout_comes_back_to_the_last_bit(layout, layouts, tmp_path):
    made = MADE_UP.get(layout)
    root = made(tmp_path / "data") if made else layouts(layout)
    source = DatasetRecipe(layout, str(root), fields=("all",))
    counts = write_shards(source, tmp_path / "out", per_shard=3)
    # The validation split of a few samples by chance may be empty.
    assert set(counts) >= {"train", "test"}
    for split in counts:
        before, after = source.open(split), Shards(tmp_path / "out", split)
        assert len(before) == len(after)
        assert before.classes == after.classes
        np.testing.assert_array_equal(before.palette, after.palette)
        for index in range(len(before)):
            assert_same(before.raw(index), after.raw(index))
            assert before.group(index) == after.group(index)


def test_a_batch_is_what_its_samples_are(shards):
    dataset = Shards(shards, "train")
    batch = dataset.__getitems__([(0, 5), (0, 1), (2, 4)])
    for sample, index in zip(batch, (5, 1, 4), strict=True):
        assert_same(sample, dataset.raw(index))
    assert dataset._held == {}


def test_another_machine_reads_the_same(shards):
    far = fsspec.filesystem("memory")
    far.put(str(shards), "/bucket/shards", recursive=True)
    here, there = Shards(shards, "train"), Shards("memory://bucket/shards", "train")
    for one, other in zip(here.__getitems__(range(7)), there.__getitems__(range(7)), strict=True):
        assert_same(one, other)
    assert there.files(0) == {}
    far.pipe_file("/bucket/shards/train/000001.tar", b"x" * 700)
    with pytest.raises(DataError, match=r"memory://bucket/shards/train/000001\.tar"):
        there.raw(4)
    there.raw(0)
    far.rm("/bucket/shards/train/000000.tar")
    with pytest.raises(DataError, match=r"memory://bucket/shards/train/000000\.tar: cannot be"):
        there.raw(0)
    with pytest.raises(DataError, match=r"memory://bucket/none/shards\.yaml: cannot be read"):
        Shards("memory://bucket/none", "train")


def test_workers_get_the_data_set_without_its_index(shards):
    dataset = Shards(shards, "train")
    dataset.raw(0)
    content = pickle.dumps(dataset)
    assert_same(pickle.loads(content).raw(3), dataset.raw(3))
    assert dataset._index.tobytes() not in content


def test_webdataset_reads_them_too(shards):
    files = [str(path) for path in sorted((shards / "train").glob("*.tar"))]
    stream = webdataset.WebDataset(files, shardshuffle=False)
    samples = list(stream)
    ours = Shards(shards, "train")
    assert len(samples) == len(ours)
    for index, sample in enumerate(samples):
        assert json.loads(sample["json"])["name"] == ours.name(index)
        assert sample["depth.png"].startswith(b"\x89PNG")


def test_two_processes_read_every_sample_once_and_go_on_in_the_middle(shards, tmp_path):
    def run(start):
        side_by_side(work, str(shards), tmp_path, 2, start)
        return json.loads((tmp_path / f"{start}.json").read_text())

    whole, rest = run(0), run(3)
    names = {Shards(shards, "train").name(index) for index in range(7)}
    # 2 epochs of 7 samples in 7 steps of 2 processes: the first epoch ends within step 3.
    order = [whole[rank][step][0] for step in range(7) for rank in range(2)]
    assert set(order[:7]) == set(order[7:]) == names
    assert order[:7] != order[7:]
    assert not set(map(tuple, whole[0][:3])) & set(map(tuple, whole[1][:3]))
    assert rest == [share[3:] for share in whole]


def test_the_order_is_that_of_the_source(shards, layouts):
    source = DatasetRecipe("nyudv2", str(layouts("nyudv2"))).open("train")
    found = []
    for dataset in (source, Shards(shards, "train")):
        dataset.transform = eval_transform(dataset.modalities, targets=dataset.targets)
        batches = StepBatches(len(dataset), 2, stop=6, seed=1)
        found.append([b["rgb"] for b in DataLoader(dataset, batch_sampler=batches)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def rewrite(path, change):
    said = yaml.safe_load(path.read_text())
    change(said)
    path.write_text(yaml.safe_dump(said))


def cut(path, size):
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(size)


def moved_index(path):
    table = np.load(path)
    table[1, 0, 0] += 512
    np.save(path, table)


def made(kind):
    """Makes the first file of a shard a link or a device that leads elsewhere."""

    def change(root):
        path = root / "train" / "000000.tar"
        path.chmod(0o644)
        content = bytearray(path.read_bytes())
        header = tarfile.TarInfo.frombuf(content[:512], "utf-8", "strict")
        header.type, header.linkname = kind, "/etc/passwd"
        content[:512] = header.tobuf(tarfile.USTAR_FORMAT)[:512]
        path.write_bytes(content)

    return change


def enlarged(root):
    path = root / "train" / "index.npy"
    table = np.load(path)
    table[0, 0, 1] = 2**32 - 1
    np.save(path, table)
    with (root / "train" / "000000.tar").open("r+b") as file:
        file.truncate(2**33)  # a file with a hole takes no room


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        *((made(k), r"000000\.tar: '.*' is a link or a device") for k in (b"1", b"2", b"3", b"6")),
        (enlarged, r"has 4294967295 bytes, the limit is"),
        (lambda r: (r / "shards.yaml").unlink(), r"shards\.yaml: cannot be read"),
        (
            lambda r: (r / "shards.yaml").write_text("a: [1"),
            r"shards\.yaml, line \d+: is not",
        ),
        (
            lambda r: (r / "shards.yaml").write_bytes(b"\xff\xfe\xff"),
            r"shards\.yaml, line 1: .*UTF-8",
        ),
        (lambda r: (r / "shards.yaml").write_text("a: 1"), r"shards\.yaml: does not describe"),
        (
            lambda r: rewrite(r / "shards.yaml", lambda s: s["splits"].pop("train")),
            r"shards\.yaml: has no split train, only ",
        ),
        (lambda r: (r / "train" / "index.npy").unlink(), r"train/index\.npy: cannot be read"),
        (lambda r: cut(r / "train" / "index.npy", 90), r"train/index\.npy: cannot be read"),
        (
            lambda r: shutil.copy(r / "test" / "index.npy", r / "train" / "index.npy"),
            r"train/index\.npy: has shape \(3, 4, 2\), not \(7, 4, 2\)",
        ),
        (lambda r: (r / "train" / "000001.tar").unlink(), r"000001\.tar: has 0 bytes"),
        (lambda r: cut(r / "train" / "000001.tar", 2000), r"000001\.tar: has 2000 bytes"),
        (
            lambda r: shutil.copy(r / "train" / "000001.tar", r / "train" / "000000.tar"),
            r"000000\.tar.*: (holds|no file|has)",
        ),
        (lambda r: moved_index(r / "train" / "index.npy"), r"000000\.tar: (no file|holds)"),
    ],
)
def test_what_is_wrong_with_shards_is_said(root, spoil, message):
    spoil(root)
    with pytest.raises(DataError, match=message):
        [Shards(root, "train").raw(index) for index in range(7)]


def test_other_classes_are_refused(shards):
    assert len(Shards(shards, "train", classes=15).classes) == 15
    with pytest.raises(DataError, match="has other classes"):
        Shards(shards, "train", classes=40)


def test_the_commands_convert_check_and_train(layouts, tmp_path, capsys):
    root, out = str(layouts("nyudv2")), str(tmp_path / "out")
    assert cli.main(["data", "nyudv2", "convert", root, "--out", out, "--json"]) == 0
    assert json.load(io.StringIO(capsys.readouterr().out))["samples"]["train"] == 7
    assert cli.main(["data", "shards", "check", out]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    words = ["train", "rooms-demo", "--data.layout", "shards", "--data.root", out]
    words += ["--train.steps", "2", "--train.batch_size", "2", "--model.width", "4"]
    words += ["--model.encoder", "resnet18", "--model.decoder_channels", "4"]
    words += ["--data.transforms.crop", "[32, 32]", "--out", str(tmp_path / "run")]
    assert cli.main(words) == 0
    assert cli.main(["data", "nyudv2", "convert", root, "--out", root]) == 2
    assert "is the source" in capsys.readouterr().err


def test_partly_annotated_data_stay_so(layouts, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(layouts("nyudv2"), root)
    for path in sorted((root / "masks").glob("train_*"))[::2]:
        path.unlink()
    source = DatasetRecipe("nyudv2", str(root), partial=True)
    write_shards(source, tmp_path / "out", ("train",), per_shard=3)
    before, after = source.open("train"), Shards(tmp_path / "out", "train")
    found = [after.annotated(index) for index in range(len(after))]
    assert found == [before.annotated(index) for index in range(len(before))]
    assert {(), ("segmentation",)} == set(found)
    for one, other in zip(
        [before[index] for index in range(7)], after.__getitems__(range(7)), strict=True
    ):
        assert_same(one, other)
    assert cli.main(["data", "nyudv2", "check", str(root)]) == 1
    assert cli.main(["data", "nyudv2", "check", str(root), "--data.partial", "true"]) == 0
