"""The UPerNet decoder."""

import torch
from torch import nn
from torch.nn import functional as F

from cen.models.upernet import UPerNetDecoder


def maps():
    generator = torch.Generator().manual_seed(0)
    sizes = [(24, 32), (12, 16), (6, 8)]
    return [torch.randn(2, 3 + i, *size, generator=generator) for i, size in enumerate(sizes)]


def resized(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def test_the_deepest_map_is_pooled_and_all_are_read_together():
    torch.manual_seed(0)
    decoder = UPerNetDecoder((3, 4, 5), 6).eval()
    features = maps()
    levels = [features[2]]
    for bins, conv in zip((1, 2, 3, 6), decoder.pools, strict=True):
        pooled = conv(F.adaptive_avg_pool2d(features[2], bins))
        levels.append(F.interpolate(pooled, (6, 8), mode="bilinear", align_corners=True))
    deepest = decoder.join(torch.cat(levels, 1))
    middle = decoder.pyramid.laterals[1](features[1]) + resized(deepest, (12, 16))
    fine = decoder.pyramid.laterals[0](features[0]) + resized(middle, (24, 32))
    parts = [decoder.pyramid.smooth[0](fine), decoder.pyramid.smooth[1](middle), deepest]
    expected = decoder.fuse(torch.cat([resized(x, (24, 32)) for x in parts], 1))
    torch.testing.assert_close(decoder(features), expected)


def test_the_first_norms_are_those_that_see_the_encoder():
    from fnmatch import fnmatchcase

    decoder = UPerNetDecoder((3, 4, 5), 6)
    norms = [n for n, m in decoder.named_modules() if isinstance(m, nn.BatchNorm2d)]
    first = [n for n in norms if fnmatchcase(n, decoder.first_norms)]
    assert {n.split(".norm")[0].rpartition(".")[0] for n in first} == {"pools", "pyramid.laterals"}
    assert len(first) == 6
