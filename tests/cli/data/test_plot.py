"""``cen data NAME plot``: a sheet of samples."""

from pathlib import Path

from PIL import Image

from cen import cli


def test_plot_writes_a_sheet(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    words = ["data", "nyudv2", "plot", str(root), "--samples", "2", "--out", str(out)]
    assert cli.main(words) == 0
    with Image.open(out) as small:
        few = small.size
    assert cli.main([*words[:-3], "5", "--out", str(out), "--first", "1"]) == 0
    with Image.open(out) as large:
        assert large.size[0] == few[0]
        assert large.size[1] > few[1]
