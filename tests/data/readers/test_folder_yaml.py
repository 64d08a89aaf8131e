"""A dataset.yaml that is wrong is refused with its line."""

import pytest
from tests.data.own_folder import make_root, say

from cen.data.readers.aligned_folder import AlignedFolder
from cen.errors import CenError, DataError


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


def test_a_key_given_twice_is_refused(root):
    text = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(text + "outputs: {}\n")
    with pytest.raises(CenError, match=r"outputs: was given in line \d+ already"):
        AlignedFolder(root, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalitis": {}}, r"dataset\.yaml, line \d+: modalitis: is no key.* mean modalities"),
        ({"modalities__rgb__patern": "x"}, r"line 4: modalities\.rgb\.patern: .*mean pattern"),
        (
            {"modalities__rgb__pattern": None},
            r"line 2: modalities\.rgb: say where its files are",
        ),
        (
            {"modalities__rgb__pattern": "rgb/a.png"},
            r"line 3: modalities\.rgb\.pattern: .*no \{id\}",
        ),
        ({"modalities__rgb__pattern": "../{id}.png"}, "line 3: .* leaves the folder"),
        ({"modalities__rgb__kind": "colour"}, r"modalities\.rgb\.kind: 'colour' is not possible"),
        ({"modalities__rgb__unit": "much"}, r"rgb\.unit: 'much' does not fit; expected: number"),
        ({"modalities__rgb__std": [0]}, r"line 2: modalities\.rgb: std: 1 numbers for 3"),
        ({"modalities__rgb__classes": 3}, r"rgb\.classes: is for kind: label"),
        ({"modalities": {}}, "modalities: is empty"),
        ({"outputs__segmentation__classes": None}, r"outputs\.segmentation: say its kind"),
        ({"outputs__segmentation__palette": [[0, 0, 0]]}, "3 classes and 1 colours"),
        ({"outputs__rgb": {"pattern": "rgb/{id}.png"}}, r"outputs\.rgb: is a modality, too"),
        ({"splits": {"val": 0.2}}, r"splits\.val: no split \(did you mean 'validation'"),
        ({"splits": {"train": 0.5}}, r"splits\.train: training gets what is left"),
        ({"splits": {"test": "../a.txt"}}, r"splits\.test: '\.\./a\.txt' leaves"),
        ({"splits": {"test": "..\\a.txt"}}, r"splits\.test: .* leaves the folder"),
        ({"splits": {"test": [1]}}, r"splits\.test: \[1\]; give a list file or a share"),
        ({"splits": {"train": "a.txt", "test": 0.1}}, r"splits\.test: a share of what"),
        ({"splits": {"test": 1.5}}, r"test = 1\.5 is no share"),
        ({"missing": "ignore"}, r"missing: 'ignore' is not possible"),
        ({"root": "elsewhere"}, r"root: there is no folder .*elsewhere"),
        ({"outputs__segmentation__classes": ["a", "b", "a"]}, "'a' is empty or stands twice"),
        ({"outputs__segmentation__classes": ["a", " "]}, "' ' is empty or stands twice"),
        ({"outputs__segmentation__classes": 0}, "classes: there are none"),
        ({"intrinsics": [0, 50, 16, 12]}, r"line \d+: intrinsics: .*first two above 0"),
        ({"values": {0: "road"}}, r"values: is no key.*below the name of a field, as in outputs"),
        ({"outputs__segmentation__missing": 0}, r"outputs\.segmentation: missing: .* ignore says"),
    ],
)
def test_a_wrong_yaml_is_refused_by_key_and_line(root, changes, message):
    say(root, **changes)
    with pytest.raises(CenError, match=message):
        AlignedFolder(root, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modalities: [rgb", r"dataset\.yaml, line \d+: is not valid YAML"),
        ("just words", "holds no keys"),
        ("modalities: rgb", "modalities: 'rgb' holds no keys"),
        ("", "holds no keys"),
    ],
)
def test_what_is_no_description_is_refused(root, text, message):
    (root / "dataset.yaml").write_text(text)
    with pytest.raises(CenError, match=message):
        AlignedFolder(root, "train")
    (root / "dataset.yaml").unlink()
    with pytest.raises(DataError, match=r"dataset\.yaml: cannot be read .*your-own-data"):
        AlignedFolder(root, "train")
