import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from cen.data import EvaluationShard, Rooms, StepBatches, sample_rng, train_transform


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 7), st.integers(1, 4), st.integers(0, 20), st.integers(0, 99)
)
def test_each_epoch_is_read_once_over_steps_and_processes(length, batch, world, steps, seed):
    keys = []
    shares = [
        list(StepBatches(length, batch, steps, seed=seed, rank=rank, world=world))
        for rank in range(world)
    ]
    for step in range(steps):
        for share in shares:
            assert len(share[step]) == batch
            keys += share[step]
    assert len(keys) == steps * batch * world
    complete = len(keys) // length
    for epoch in range(complete):
        part = keys[epoch * length : (epoch + 1) * length]
        assert sorted(part) == [(epoch, index) for index in range(length)]


@given(st.integers(1, 12), st.integers(0, 12))
def test_a_run_resumes_at_any_step(batch, start):
    whole = list(StepBatches(10, batch, 12, seed=4))
    assert list(StepBatches(10, batch, 12, start=start, seed=4)) == whole[start:]
    assert len(StepBatches(10, batch, 12, start=start)) == 12 - start


def test_two_processes_read_the_batch_of_one():
    one = list(StepBatches(23, 6, 9, seed=1))
    two = [list(StepBatches(23, 3, 9, seed=1, rank=rank, world=2)) for rank in range(2)]
    assert one == [left + right for left, right in zip(*two, strict=True)]


def test_epochs_and_seeds_differ():
    first, second = StepBatches(50, 50, 2, seed=0)
    other = next(iter(StepBatches(50, 50, 1, seed=1)))
    orders = [[index for _, index in batch] for batch in (first, second, other)]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_samples_do_not_depend_on_the_workers():
    plain = Rooms("train", size=(16, 24), length=5)
    rooms = Rooms(
        "train",
        size=(16, 24),
        length=5,
        transform=train_transform(plain.modalities, shorter_side=12, crop=(16, 16)),
    )
    batches = StepBatches(5, 2, stop=4)
    alone, shared = (
        list(DataLoader(rooms, batch_sampler=batches, num_workers=workers)) for workers in (0, 2)
    )
    for one, other in zip(alone, shared, strict=True):
        assert one["name"] == other["name"]
        np.testing.assert_array_equal(one["rgb"], other["rgb"])
        np.testing.assert_array_equal(one["segmentation"], other["segmentation"])


def test_random_numbers_of_a_sample():
    draws = [sample_rng(*key).random() for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len(set(draws)) == 4
    assert draws[0] == sample_rng(0, 0, 0).random()


@given(st.integers(0, 40), st.integers(1, 6))
def test_evaluation_reads_every_sample_on_one_process(length, world):
    shards = [list(EvaluationShard(length, rank, world)) for rank in range(world)]
    assert sorted(index for shard in shards for index in shard) == list(range(length))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert [len(EvaluationShard(length, rank, world)) for rank in range(world)] == [
        len(shard) for shard in shards
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 5), "from 0 samples"),
        ((4, 0, 5), "batches of 0"),
        ((4, 4, -1), "not be negative"),
        ((4, 4, 5, 0, 0, 2, 2), "rank 2"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StepBatches(*arguments)
    with pytest.raises(ValueError, match="rank 3"):
        EvaluationShard(4, 3, 3)
