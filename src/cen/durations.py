"""Lengths of time as people say them."""

from __future__ import annotations


def span(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
