"""Benchmarks: what exchange costs, what a network takes, how fast samples are read."""
