"""Parts of resized pictures against the whole ones of PyTorch."""

import pytest
import torch
from torch.nn.functional import interpolate

from cen.predict.resampling import mixed, taps


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "resized"), [((12, 16), (45, 61)), ((30, 20), (17, 33))])
def test_windows_are_those_of_the_whole(mode, size, resized):
    torch.manual_seed(0)
    picture = torch.randn(2, 3, *size)
    whole = interpolate(picture, resized, mode=mode, align_corners=False)
    for rows in ((0, 5), (3, 17), (resized[0] - 1, resized[0])):
        down, across = (
            taps(*rows, size[0], resized[0], mode),
            taps(4, 30, size[1], resized[1], mode),
        )
        part = picture[..., down.first : down.stop, across.first : across.stop]
        found = mixed(mixed(part, down, -2), across, -1)
        torch.testing.assert_close(found, whole[..., rows[0] : rows[1], 4:30])
