"""Names, groups, packing and active subsets."""

import copy

import pytest
import torch

from cen.errors import ShapeError, StreamError
from cen.exchange import StreamBatchNorm, Streams
from cen.exchange.streams import narrow, widen


@pytest.mark.parametrize("channels_last", [False, True])
def test_pack_and_unpack_are_inverse(channels_last: bool) -> None:
    streams = Streams(["a", "b", "c"])
    kind = torch.channels_last if channels_last else torch.contiguous_format
    features = {n: torch.randn(2, 4, 3, 5).to(memory_format=kind) for n in streams.names}
    packed = streams.pack(features)
    assert packed.shape == (6, 4, 3, 5)
    assert packed.is_contiguous(memory_format=kind)
    for name, values in streams.unpack(packed).items():
        assert torch.equal(values, features[name])
    with streams.activate(["c", "a"]):
        packed = streams.pack(features)
        assert packed.shape == (4, 4, 3, 5)
        assert list(streams.unpack(packed)) == ["a", "c"]


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_wide_view_puts_streams_side_by_side(channels_last: bool) -> None:
    kind = torch.channels_last if channels_last else torch.contiguous_format
    packed = torch.randn(6, 4, 3, 5).to(memory_format=kind)
    wide = widen(packed, 3)
    assert wide.shape == (2, 12, 3, 5)
    assert torch.equal(wide[1, 4:8], packed[4])
    assert torch.equal(narrow(wide, 3), packed)
    assert narrow(wide, 3).is_contiguous(memory_format=kind)
    if not channels_last:
        assert wide.data_ptr() == packed.data_ptr(), "the view must not copy"


def test_the_active_subset_is_restored_after_an_error() -> None:
    streams = Streams(["a", "b", "c"])
    with streams.activate(["b"]):
        with streams.activate(["b", "c"]):
            assert streams.active == (1, 2)
        assert streams.active == (1,)
    with pytest.raises(ShapeError), streams.activate(["b", "c"]):
        streams.unpack(torch.ones(3, 1))
    assert streams.active == (0, 1, 2)


def test_a_part_that_was_copied_apart_sees_who_is_present() -> None:
    """Rows of one stream were taken for those of both, sample by sample."""
    streams = Streams(["a", "b"])
    norm = StreamBatchNorm(3, streams).eval()
    torch.nn.init.normal_(norm.bias)
    copied, rows = copy.deepcopy(norm), torch.randn(4, 3, 2, 2)
    with streams.activate(["b"]):
        assert torch.equal(copied(rows), norm(rows))
    apart = Streams(["a", "b"], [["a"], ["b"]])
    with apart.activate(["b"]):
        assert streams.active == (0, 1), "other groups are other streams"


def test_groups_are_kept_in_the_order_given() -> None:
    assert Streams(["a", "b", "c"], groups=[["c", "a"], ["b"]]).groups == ((2, 0), (1,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": []}, "at least one"),
        ({"names": "rgb"}, "a sequence of at least one name"),
        ({"names": ["a", "a"]}, "must differ"),
        ({"names": ["a", "b"], "groups": [["a"]]}, "exactly once"),
        ({"names": ["a", "b"], "groups": [["a", "b"], ["b"]]}, "exactly once"),
        ({"names": ["a"], "groups": [["a", "c"]]}, "exactly once"),
    ],
)
def test_wrong_names_and_groups(arguments: dict, words: str) -> None:
    with pytest.raises(StreamError, match=words):
        Streams(**arguments)


def test_wrong_subsets_and_features() -> None:
    streams = Streams(["rgb", "depth"])
    with pytest.raises(StreamError, match="did you mean 'rgb'"):
        streams.activate(["rbg"])
    with pytest.raises(StreamError, match="no stream given"):
        streams.activate([])
    with pytest.raises(StreamError, match="'depth' is active but has no features"):
        streams.pack({"rgb": torch.ones(1, 3, 2, 2)})
    with pytest.raises(ShapeError, match=r"'depth' has shape.*streams={'rgb': 3, 'depth': 1}"):
        streams.pack({"rgb": torch.ones(1, 3, 2, 2), "depth": torch.ones(1, 1, 2, 2)})
    with pytest.raises(ShapeError, match=r"must agree$"):  # no matter of channels
        streams.pack({"rgb": torch.ones(1, 3, 2, 2), "depth": torch.ones(1, 3, 2, 4)})
    with pytest.raises(ShapeError, match="not a multiple of 2"):
        streams.unpack(torch.ones(3, 3, 2, 2))
