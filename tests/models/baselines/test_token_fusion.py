"""TokenFusion: the equation, the loss on the scores, streams that are absent, files."""

import copy

import pytest
import torch
from tests.models.predicting import predict

from cen.errors import ConfigError
from cen.exchange import exchange_layers, sparsity
from cen.models import load, save
from cen.models.baselines import TokenExchange
from cen.models.baselines.token_fusion import replaced_tokens
from cen.models.mit import LAYOUTS
from cen.training.absent_streams import absent_rows

TOKENS = {"name": "segformer", "encoder": "mit_b0", "fusion": "tokenfusion"}
THREE = {"a": 3, "b": 1, "c": 2}


@pytest.fixture
def net(make_net):
    return make_net(**TOKENS, dropout=0.0, drop_path=0.0)


def by_the_equation(mixed, scores, threshold):
    """Token by token; (B, S, N, C) and (B, S, N), as lists of what each stream has."""
    result = torch.empty_like(mixed)
    for sample, stream, token in torch.cartesian_prod(*map(torch.arange, mixed.shape[:3])).tolist():
        own = mixed[sample, stream, token] * scores[sample, stream, token]
        if scores[sample, stream, token] < threshold:
            others = [s for s in range(mixed.shape[1]) if s != stream]
            own = sum(mixed[sample, s, token] * scores[sample, s, token] for s in others)
            own = own / len(others)
        result[sample, stream, token] = own
    return result


@pytest.mark.parametrize("streams", [2, 3])
def test_tokens_below_the_threshold_are_those_of_the_others(streams):
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(2, streams, 7, 5, generator=generator)
    scores = torch.rand(2, streams, 7, generator=generator)
    scores[0, 0, 0] = 0.3  # the threshold itself is kept
    found = replaced_tokens(mixed.flatten(0, 1), scores.flatten(0, 1)[..., None], streams, 0.3)
    expected = by_the_equation(mixed, scores, 0.3)
    assert 0 < (scores < 0.3).float().mean() < 1
    torch.testing.assert_close(found.view_as(mixed), expected)


def test_a_lone_stream_keeps_its_tokens():
    mixed, scores = torch.ones(2, 3, 4), torch.full((2, 3, 1), 0.001)
    assert torch.equal(replaced_tokens(mixed, scores, 1, 0.02), mixed * scores)


def test_without_a_threshold_streams_do_not_meet_and_with_one_they_do(make_net, make_inputs):
    for threshold, meets in ((0.0, False), (0.9, True)):
        net = make_net(**TOKENS, exchange={"threshold": threshold}).eval()
        inputs = make_inputs(net)
        together = predict(net, inputs)["segmentation"].streams["rgb"]
        alone = predict(net, {"rgb": inputs["rgb"]})["segmentation"].streams["rgb"]
        assert together.allclose(alone, atol=1e-6) != meets


def test_every_block_scores_with_the_network_of_its_stage(net, make_inputs):
    net(make_inputs(net, (64, 64)))
    layers = [module for module in net.modules() if isinstance(module, TokenExchange)]
    assert [len(layer.given) for layer in layers] == list(LAYOUTS[0][1])
    assert [layer.given[0].shape[2:] for layer in layers] == [(n, n) for n in (16, 8, 4, 2)]
    assert {layer.threshold for layer in layers} == {0.02}
    assert not exchange_layers(net)
    assert sparsity(net) == 0


def test_the_loss_is_the_mean_score_of_the_last_training_pass(net, make_inputs):
    inputs = make_inputs(net, (64, 64))
    net(inputs)
    scores = [s for m in net.modules() if isinstance(m, TokenExchange) for s in m.given]
    expected = sum(s.sum() for s in scores) / sum(s.numel() for s in scores)
    copy.deepcopy(net)
    predict(net.eval(), inputs)  # a pass that only looks
    net.train()
    loss = net.auxiliary_loss()
    torch.testing.assert_close(loss, expected)
    assert 0.1 < loss < 0.9
    before = loss.detach()
    loss.backward()
    assert net.auxiliary_loss() == 0  # it is handed out once
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    net(inputs)
    assert net.auxiliary_loss() < before


def test_a_stream_that_is_absent_learns_nothing_and_the_other_does(net, make_inputs):
    net({"depth": make_inputs(net)["depth"]})["segmentation"].ensemble.sum()
    loss = net.auxiliary_loss()
    loss.backward()
    rows = {id(parameter) for parameter, row in absent_rows(net, ("depth",)) if row == 0}
    fusion = net.encoder.stage1.fusion
    for parameter in fusion.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[0].any()
        assert parameter.grad[1].any()
        assert id(parameter) in rows  # nor does momentum move it


def test_what_is_saved_is_what_is_loaded(make_net, make_inputs, tmp_path):
    net = make_net(**TOKENS, inputs=THREE, exchange={"threshold": 0.4}).eval()
    save(net, tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    inputs = make_inputs(net)
    for names in (["a", "b", "c"], ["b", "c"], ["a"]):
        some = {name: inputs[name] for name in names}
        first, second = (predict(n, some)["segmentation"].ensemble for n in (net, again))
        assert torch.equal(first, second)


def test_a_new_input_starts_from_the_scores_of_another(net):
    wider = net.adapt(inputs={**net.inputs, "thermal": 1})
    old, new = (n.encoder.stage2.fusion.score[1].weight for n in (net, wider))
    assert not torch.equal(old[0], old[1])  # every stream has been drawn by itself
    assert torch.equal(new[:2], old)
    assert torch.equal(new[2], old[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": "resnet18"}, r"mit_b0 to mit_b5, not resnet18"),
        ({"inputs": {"rgb": 3}}, "at least 2 inputs"),
        ({"fusion_at": "late"}, "fusion_at='late'"),
        ({"exchange_norms": ["*.norm1"]}, "exchange_norms"),
        ({"decoder_exchange": True}, "exchanges no channels"),
    ],
)
def test_where_tokens_cannot_be_exchanged_it_is_refused(make_net, changes, words):
    with pytest.raises(ConfigError, match=words):
        make_net(**{**TOKENS, **changes})
