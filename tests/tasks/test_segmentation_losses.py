"""Every loss of segmentation against a plain loop in numpy, and what all of them keep to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

import cen
from cen.errors import ConfigError
from cen.losses import segmentation_loss
from cen.tasks import Task
from cen.tasks.segmentation_losses import LOSSES, Pixels

CLASSES, IGNORED = 4, 255


def batch(seed: int = 0, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels; class 3 occurs nowhere in the second image, the third has few labels."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, CLASSES, 6, 7, generator=rng, dtype=torch.float64)
    labels = torch.randint(CLASSES, (images, 6, 7), generator=rng)
    labels[:, 0] = IGNORED
    labels[1:2][labels[1:2] == 3] = 1
    labels[2:, :, 2:] = IGNORED
    return logits.float(), labels


def numbers(logits: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C) and labels (N,) of the labelled pixels of one image, in numpy."""
    values = logits.double().numpy().reshape(CLASSES, -1).T
    flat = labels.numpy().ravel()
    values, flat = values[flat != IGNORED], flat[flat != IGNORED]
    shares = np.exp(values - values.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True), flat


def pixels(logits, labels):
    parts = [numbers(*pair) for pair in zip(logits, labels, strict=True)]
    return np.concatenate([p for p, _ in parts]), np.concatenate([t for _, t in parts])


def cross_entropy(logits, labels, weight):
    p, t = pixels(logits, labels)
    return float((weight[t] * -np.log(p[np.arange(len(t)), t])).sum() / weight[t].sum())


def label_smoothing(logits, labels, weight):
    p, t = pixels(logits, labels)
    wished = np.full(p.shape, 0.1 / CLASSES)
    wished[np.arange(len(t)), t] += 0.9
    return float((wished * weight * -np.log(p)).sum() / weight[t].sum())


def focal(logits, labels, weight):
    p, t = pixels(logits, labels)
    own = p[np.arange(len(t)), t]
    return float((weight[t] * (1 - own) ** 2 * -np.log(own)).sum() / weight[t].sum())


def ohem(logits, labels, weight):
    kept = []
    for pair in zip(logits, labels, strict=True):
        p, t = numbers(*pair)
        losses = sorted(weight[t] * -np.log(p[np.arange(len(t)), t]), reverse=True)
        kept += losses[: int(np.ceil(len(losses) / 5))]
    return float(np.mean(kept))


def over_images(of_class):
    def loss(logits, labels, weight):
        images = []
        for pair in zip(logits, labels, strict=True):
            p, t = numbers(*pair)
            if not len(t):
                continue
            shown = np.unique(t)
            losses = np.array([of_class(p[:, c], t == c) for c in shown])
            images.append((weight[shown] * losses).sum() / weight[shown].sum())
        return float(np.mean(images))

    return loss


@over_images
def dice(p, truth):
    return 1 - 2 * p[truth].sum() / (p.sum() + truth.sum())


@over_images
def lovasz(p, truth):
    """By the definition: Σ e_k · (Δ(first k wrong) − Δ(first k − 1 wrong)), errors e falling."""
    errors = np.where(truth, 1 - p, p)
    wrong, total, before = np.zeros(len(p), dtype=bool), 0.0, 0.0
    for k in np.argsort(-errors, kind="stable"):
        wrong[k] = True
        guess = truth ^ wrong
        after = 1 - (guess & truth).sum() / (guess | truth).sum()
        total += errors[k] * (after - before)
        before = after
    return total


LOOPS = {
    "cross_entropy": cross_entropy,
    "label_smoothing": label_smoothing,
    "focal": focal,
    "ohem": ohem,
    "dice": dice,
    "lovasz": lovasz,
}


def test_every_loss_has_a_loop() -> None:
    assert set(LOOPS) == set(LOSSES)
    assert next(iter(LOSSES)) == "cross_entropy"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_against_a_loop(name: str, weighted: bool) -> None:
    logits, labels = batch()
    weight = torch.tensor([1.0, 0.5, 2.0, 3.0]) if weighted else None
    expected = LOOPS[name](logits, labels, np.ones(4) if weight is None else weight.numpy())
    found = segmentation_loss(logits, labels, weight, loss=name)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say_and_others_have(name: str) -> None:
    logits, labels = batch()
    logits.requires_grad_()
    loss = segmentation_loss(logits, labels, loss=name)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    ignored = (labels == IGNORED)[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()
    other = logits.detach().clone()
    other[ignored] = 50 * torch.randn(int(ignored.sum()))
    assert segmentation_loss(other, labels, loss=name) == loss


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_differences(name: str) -> None:
    """In float64, where no two errors are close enough to change places."""
    logits, labels = (values[..., 1:4, :4] for values in batch(images=1))
    measure = LOSSES[name]

    def loss(values: torch.Tensor) -> torch.Tensor:
        return measure(Pixels(values, labels, None, IGNORED))

    assert torch.autograd.gradcheck(loss, logits.double().requires_grad_(), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_a_step_make_the_whole(name: str, weighted: bool) -> None:
    """Weighed by what they count, the losses of two processes have the mean of the whole step."""
    logits, labels = batch()
    weight = torch.tensor([1.0, 0.5, 2.0, 3.0]) if weighted else None
    rules = Task("segmentation", CLASSES, loss=name).rules
    parts = [slice(0, 1), slice(1, 3)]
    counted = torch.stack([rules.counted(labels[part], weight) for part in parts])
    losses = torch.stack([rules.loss(logits[part], labels[part], weight) for part in parts])
    whole = rules.loss(logits, labels, weight)
    torch.testing.assert_close((counted * losses).sum() / counted.sum(), whole)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_labelled_costs_nothing(name: str) -> None:
    logits = torch.randn(2, CLASSES, 4, 4, requires_grad=True)
    labels = torch.full((2, 4, 4), IGNORED)
    for weight in (None, torch.ones(CLASSES)):
        loss = segmentation_loss(logits, labels, weight, loss=name)
        loss.backward()
        assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()
    assert Task("segmentation", CLASSES, loss=name).rules.counted(labels) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_read_back(name: str) -> None:
    """On the meta device any read of a value raises, as a hidden synchronisation would."""
    logits, labels = batch()
    assert segmentation_loss(logits.to("meta"), labels.to("meta"), loss=name).device.type == "meta"


def test_certain_predictions_have_the_scores_of_their_labels() -> None:
    """Lovász and Dice are 1 − IoU and 1 − Dice where every probability is 0 or 1."""
    rng = torch.Generator().manual_seed(1)
    guess, truth = (torch.randint(3, (1, 8, 9), generator=rng) for _ in range(2))
    certain = 100 * torch.nn.functional.one_hot(guess, 3).movedim(-1, 1).float()
    iou = multiclass_jaccard_index(guess, truth, 3, average="macro")
    torch.testing.assert_close(segmentation_loss(certain, truth, loss="lovasz"), 1 - iou)
    score = dice_score(guess, truth, 3, average="macro", input_format="index").mean()
    torch.testing.assert_close(segmentation_loss(certain, truth, loss="dice"), 1 - score)


def test_a_network_keeps_the_loss_of_its_task(tmp_path) -> None:
    task = Task("segmentation", CLASSES, loss="dice")
    net = cen.build("unet", encoder="unet3", inputs={"rgb": 3}, outputs={"s": task}, width=4)
    cen.save(net, tmp_path / "net.safetensors")
    assert cen.load(tmp_path / "net.safetensors").outputs["s"] == task


def test_a_loss_that_is_none_is_refused() -> None:
    logits, labels = batch()
    with pytest.raises(ConfigError, match=r"'lovaz'.*did you mean.*lovasz"):
        segmentation_loss(logits, labels, loss="lovaz")


def test_every_loss_is_documented() -> None:
    pages = Path(__file__).parents[2] / "docs"
    for name in LOSSES:
        assert f"| `{name}` |" in (pages / "multitask.md").read_text("utf-8")
