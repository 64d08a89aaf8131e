"""A list of tensors where a packed one is expected."""

import torch

from cen.bench.stream_list import StreamList


def test_what_works_across_the_batch_gets_the_packed_tensor() -> None:
    rows = [torch.randn(2, 3, 4, 4) for _ in range(3)]
    listed, counted = StreamList(rows, {}), torch.stack(rows, 1).flatten(0, 1)
    assert listed.shape == counted.shape
    assert (listed.size(1), listed.ndim, listed.dtype) == (3, 4, torch.float32)
    added = listed + torch.arange(3.0).view(1, 3, 1, 1)
    assert isinstance(added, StreamList)
    assert torch.equal(added.packed(), counted + torch.arange(3.0).view(1, 3, 1, 1))
    assert torch.equal((2 * listed).packed(), 2 * counted)
    assert listed.packed_by == {}
    assert torch.equal(listed + counted, counted + counted)
    assert torch.equal(torch.cat([listed, listed]), torch.cat([counted, counted]))
    assert torch.equal(listed.flip(0), counted.flip(0))
    assert set(listed.packed_by) == {"add", "cat", "flip"} or "__add__" in listed.packed_by
