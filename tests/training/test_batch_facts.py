"""A batch that cannot be right is named by its sample and field; holes are none."""

import re

import numpy as np
import pytest
import tifffile
import torch
from tests.processes import side_by_side

import cen
from cen import cli
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.errors import TrainingError
from cen.training import FiniteLoss
from cen.training.batch_facts import BatchFacts, first_of_all


@pytest.fixture(scope="module")
def net():
    outputs = {"segmentation": 3, "depth": cen.models.Task("depth", 1)}
    return cen.build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "thermal": 1}, outputs=outputs, width=4,
        decoder_channels=4,
    )  # fmt: skip


def batch():
    return {
        "rgb": torch.rand(2, 3, 4, 4),
        "thermal": torch.rand(2, 1, 4, 4),
        "segmentation": torch.tensor([0, 1, 2, 255]).expand(2, 4, 4).clone(),
        "depth": torch.rand(2, 1, 4, 4),
        "name": ["north/a", "south/b"],
    }


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("thermal", -3.4e38, "3.4e.38"),
        ("thermal", float("nan"), "nan"),
        ("thermal", float("inf"), "inf"),
        ("rgb", 65535.0, "6.55"),
        ("depth", 1e20, r"1e\+20"),
        ("segmentation", 7, "magnitude 7, with 3"),
        ("segmentation", -1, "magnitude 1, with 3"),
    ],
)
def test_sample_field_and_value_are_named(net, field, value, words):
    facts, wrong = BatchFacts(net), batch()
    wrong[field][1, ..., 2, 2] = value
    facts.note(batch())
    facts.note(wrong)
    fault = facts.fault()
    assert fault is not None
    assert fault.startswith(f"sample south/b: {field} holds ")
    assert re.search(words, fault)
    facts.clear()
    assert facts.fault() is None


def test_the_file_is_named(net, tmp_path):
    """By the data set that the sample is of; a sample that it does not know has none."""
    (tmp_path / "dataset.yaml").write_text(
        "modalities: {rgb: {pattern: 'rgb/{id}.png'}, thermal: {pattern: 'heat/{id}.png', "
        "kind: continuous}}\nsplits: {train: train.txt}\n"
    )
    (tmp_path / "train.txt").write_text("north/a\nsouth/b\n")
    for folder in ("rgb", "heat"):
        for name in ("north/a", "south/b"):
            write_png(tmp_path / folder / f"{name}.png", np.zeros((4, 4), np.uint8))
    dataset = AlignedFolder(tmp_path, "train")
    facts, wrong = BatchFacts(net), batch()
    wrong["thermal"][1] = 1e20
    facts.note(wrong)
    assert str(facts.fault(dataset)).endswith(f" in {tmp_path / 'heat/south/b.png'}")
    wrong["name"] = ["x", "y"]
    facts.note(wrong)
    facts.clear()
    facts.note(wrong)
    assert str(facts.fault(dataset)).endswith("(after normalisation)")


def test_a_fault_of_another_process_is_told_by_all(tmp_path):
    """Process 0 of two has clean data, process 1 the bad sample."""
    side_by_side(tell, tmp_path)
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["sample b None"] * 2


def tell(rank, folder):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    told = first_of_all("sample b" if rank else None), first_of_all(None)
    (folder / str(rank)).write_text(f"{told[0]} {told[1]}")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("value", "stops"), [(1e20, False), (-3.4e38, True)])
def test_training_names_sample_field_and_file(value, stops, tmp_path, capsys):
    """A sensor that writes such a value where it measured nothing, in one of the files.

    A norm that divides by the smaller one hides it from the loss, and all else of the field, too.
    """
    root, rng = tmp_path / "data", np.random.default_rng(0)
    (root / "heat").mkdir(parents=True)
    for name in "abcd":
        write_png(root / "rgb" / f"{name}.png", rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        write_png(root / "mask" / f"{name}.png", rng.integers(0, 2, (32, 32), dtype=np.uint8))
        heat = rng.normal(20, 5, (32, 32)).astype(np.float32)
        if name == "c":
            heat[3, 4] = value
        tifffile.imwrite(root / "heat" / f"{name}.tif", heat)
    (root / "dataset.yaml").write_text(
        "modalities:\n  rgb: {pattern: 'rgb/{id}.png'}\n"
        "  heat: {pattern: 'heat/{id}.tif', kind: continuous, mean: [20], std: [5]}\n"
        "outputs: {mask: {pattern: 'mask/{id}.png', kind: label, classes: [no, yes]}}\n"
        "splits: {train: train.txt, test: test.txt}\n"
    )
    (root / "train.txt").write_text("a\nb\nc\n")
    (root / "test.txt").write_text("d\n")
    words = ["train", "folder-example", "--data.root", str(root), "--out", str(tmp_path / "run")]
    words += ["--model.inputs={rgb: 3, heat: 1}", "--model.outputs={mask: {}}"]
    words += ["--model.name=segformer", "--model.width=4", "--model.decoder_channels=4"]
    words += ["--train.steps=3"]
    words += ["--train.batch_size=3", "--data.validation=0", "--train.accelerator=cpu"]
    assert cli.main(words) == (2 if stops else 0)
    said = " ".join(capsys.readouterr().err.split())
    assert ("because of the data: " in said) == stops
    assert "sample c: heat holds" in said
    assert str(root / "heat" / "c.tif") in said
    assert "lower train.encoder_lr" not in said


class TwoProcesses:
    """A trainer's view of a run whose other process has found a fault."""

    world_size, global_step, train_dataloader = 2, 7, None

    class strategy:  # noqa: N801 (the trainer's attribute)
        @staticmethod
        def reduce_boolean_decision(bad, all):
            return True


def test_a_process_with_clean_data_names_the_sample_of_the_other(net, monkeypatch):
    watch = FiniteLoss()
    watch._facts = BatchFacts(net)
    watch._facts.note(batch())
    told = "sample south/b: thermal holds 1e+20"
    monkeypatch.setattr("cen.training.callbacks.first_of_all", lambda fault: fault or told)
    with pytest.raises(TrainingError, match=r"south/b") as found:
        watch.check(TwoProcesses)
    assert "Its data are finite" not in str(found.value)


def test_holes_are_no_fault(net):
    facts, holes = BatchFacts(net), batch()
    holes["depth"][0] = torch.nan
    holes["depth"][1, :, 0] = torch.inf
    holes["segmentation"][0] = 255
    facts.note(holes)
    assert facts.fault() is None
