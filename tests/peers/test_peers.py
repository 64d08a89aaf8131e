"""Networks of other projects, converted: exact in every stream, or refused with the reason.

    pip install -c constraints.txt -e ".[test,peers]" && pytest -m slow tests/peers

Where a library is missing, its networks are skipped.
"""

import re
from pathlib import Path

import pytest
import torch
from tests.peers.networks import Peer, peers, skip_without
from tests.peers.torchvision_operators import define_missing_operators
from tests.peers.trials import ROUNDING, Trial

from cen.errors import ConversionError

KEPT = define_missing_operators()
NAMES = {"smp": "segmentation_models.pytorch", "monai": "MONAI"}


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


def test_the_page_lists_those_that_are_exact() -> None:
    """What docs/your-own-loop.md promises is what is tried here."""
    page = (Path(__file__).parents[2] / "docs/your-own-loop.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) \| (\d+) \| (.+) \|$", page, re.MULTILINE)
    listed = {library: names.split(", ") for library, _, names in rows}
    expected: dict[str, list[str]] = {}
    for peer in peers():
        if not peer.refused:
            expected.setdefault(NAMES.get(peer.library, peer.library), []).append(peer.name)
    assert {library: sorted(names) for library, names in listed.items()} == {
        library: sorted(names) for library, names in expected.items()
    }
    assert [int(count) for _, count, _ in rows] == [len(names) for names in listed.values()]
    assert f"These {sum(map(len, expected.values()))} were exact" in page
