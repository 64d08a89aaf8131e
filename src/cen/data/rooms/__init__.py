"""Rooms: the embedded data set, rendered on the fly and deterministic in (seed, index)."""
