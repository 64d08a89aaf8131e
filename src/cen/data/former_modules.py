"""Modules of `cen.data` that the pages of 0.1.0 named, each with where its names are today."""

import sys
import warnings
from importlib import import_module
from types import ModuleType

FORMER = {
    "folder": ("readers.aligned_folder",),
    "headers": ("formats.headers",),
    "hha": ("fields.hha",),
    "layouts": ("readers.registry", "readers.opening"),
    "taskonomy": ("readers.taskonomy",),
}


class FormerModule(ModuleType):
    """Gives the names of the modules that took its place, with a warning."""

    def __getattr__(self, name: str) -> object:
        if not name.startswith("__"):
            for home in FORMER[self.__name__.rpartition(".")[2]]:
                module = f"cen.data.{home}"
                if hasattr(import_module(module), name):
                    place = "cen.data" if name in sys.modules["cen.data"].__all__ else module
                    text = f"{self.__name__}.{name} has moved: import it from {place}"
                    warnings.warn(text, DeprecationWarning, stacklevel=2)
                    return getattr(import_module(module), name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def keep_former_modules() -> None:
    """Lets imports of the former modules find them; nothing is loaded before a name is asked."""
    for name in FORMER:
        sys.modules.setdefault(f"cen.data.{name}", FormerModule(f"cen.data.{name}"))
