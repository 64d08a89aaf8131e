"""Training and evaluation with Lightning, imported when a name is first used.

``fit`` and ``evaluate`` are the whole of it for most uses; the other names are their parts, for
people who put them together otherwise. Losses, optimiser groups and schedules that need no
Lightning are in :mod:`cen.losses` and :mod:`cen.optim`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
