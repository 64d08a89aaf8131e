"""Folding: what exchange makes common to the streams is computed once (this project's extension).

A network is run once with tensors that write down what is done to them, and a graph of plain
tensors comes of it. Read ``recording`` (how), ``tensor`` (a packed tensor whose equal channels are
kept once), ``reads`` (what a norm and its exchange read of the values before), ``rules`` (how
equality travels through the operations of a network, the table), ``convolution`` and ``layers``
(what a convolution computes when it is known what is read of it), ``liveness`` and ``pruning``
(what of the graph no result reads, and the graph without it), ``plans`` (all of that for inputs of
one kind), ``folded_network`` (`fold`).
"""

from cen.folding.folded_network import FoldedNetwork, fold
from cen.folding.plans import Plan, plan_of
from cen.folding.recording import FoldedLayer
from cen.folding.tensor import Folded, Layout

__all__ = ["Folded", "FoldedLayer", "FoldedNetwork", "Layout", "Plan", "fold", "plan_of"]
