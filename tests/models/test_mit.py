"""MiT against the network of segmentation_models_pytorch, and its facts."""

import pytest
import torch
from torch import nn

from cen.errors import CheckpointError, ConfigError
from cen.exchange import exchange_layers
from cen.models import build
from cen.models.mit import LAYOUTS, MiT, renamed


@pytest.mark.parametrize("number", [0, 1])
def test_features_are_those_of_another_implementation_with_its_weights(number):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    theirs = smp.encoders.get_encoder(f"mit_b{number}", weights=None).eval()
    state = {
        key: torch.randn_like(value) / 5 if value.ndim == 1 else value
        for key, value in theirs.state_dict().items()
    }
    theirs.load_state_dict(state)
    ours = MiT(number).eval()
    ours.load_state_dict(renamed({**state, "head.weight": torch.zeros(1)}))
    image = torch.randn(2, 3, 65, 90)
    expected = theirs(image)[2:]
    found = ours(image)
    assert [x.shape[1] for x in found] == list(ours.channels)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


# Millions of parameters of the encoders, Table 6 of the paper.
@pytest.mark.parametrize(("number", "millions"), [(0, 3.3), (1, 13.1), (2, 24.2), (3, 44.0)])
def test_number_of_parameters_is_that_of_the_paper(number, millions):
    with torch.device("meta"):
        encoder = MiT(number)
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


def test_exchange_is_before_the_mlp_of_every_block():
    net = build("segformer", encoder="mit_b0", width=4, inputs={"a": 3, "b": 1}, outputs={"s": 2})
    names = list(exchange_layers(net))
    assert len(names) == sum(LAYOUTS[0][1])
    assert all(name.startswith("encoder.stage") and name.endswith(".norm2") for name in names)


def test_branches_are_left_out_in_training_alone_and_keep_their_mean():
    torch.manual_seed(0)
    encoder = MiT(0, width=4, drop_path=0.5)
    block = encoder.stage4.blocks[-1]
    assert block.drop_path == 0.5
    assert encoder.stage1.blocks[0].drop_path == 0
    branch = torch.ones(4000, 1, 1)
    dropped = block._sometimes(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.1)
    assert block.eval()._sometimes(branch) is branch


def test_weights_of_the_authors_files_are_taken_and_others_named(tmp_path):
    source = MiT(0, width=4)
    names = dict(source.state_dict().items())
    renaming = renamed({"patch_embed1.proj.weight": names["conv1.weight"]})
    assert list(renaming) == ["conv1.weight"]
    theirs = {
        key.replace("conv1.", "patch_embed1.proj.", 1) if key.startswith("conv1") else key: value
        for key, value in names.items()
    }
    file = tmp_path / "mit.pth"
    torch.save(theirs, file)
    options = {"encoder": "mit_b0", "inputs": {"a": 3}, "outputs": {"s": 2}}
    net = build("segformer", width=4, weights=str(file), **options)
    assert torch.equal(net.encoder.conv1.weight, source.conv1.weight)
    with pytest.raises(CheckpointError, match=r"does not hold a MiT-B0 of width 8"):
        build("segformer", width=8, weights=str(file), **options)
    with pytest.raises(CheckpointError, match="licence"):
        build("segformer", weights="imagenet", **options)


def test_what_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="B0 to B5"):
        MiT(6)
    with pytest.raises(ConfigError, match="stride 4 to 32"):
        build("pspnet", encoder="mit_b0", inputs={"a": 3}, outputs={"s": 2})
    with pytest.raises(ConfigError, match="drop_path"):
        build("refinenet", encoder="resnet18", drop_path=0.1, inputs={"a": 3}, outputs={"s": 2})


def test_norms_are_layer_norms_of_tokens():
    norms = [m for m in MiT(0, width=4).modules() if isinstance(m, nn.LayerNorm)]
    # Per block two, and one for keys and values in the first three stages; two around each stage.
    assert len(norms) == 2 * 8 + 6 + 2 * 4
