import zipfile

import numpy as np
import pytest
from tests.predict.scene import MODALITIES

from cen.errors import StreamError
from cen.models import Task, build
from cen.predict.predictor import Predictor
from cen.serving.answers import Answering, save_zip


def test_an_answer_is_what_the_network_predicts(predictor, values):
    answer = Answering(predictor)(values, ["rgb", "depth"])
    whole = predictor(values)
    np.testing.assert_array_equal(answer.results["segmentation"].labels, whole.labels)
    captions = [caption for _, caption in answer.predictions]
    alpha = [f"{name}, α {whole.alpha[name]:.2f}" for name in ("rgb", "depth")]
    assert captions == ["input rgb", "input depth", "ensemble", *alpha]
    figures = answer.figures["segmentation"]
    for off, rest in (("rgb", "depth"), ("depth", "rgb")):
        alone = predictor({rest: values[rest]})
        share = float((alone.labels != whole.labels).mean())
        assert figures["without"][off] == {"share_changed": share}
        assert f"other classes without {off}: {100 * share:.1f} %" in [c for _, c in answer.changes]
    shares = [entry["share"] for entry in answer.legends["segmentation"]]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)


def test_a_sensor_that_is_off_has_no_say(predictor, values):
    answer = Answering(predictor)(values, ["depth"])
    alone = predictor({"depth": values["depth"]})
    np.testing.assert_array_equal(answer.results["segmentation"].labels, alone.labels)
    assert [caption for _, caption in answer.predictions] == [
        "input depth", "ensemble", "depth, α 1.00",
    ]  # fmt: skip
    assert answer.changes == []


@pytest.mark.parametrize("on", [[], ["thermal"]])
def test_without_a_sensor_there_is_no_answer(predictor, values, on):
    with pytest.raises(StreamError, match=r"no sensor to predict from.*there are: rgb, depth"):
        Answering(predictor)(values, on)


def test_what_would_take_too_long_is_left_out_and_said(predictor, values):
    answer = Answering(predictor, seconds=-1)(values, ["rgb", "depth"])
    assert answer.changes == []
    assert [note.split(" was left out")[0] for note in answer.notes] == [
        "what rgb changes", "what depth changes",
    ]  # fmt: skip


def test_every_user_is_told_what_was_never_missed(net, values):
    net.metadata["modality_dropout"] = 0.0
    answering = Answering(Predictor(net))
    for _ in range(2):
        (note,) = answering(values, ["rgb"]).notes
        assert note.startswith("depth missing: the network never missed a modality")
    del net.metadata["modality_dropout"]


def test_other_outputs_are_painted_and_compared(values):
    outputs = {"far": Task("depth", 1), "segmentation": Task("segmentation", 3)}
    other = build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=4, outputs=outputs,
        decoder_channels=4,
    )  # fmt: skip
    answer = Answering(Predictor(other, preprocessing=MODALITIES))(values, ["rgb", "depth"])
    captions = [caption for _, caption in answer.predictions]
    assert captions[2].startswith("far: ensemble")
    assert "segmentation: ensemble" in captions
    assert answer.figures["far"]["without"]["rgb"]["mean_change"] > 0
    assert all(image.dtype == np.uint8 for image, _ in answer.predictions + answer.changes)


def test_changes_of_several_outputs_stand_in_the_order_of_the_outputs(values):
    names = ["far", "b", "segmentation", "a", "near", "c"]
    other = build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=4, decoder_channels=4,
        outputs={name: Task("depth", 1) for name in names},
    )  # fmt: skip
    answer = Answering(Predictor(other, preprocessing=MODALITIES))(values, ["rgb", "depth"])
    assert [caption.partition(":")[0] for _, caption in answer.changes] == 2 * names


def test_files_are_saved_in_one_archive(predictor, values, tmp_path):
    answer = Answering(predictor)(values, ["rgb", "depth"])
    (tmp_path / "way").mkdir()
    with zipfile.ZipFile(save_zip(answer, tmp_path / "a.zip", tmp_path / "way")) as archive:
        assert sorted(archive.namelist()) == [
            f"segmentation-{name}"
            for name in ("classes.json", "colours.png", "labels.png", "legend.png", "overlay.png")
        ]
    assert not list((tmp_path / "way").iterdir())
