"""Work in several processes."""

import os
import signal
import time
from itertools import islice

import pytest

from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.parallel import default_workers, over_samples
from cen.errors import DataError


def _squares(dataset, part):
    return [index**2 for index in part]


def _dies_at_the_last(dataset, part):
    if part.stop == len(dataset):
        time.sleep(1)  # until the other process has given what it has
        os.kill(os.getpid(), signal.SIGKILL)
    return _squares(dataset, part)


def test_processes_give_results_in_order_and_their_death_is_an_error(layouts):
    """In one pool, as its processes take seconds to start; one that ends well: test_shards."""
    dataset = DatasetRecipe("nyudv2", str(layouts("nyudv2"))).open("train")
    alone = list(over_samples(_squares, dataset, workers=1, chunk=2))
    assert [x for _, part in alone for x in part] == [0, 1, 4, 9, 16, 25, 36]
    found = over_samples(_dies_at_the_last, dataset, workers=2, chunk=2)
    assert list(islice(found, 3)) == alone[:3]
    with pytest.raises(DataError, match="was killed"):
        next(found)


def test_few_samples_are_not_worth_a_process():
    assert default_workers(10) == 1
    assert default_workers(10**6) >= 1
