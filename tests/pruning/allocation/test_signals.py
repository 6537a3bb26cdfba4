from types import SimpleNamespace

import pytest
import torch

from autoprune.errors import UsageError
from autoprune.pruning.allocation.signals import SIGNALS, unit_key, unit_signals
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


def test_an_unknown_signal_is_refused(layers):
    with pytest.raises(UsageError, match="luck"):
        unit_signals(layers, ("size", "luck"))


def test_a_unit_is_a_block_a_module_or_a_projection_type_of_a_block():
    expert = SimpleNamespace(name="model.layers.3.mlp.experts.7.up_proj", role="up", block=3)
    keys = {by: unit_key(expert, by) for by in ("block", "module", "projection")}
    assert keys == {"block": "block.3", "module": expert.name, "projection": "block.3.up"}
    with pytest.raises(UsageError, match="unknown unit"):
        unit_key(expert, "head")
