"""The feature network that an evaluation asks for."""

from __future__ import annotations

import pytest

from cen.errors import CheckpointError
from cen.training.generation import image_scores
from cen.training.generation.image_scores import feature_network


def test_features_chosen_by_the_program_are_left_out_where_they_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for by name they are an error, and nothing is read where nothing is to be compared."""

    def missing(name: str, weights: object) -> None:
        raise CheckpointError(f"{name} is not installed")

    monkeypatch.setattr(image_scores, "load_features", missing)
    assert feature_network(None, None, ["rgb"]) is None
    assert feature_network("auto", None, []) is None
    with pytest.warns(UserWarning, match="no Fréchet distance: efficientnet_lite0 is not inst"):
        assert feature_network("auto", None, ["rgb"]) is None
    with pytest.raises(CheckpointError, match="inception is not installed"):
        feature_network("inception", None, ["rgb"])
