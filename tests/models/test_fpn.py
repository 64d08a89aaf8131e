"""The semantic branch of Panoptic FPN."""

import torch
from torch.nn import functional as F

from cen.models.fpn import FPNDecoder, TopDown


def maps(sizes=((24, 32), (12, 16), (6, 8))):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3 + i, *size, generator=generator) for i, size in enumerate(sizes)]


def test_a_coarse_map_reaches_the_finer_ones_and_not_the_other_way():
    torch.manual_seed(0)
    pyramid = TopDown((3, 4, 5), 6, norm=False)
    features = maps()
    before = pyramid(features)
    changed = pyramid([features[0], features[1], features[2] + 1])
    assert all(not torch.equal(a, b) for a, b in zip(before, changed, strict=True))
    changed = pyramid([features[0] + 1, features[1], features[2]])
    assert [torch.equal(a, b) for a, b in zip(before, changed, strict=True)] == [False, True, True]


def test_levels_are_enlarged_step_by_step_and_summed():
    torch.manual_seed(0)
    decoder = FPNDecoder((3, 4, 5), 4).eval()
    assert [len(steps) for steps in decoder.levels] == [1, 1, 2]
    features = maps()
    fine, middle, coarse = decoder.pyramid(features)
    first, second = decoder.levels[2]
    twice = F.interpolate(first(coarse), (12, 16), mode="bilinear", align_corners=False)
    expected = decoder.levels[0][0](fine)
    for x in (decoder.levels[1][0](middle), second(twice)):
        expected = expected + F.interpolate(x, (24, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(decoder(features), expected)


def test_maps_of_one_size_are_taken_too():
    features = maps(((6, 8), (6, 8), (6, 8)))
    assert FPNDecoder((3, 4, 5), 4)(features).shape == (2, 4, 6, 8)
