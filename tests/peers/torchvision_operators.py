"""Lets torchvision be imported beside a build of torch that it was not made for."""

import torch


def define_missing_operators() -> list[torch.library.Library]:
    """Defines the operators that torchvision describes at its import, where its own are missing.

    A CPU build of torch and torchvision's own wheel do not share their libraries. None of the
    networks calls these operators. What is returned has to be kept: they vanish with it.
    """
    kept = []
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            kept.append(library)
    return kept
