"""Predictions of a trained network: reading scenes, segmenting them, writing what was found."""
