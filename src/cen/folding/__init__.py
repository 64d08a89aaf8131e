"""Folding: what exchange makes common to the streams is computed once (this project's extension).

Read ``tensor`` (a packed tensor whose equal channels are kept once), ``rules`` (how equality
travels through the operations of a network, the table), ``convolution`` and ``layers`` (what a
convolution computes when it is known what the norm behind it reads), ``folded_network`` (`fold`).
"""

from cen.folding.folded_network import FoldedNetwork, fold
from cen.folding.tensor import Folded, Layout

__all__ = ["Folded", "FoldedNetwork", "Layout", "fold"]
