"""Pictures, tables and pages, made from the files of a run folder alone (no torch needed).

The names are imported when first used: tables need no matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
