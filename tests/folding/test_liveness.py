"""Which channels operations read of their operands, row by row of the table."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cen.folding.liveness import Liveness
from cen.folding.recording import Recorded, Recorder
from cen.folding.rules import TABLE

KERNEL = torch.ones(6, 4, 3, 3)


def grouped(x: Any) -> Any:
    return torch.conv2d(x, torch.ones(8, 2, 1, 1), None, groups=2)[:, 1:3]


def transposed(x: Any) -> Any:
    kernel = torch.zeros(4, 3, 2, 2)
    kernel[2, 1] = 1
    return torch.conv_transpose2d(x, kernel, None)[:, 1:2]


def sparse(x: Any) -> Any:
    kernel = torch.zeros(6, 4, 1, 1)
    kernel[1, 3], kernel[0] = 1, 1
    return torch.conv2d(x, kernel, None)[:, 1:2]


def in_place(x: Any) -> Any:
    made = torch.zeros_like(x)
    made[:, 0] = 1
    return (x + made)[:, 2:3]


@pytest.mark.parametrize(
    ("operation", "read"),
    [
        (lambda x: F.relu(x)[:, 1:3], [1, 2]),
        (lambda x: F.max_pool2d(x, 2)[:, ::2], [0, 2]),
        (lambda x: F.interpolate(x, scale_factor=2)[:, :1], [0]),
        (lambda x: (x * torch.ones(1, 4, 1, 1))[:, 3:], [3]),
        (lambda x: (x + x[:, :1])[:, 2:3], [0, 2]),
        (lambda x: torch.cat([x, x], 1)[:, 3:5], [0, 3]),
        (lambda x: x.index_select(1, torch.tensor([3, 0, 3]))[:, 1:], [0, 3]),
        (lambda x: x[:, 1:, 2:][:, :1], [1]),
        (lambda x: torch.conv2d(x, KERNEL, None)[:, :1], [0, 1, 2, 3]),
        (sparse, [3]),
        (grouped, [0, 1]),
        (transposed, [2]),
        (lambda x: F.interpolate(x[:, 3:], (x.size(2), 8)), [3]),
        (lambda x: torch.conv2d(x[:, 3:].new_zeros(1, 4, x.size(2), 8), KERNEL, None), [3]),
        (in_place, [0, 1, 2, 3]),
        (lambda x: x.softmax(1)[:, :1], [0, 1, 2, 3]),
        (lambda x: F.max_pool3d(x, 1)[:, :1], [0, 1, 2, 3]),
        (lambda x: x.flatten(1)[:, :1], [0, 1, 2, 3]),
    ],
)
def test_what_is_read(operation: Callable[[Any], Any], read: list[int]) -> None:
    recorder = Recorder(TABLE, {})
    given = recorder.input(torch.randn(2, 4, 6, 6))
    x: Any = torch.neg(given)  # type: ignore[call-overload]
    result: Recorded = operation(x)
    assert Liveness(recorder, [result.node]).of(x.node) == read


def test_an_unbatched_picture_has_no_channels_there() -> None:
    recorder = Recorder(TABLE, {})
    given = recorder.input(torch.randn(4, 6, 6))
    x: Any = torch.neg(given)  # type: ignore[call-overload]
    result: Any = torch.conv2d(x, KERNEL, None)
    liveness = Liveness(recorder, [result[:, :1].node])
    assert liveness.of(x.node) == [*range(6)]


def test_what_is_asked_for_its_size_alone_has_one_channel() -> None:
    recorder = Recorder(TABLE, {})
    x: Any = recorder.input(torch.randn(2, 4, 6, 6))
    asked: Any = torch.conv2d(x, KERNEL, None)
    result = F.interpolate(x[:, 1:2], (asked.size(2), asked.size(3)))
    assert Liveness(recorder, [result.node]).of(asked.node) == [0]


def test_nothing_is_to_be_left_out_where_all_is_read() -> None:
    recorder = Recorder(TABLE, {})
    x: Any = recorder.input(torch.randn(2, 4, 6, 6))
    result: Any = torch.conv2d(x, KERNEL, None)
    assert Liveness(recorder, [F.relu(result).node]).everything
    assert not Liveness(recorder, [F.relu(result)[:, 1:].node]).everything
