"""The MLP decoder of SegFormer, computed by hand."""

import torch
from torch.nn import functional as F

from cen.models.segformer import SegFormerDecoder


def maps():
    generator = torch.Generator().manual_seed(0)
    sizes = [(13, 17), (7, 9), (4, 5)]
    return [torch.randn(2, 3 + i, *size, generator=generator) for i, size in enumerate(sizes)]


def test_every_map_is_mapped_enlarged_and_read_together():
    torch.manual_seed(0)
    decoder = SegFormerDecoder((3, 4, 5), 6).eval()
    features = maps()
    parts = []
    for x, linear in zip(features, decoder.linears, strict=True):
        rows = F.linear(x.movedim(1, -1), linear.weight.flatten(1), linear.bias).movedim(-1, 1)
        parts.append(F.interpolate(rows, (13, 17), mode="bilinear", align_corners=False))
    expected = F.relu(decoder.fuse.norm(decoder.fuse.conv(torch.cat(parts, 1))))
    torch.testing.assert_close(decoder(features), expected)


def test_without_norms_there_are_none():
    decoder = SegFormerDecoder((3, 4, 5), 6, norm=False)
    assert not [name for name, _ in decoder.named_buffers()]
    assert decoder(maps()).shape == (2, 6, 13, 17)
