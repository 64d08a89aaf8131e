"""Tools on top of any reader: checking, statistics, conversion to shards."""
