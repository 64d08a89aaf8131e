"""What a run can be told: one typed dataclass for each part, ranges and choices beside the field.

``network_options`` (the network, its outputs), ``data_options`` (files, modalities, transforms),
``training_options`` (optimiser, schedule, losses), ``constraints`` (what a type alone does not
say). The YAML reader, the command line, `cen.build`, checkpoints and docs/configuration.md are
derived from them. Nothing here imports torch or anything of CEN but its errors.
"""
