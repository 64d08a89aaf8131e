"""Names of the weights of EfficientNet-Lite0."""

import pytest
import torch

from cen.metrics.efficientnet import EfficientNetLite0
from cen.models.efficientnet_names import as_timm


def test_every_name_of_the_package_is_one_of_timms():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model("tf_efficientnet_lite0").state_dict()
        ours = EfficientNetLite0().state_dict()
    found = as_timm(ours)
    assert len(found) == len(ours)
    assert {key: value.shape for key, value in found.items()}.items() <= {
        key: value.shape for key, value in theirs.items()
    }.items()
    left = {key.partition(".")[0] for key in theirs.keys() - found.keys()}
    assert left == {"conv_head", "bn2", "classifier"}


def test_other_names_stay():
    state = {"stem.0.weight": torch.zeros(1)}
    assert as_timm(state) == state
