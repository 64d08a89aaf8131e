"""Videos as scenes: frames by number, a folder beside them, overlays as a video."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cen import cli
from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import ConfigError, DataError
from cen.models import save
from cen.predict.predictor import Predictor
from cen.predict.videos import Video, is_video, video_scenes

SIZE = (48, 64)
MODALITIES = {"rgb": Modality.of("image"), "depth": Modality.of("depth")}


def write_video(path: Path, frames: int, rate: float = 10.0) -> Path:
    """A frame of one colour each, by which its number is known."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, SIZE[::-1])
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(frames):
        writer.write(np.full((*SIZE, 3), (0, 0, 30 * number), np.uint8))
    writer.release()
    return path


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Six frames, and a 16-bit depth map for each."""
    for number in range(6):
        depth = np.full(SIZE, 1000 + number, np.uint16)
        write_png(tmp_path / f"depth/d{number}.png", depth)
    return {"rgb": str(write_video(tmp_path / "a.mp4", 6)), "depth": str(tmp_path / "depth")}


def test_frames_are_found_by_number_in_any_order(places: dict[str, str]) -> None:
    video = Video(places["rgb"])
    assert (video.frames, video.rate) == (6, 10.0)
    for number in (0, 1, 4, 2, 5):
        frame = video.frame(number)
        assert (frame.shape, frame.dtype) == ((*SIZE, 3), np.uint8)
        np.testing.assert_allclose(frame.mean((0, 1)), (30 * number, 0, 0), atol=4)
    with pytest.raises(DataError, match=r"a\.mp4: ends, or is damaged, after 6 frames"):
        video.frame(6)


def test_a_folder_of_depth_goes_with_the_frames(places: dict[str, str]) -> None:
    scenes, rate = video_scenes(places, MODALITIES)
    assert ([s.name for s in scenes], rate) == ([f"{n:06d}" for n in range(6)], 10.0)
    inputs, _ = scenes[3].load()
    assert Path(str(inputs["depth"])).name == "d3.png"
    np.testing.assert_allclose(np.mean(inputs["rgb"], (0, 1)), (90, 0, 0), atol=4)


def test_what_does_not_go_together_is_refused(places: dict[str, str], tmp_path: Path) -> None:
    both = {"rgb": MODALITIES["rgb"], "infrared": Modality.of("image")}
    other = {**places, "infrared": str(write_video(tmp_path / "b.mp4", 6, 25.0))}
    del other["depth"]
    with pytest.raises(DataError, match=r"10 frames per second, .*b\.mp4 25"):
        video_scenes(other, both)
    other["infrared"] = str(write_video(tmp_path / "c.mp4", 5))
    with pytest.raises(DataError, match=r"a\.mp4 has 6, .*c\.mp4 has 5 frames"):
        video_scenes(other, both)
    assert len(video_scenes(other, both, 5)[0]) == 5
    with pytest.raises(DataError, match="--frames 6: "):
        video_scenes(other, both, 6)
    with pytest.raises(ConfigError, match=r"--depth .*8 bits, which hold no distances"):
        video_scenes({"depth": places["rgb"]}, MODALITIES)
    (tmp_path / "d.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"d\.mp4: is no video that OpenCV can open"):
        Video(str(tmp_path / "d.mp4"))


def test_a_number_is_a_camera() -> None:
    assert is_video("7")
    assert not is_video("photos")
    with pytest.raises(DataError, match="97: is no camera that OpenCV can open"):
        Video("97")


def test_the_command_predicts_every_frame_and_joins_them(
    net, places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(net, tmp_path / "best.safetensors", metadata={"modality_dropout": 0.3})
    out, run = tmp_path / "out", str(tmp_path / "best.safetensors")
    words = ["predict", run, "--rgb", places["rgb"], "--depth", places["depth"], "-o", str(out)]
    assert cli.main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["videos"]) == (6, [str(out / "overlay.mp4")])
    joined = Video(str(out / "overlay.mp4"))
    assert (joined.frames, joined.rate) == (6, 10.0)
    alone = Predictor(run)(
        {"rgb": Video(places["rgb"]).frame(4), "depth": f"{places['depth']}/d4.png"}
    )
    found = cv2.imread(str(out / "000004/labels.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, alone.labels)
    (out / "000002/scene.json").unlink()
    assert cli.main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["predicted"], figures["skipped"]) == (1, 5)
    other = str(write_video(tmp_path / "b.mp4", 6))
    assert cli.main([*words[:3], other, *words[4:]]) == 2
    assert "made with another videos" in capsys.readouterr().err
    assert cli.main(["predict", run, "--depth", places["depth"], "-o", str(out)]) == 2
    assert "made with another modalities, videos" in capsys.readouterr().err
    assert cli.main([*words[:3], str(tmp_path / "none.mp4"), *words[4:]]) == 2
    assert "none.mp4: no such file" in capsys.readouterr().err
