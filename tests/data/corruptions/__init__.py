"""Ways in which data sets are damaged, by layout: what is done, and what must be said of it.

A variant says of which files the finding must speak (by a part of their path) and which kinds it
may have; ``FINE`` marks what is read as documented, without a finding.
"""

from tests.data.corruptions.containers import of_containers
from tests.data.corruptions.damage import FINE, SIZE, Variant
from tests.data.corruptions.lists import of_lists
from tests.data.corruptions.pictures import of_files, of_shards

VARIANTS = [*of_files(), *of_lists(), *of_containers(), *of_shards()]

__all__ = ["FINE", "SIZE", "VARIANTS", "Variant"]
