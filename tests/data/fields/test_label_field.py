"""Labels: what stored numbers mean, as ground truth and as an input."""

import json

import numpy as np
import pytest

from cen.data import Modality
from cen.data.fields.label_field import stored_numbers
from cen.data.formats.pictures import write_png
from cen.errors import DataError

STORED = np.array([[0, 255, 3], [4, 7, 0]])
MEANT = np.array([[0, 1, 1], [1, 255, 0]])


def test_labels_as_ground_truth_and_as_an_input(tmp_path):
    labels = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write_png(tmp_path / "l.png", labels)
    field = Modality.of("label", 3)
    read = field.read(tmp_path / "l.png")
    truth = field.to_target(read)
    assert truth.dtype == np.int64
    np.testing.assert_array_equal(truth, labels)
    planes = field.to_network(read)
    assert planes.shape == (3, 2, 3)
    np.testing.assert_array_equal(planes.sum(0), labels != 255)
    known = labels != 255
    np.testing.assert_array_equal(field.from_network(planes)[known], labels[known])
    with pytest.raises(DataError, match="as many channels as there are classes"):
        Modality.of("label").to_network(read)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_numbers_mean_what_values_say(kind):
    """Many to one; what is ignored becomes ignore_index."""
    modality = Modality.of(
        "label", values=((0, 0), (255, 1), (3, 1), (4, 1)), ignore=(7,), ignore_index=99
    )
    assert Modality.from_dict(json.loads(json.dumps(modality.to_dict()))) == modality
    read = modality.from_stored(STORED.astype(kind), "a.png")
    np.testing.assert_array_equal(read, np.where(MEANT == 255, 99, MEANT))
    back = stored_numbers(read, modality)
    np.testing.assert_array_equal(modality.from_stored(back.astype(kind)), read)
    strange = STORED.astype(kind)
    strange[0, 0] = 9
    with pytest.raises(DataError, match=r"a\.png: label 9 \(1 pixels\) is not listed"):
        modality.from_stored(strange, "a.png")
