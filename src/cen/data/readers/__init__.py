"""A reader for each layout of data on disk, on one base class."""
