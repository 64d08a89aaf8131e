"""Paint is seen in colour alone."""

import dataclasses

import numpy as np

from cen.data import render_scene
from cen.data.rooms import render
from cen.data.rooms.scene import sample_scene

SIZE = (48, 64)


def test_materials_are_invisible_to_depth_and_prints_are_flat(monkeypatch):
    """Other paint and no prints: the geometry, and what the depth sensor makes of it, stay."""

    def repainted(rng):
        scene = sample_scene(rng)
        solids = [dataclasses.replace(s, material=(s.material + 1) % 3) for s in scene.objects]
        return dataclasses.replace(scene, solids=tuple(solids))

    scenes = range(6)
    before = [render_scene(8, index, SIZE) for index in scenes]
    monkeypatch.setattr(render, "sample_scene", repainted)
    after = [render_scene(8, index, SIZE) for index in scenes]
    for old, new in zip(before, after, strict=True):
        for name in ("depth", "depth_clean", "normal", "principal_curvature", "edge_occlusion"):
            np.testing.assert_array_equal(old[name], new[name])
        assert not np.array_equal(old["albedo"], new["albedo"])


def test_prints_are_seen_in_colour_but_labelled_as_what_they_are_printed_on(monkeypatch):
    scenes = range(10)
    before = [render_scene(9, index, SIZE, ("albedo", "parts")) for index in scenes]

    def unprinted(rng):
        scene = sample_scene(rng)
        return dataclasses.replace(scene, solids=scene.objects)

    monkeypatch.setattr(render, "sample_scene", unprinted)
    after = [render_scene(9, index, SIZE, ("albedo", "parts")) for index in scenes]
    shares = []
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old["parts"], new["parts"])
        changed = (old["albedo"] != new["albedo"]).any(-1)
        assert (old["parts"][changed] < 3).all()
        shares.append(changed.mean())
    assert 0.01 < np.mean(shares) < 0.2
