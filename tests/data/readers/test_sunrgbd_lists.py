"""Which frames of SUN RGB-D stay together when a split is drawn."""

from cen.data.readers.sunrgbd_lists import group_frames


def test_places_and_neighbours_stay_together():
    frames = [f"xtion/sun3ddata/home_{n % 3}/scan_{n % 2}/{n:03d}" for n in range(12)]
    frames += [f"kv2/kinect2data/{n:06d}_x" for n in range(800)] + ["realsense/lg/a"]
    groups = dict(zip(frames, group_frames(frames), strict=True))
    places = {groups[frame] for frame in frames[:12]}
    assert len(places) == 3
    blocks = [groups[frame] for frame in frames[12:812]]
    assert [blocks.count(block) for block in dict.fromkeys(blocks)] == [50] * 16
    assert blocks == sorted(blocks)


def test_blocks_follow_the_times_in_names():
    """Those of the Xtion have no leading zeros: 14_2 is long before 14_22."""
    names = [f"xtion/xtion_align_data/2014_12_18_{n // 60}_{n % 60}_7" for n in range(800, 1000)]
    groups = dict(zip(names, group_frames(names), strict=True))
    assert [groups[name] for name in names] == sorted(groups.values())
    assert len(set(groups.values())) == 10
