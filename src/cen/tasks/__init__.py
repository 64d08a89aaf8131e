"""Kinds of outputs: segmentation, depth, normal, edge, image; one class and one file for each.

Read `kind` first, the contract, then `depth`, the shortest kind, then `task`, with the table of
kinds. Nothing here imports torch before something is computed with it: configuration, tables and
pages read what the kinds say of themselves.
"""

from cen.tasks.kind import Kind, Score
from cen.tasks.task import KINDS, KindName, Task

__all__ = ["KINDS", "Kind", "KindName", "Score", "Task"]
