"""Training of networks that generate images: adversarial training and cycle fusion.

Beside plain training (:mod:`cen.training.module`), which does not import it.
"""
