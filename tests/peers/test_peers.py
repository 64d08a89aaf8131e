"""Networks of other projects, converted: exact in every stream, or refused with the reason.

    pip install -c constraints.txt -e ".[test,peers]" && pytest -m slow tests/peers

Where a library is missing, its networks are skipped.
"""

import pytest
import torch
from tests.peers.networks import Peer, peers, skip_without
from tests.peers.torchvision_operators import define_missing_operators
from tests.peers.trials import ROUNDING, Trial

from cen.errors import ConversionError

KEPT = define_missing_operators()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", peers(), ids=str)
def test_a_network_of_others_is_exact_or_refused(peer: Peer) -> None:
    skip_without(peer)
    if peer.refused:
        with pytest.raises(ConversionError, match=peer.refused):
            Trial(peer.make(), peer.shape, **peer.options)
        return
    trial = Trial(peer.make(), peer.shape, **peer.options)
    trial.nothing_is_silent()
    for training in (False, True):
        assert trial.streams_are_exact(training) < ROUNDING
    assert trial.a_missing_stream_changes_nothing() < ROUNDING
    assert trial.channels_are_exchanged() > 0
    trial.a_step_trains()
    trial.weights_go_round()
    torch.manual_seed(0)
