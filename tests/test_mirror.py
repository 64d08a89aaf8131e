"""Tests mirror the package: ``src/cen/a/b.py`` is tested by ``tests/a/test_b.py``."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "cen"

# What several modules do together, a whole command, a page, a kind of damage: of no one module.
TOGETHER = {
    ".": "citation claims disks docs floors mirror notebooks output_config package site",
    "cli": "bad_lines loss_option main other_networks real_layouts several "
    "shipped_configurations translated translation",
    "data": "corrupted real_files",
    "data/fields": "modalities_page",
    "data/formats": "formats",
    "data/readers": "folder_errors own_data_page",
    "data/rooms": "layouts",
    "exchange": "device sharded threads",
    "folding": "exactness quoted_costs random_networks",
    "hostile": "hostile_commands hostile_data hostile_files",
    "models": "ablations defaults timm_networks",
    "peers": "peers",
    "predict": "parts prediction_page",
    "report": "several",
    "studies": "real_data study",
    "training": "adversaries cycle_data fusions kill multitask own_labels",
}


def test_a_test_file_has_the_name_of_what_it_tests() -> None:
    together = {Path(folder, name) for folder, names in TOGETHER.items() for name in names.split()}
    for file in TESTS.rglob("test_*.py"):
        place = file.relative_to(TESTS).with_name(file.stem.removeprefix("test_"))
        module = PACKAGE / place
        assert place in together or module.with_suffix(".py").is_file() or module.is_dir(), (
            f"{file.relative_to(TESTS)}: no module {place}.py in src/cen; name it after what it "
            "tests, or list it as a test of several modules"
        )
