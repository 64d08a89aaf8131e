"""The former place of `AlignedFolder`, which the documentation of 0.1.0 imported from here."""

import warnings

from cen.data.readers.aligned_folder import AlignedFolder

__all__ = ["AlignedFolder"]

warnings.warn(
    "cen.data.folder is where AlignedFolder was; import it from cen.data",
    DeprecationWarning,
    stacklevel=2,
)
