"""CEN: Channel Exchanging Networks for multimodal and multitask dense prediction.

``import cen`` is quick: torch and the rest are imported when a name is first used.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
