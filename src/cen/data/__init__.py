"""Data sets as dicts of aligned pictures, their readers and their transforms.

The names are imported when first used: rendering Rooms needs NumPy and OpenCV but not torch.
"""

import lazy_loader

from cen.data.former_modules import keep_former_modules

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

keep_former_modules()
