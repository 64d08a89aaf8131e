"""Writing shards; what they hold is compared in tests/data/readers/test_shards.py."""

import pytest

from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.shards import Shards
from cen.data.tools.sharding import write_shards
from cen.errors import DataError


def test_files_that_speak_for_themselves_are_taken_over(shards, layouts):
    after = Shards(shards, "train")
    source = DatasetRecipe("nyudv2", str(layouts("nyudv2"))).open("train")
    content = (shards / "train" / "000000.tar").read_bytes()
    for path in source.files(0).values():
        assert path.read_bytes() in content
    assert len(after) == 7


def test_an_interrupted_conversion_goes_on(layouts, shards, tmp_path):
    source, out = DatasetRecipe("nyudv2", str(layouts("nyudv2"))), tmp_path / "out"

    class StopError(Exception):
        pass

    def stop(split, done, total):
        if (split, done) == ("train", 6):
            raise StopError

    with pytest.raises(StopError):
        write_shards(source, out, per_shard=3, progress=stop)
    assert not (out / "shards.yaml").exists()
    with pytest.raises(DataError, match="other shards"):
        write_shards(source, out, per_shard=4)
    kept = (out / "train" / "000000.tar").stat().st_mtime_ns
    (out / "train" / ".000001.tar.4194304.killed.part").write_bytes(b"half of a shard")
    write_shards(source, out, per_shard=3)
    assert (out / "train" / "000000.tar").stat().st_mtime_ns == kept
    for path in shards.rglob("*.*"):
        assert (out / path.relative_to(shards)).read_bytes() == path.read_bytes()
    with pytest.raises(DataError, match="complete"):
        write_shards(source, out, per_shard=3)
    assert len([*out.rglob("*")]) == len([*shards.rglob("*")])


def test_processes_write_what_one_writes(layouts, shards, tmp_path):
    source = DatasetRecipe("nyudv2", str(layouts("nyudv2")))
    write_shards(source, tmp_path / "out", per_shard=3, workers=2)
    for path in shards.rglob("*.*"):
        assert (tmp_path / "out" / path.relative_to(shards)).read_bytes() == path.read_bytes()


def test_a_folder_of_anything_else_is_not_written_into(layouts, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds files of something else"):
        write_shards(DatasetRecipe("nyudv2", str(layouts("nyudv2"))), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
