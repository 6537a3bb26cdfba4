from types import SimpleNamespace

import pytest
import torch

from autoprune.errors import UsageError
from autoprune.pruning.allocation.signals import SIGNALS, unit_key, unit_signals
from autoprune.pruning.greedy import greedy_error
from autoprune.pruning.skewness import skewness


@pytest.fixture
def layers():
    generator = torch.Generator().manual_seed(0)
    made = []
    for out, into in ((6, 8), (10, 4)):
        inputs = torch.randn(50, into, generator=generator)
        made.append(
            SimpleNamespace(
                weight=torch.randn(out, into, generator=generator),
                input_norm=inputs.norm(dim=0),
                hessian_diag=inputs.square().mean(0),
                hessian=inputs.T @ inputs / 50,
            )
        )
    made[0].weight[0, 0] = 60.0
    return made


def test_signals_equal_their_definitions_by_hand(layers):
    signals = unit_signals(layers, tuple(SIGNALS))
    scores = [
        abs(float(layer.weight[i, j])) * float(layer.input_norm[j])
        for layer in layers
        for i in range(layer.weight.shape[0])
        for j in range(layer.weight.shape[1])
    ]
    mean = sum(scores) / len(scores)
    weights = [float(w) for layer in layers for w in layer.weight.flatten()]
    squares = [float(h) for layer in layers for h in layer.hessian_diag]
    assert signals["size"] == 88
    assert signals["mean_score"] == pytest.approx(mean, rel=1e-5)
    assert signals["outlier_share"] == pytest.approx(sum(score > 5 * mean for score in scores) / 88)
    assert signals["outlier_share"] > 0
    assert signals["outlier_share_3"] == pytest.approx(sum(score > 3 * mean for score in scores) / 88)
    assert signals["outlier_share_10"] == pytest.approx(sum(score > 10 * mean for score in scores) / 88)
    by_matrix = [skewness(layer.weight.abs() * layer.input_norm) for layer in layers]
    assert signals["score_skewness"] == pytest.approx((48 * by_matrix[0] + 40 * by_matrix[1]) / 88, rel=1e-5)
    assert signals["weight_norm"] == pytest.approx((sum(w * w for w in weights) / 88) ** 0.5, rel=1e-5)
    assert signals["input_norm"] == pytest.approx((sum(squares) / 12) ** 0.5, rel=1e-5)


def greedy_by_loops(weight, hessian, block):
    """Half of each block of a row is pruned one by one, by the increase of p H p^T; the sum of the last values."""
    total = 0.0
    for row in weight.double():
        pruned = torch.zeros_like(row)

        def error(places, row=row, pruned=pruned):
            tried = pruned.clone()
            tried[places] = row[places]
            return float(tried @ hessian.double() @ tried)

        for start in range(0, len(row), block):
            inside = list(range(start, min(start + block, len(row))))
            for _ in range(len(inside) // 2):
                best = min((j for j in inside if pruned[j] != row[j]), key=lambda j: error([j]))
                pruned[best] = row[best]
        total += error([])
    return total


@pytest.mark.parametrize("block", [4, 6, 20, 128])
def test_the_greedy_error_is_that_of_plain_loops(block):
    draw = torch.Generator().manual_seed(block)
    inputs = torch.randn(40, 20, generator=draw) @ torch.randn(20, 20, generator=draw)
    weight, hessian = torch.randn(4, 20, generator=draw), inputs.T @ inputs / 40
    assert greedy_error(weight, hessian, block) == pytest.approx(greedy_by_loops(weight, hessian, block), rel=1e-4)


def test_the_signal_is_the_mean_over_matrices(layers):
    errors = [greedy_error(layer.weight, layer.hessian) for layer in layers]
    assert unit_signals(layers, ("greedy_error",)) == {"greedy_error": pytest.approx(sum(errors) / 2)}


def test_an_unknown_signal_is_refused(layers):
    with pytest.raises(UsageError, match="luck"):
        unit_signals(layers, ("size", "luck"))


def test_a_unit_is_a_block_a_module_or_a_projection_type_of_a_block():
    expert = SimpleNamespace(name="model.layers.3.mlp.experts.7.up_proj", role="up", block=3)
    keys = {by: unit_key(expert, by) for by in ("block", "module", "projection")}
    assert keys == {"block": "block.3", "module": expert.name, "projection": "block.3.up"}
    with pytest.raises(UsageError, match="unknown unit"):
        unit_key(expert, "head")
