"""Words of a command line that are known only after a file is read."""

from pathlib import Path

import pytest

from cen import cli
from cen.errors import ConfigError


def test_free_options_are_taken_with_their_values() -> None:
    args = cli.build_parser().parse(
        ["train", "--train.steps", "3", "rooms-demo", "--seed=-1", "--out", "x", "--json"]
    )
    assert (args.config, args.out, args.json) == ("rooms-demo", Path("x"), True)
    assert args.free == {"train.steps": "3", "seed": "-1"}
    with pytest.raises(ConfigError, match="no option -x"):
        cli.build_parser().parse(["train", "rooms-demo", "-x"])
