"""The look that figures share."""

from cen.report.style import stream_colours


def test_streams_have_distinct_colours():
    colours = stream_colours(["rgb", "depth", "normal", "edge"])
    assert len(set(colours.values())) == 5
