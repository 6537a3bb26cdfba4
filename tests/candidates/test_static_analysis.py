"""Reading what a score computes: the same numbers as torch, no judgement of what it cannot follow, and no harm."""

from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autoprune.agents.symbolic import variation
from autoprune.agents.symbolic.source import source
from autoprune.candidates.static_analysis import _layer, published_scores, read
from autoprune.pruning.scores import SCORES

HEAD = "import torch\n\n\ndef score(layer):\n    W = layer.weight.abs()\n"


def by_torch(text):
    layer = {name: torch.tensor(np.asarray(value)) for name, value in vars(_layer()).items()}
    scope = {}
    exec(text, scope)
    return scope["score"](SimpleNamespace(**layer)).numpy()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_read_is_what_torch_computes(seed):
    random = Random(seed)
    tree = variation.explore(random) if seed % 2 else variation.initialise(random)
    text = source(tree[1] if tree[0] == "exchange" else tree, "row")
    reading = read(text)
    if "layer.role" in text:
        assert reading is None  # a branch: what it gives elsewhere cannot be seen on one layer
        return
    assert reading is not None, text
    np.testing.assert_allclose(reading.scores, by_torch(text), rtol=1e-6)


def test_exchanges_are_a_loop_and_are_not_judged():
    assert read(source(("exchange", ("mul", "W", "X"), 2.0), "row")) is None


@pytest.mark.parametrize(
    "line",
    [
        "return torch.where(W > W.mean(), W, 0.5 * W) / W.std(dim=1, keepdim=True)",
        "W *= torch.sqrt(layer.input_var.clamp(min=0.1))\n    return W - W.amin(dim=0, keepdim=True)",
        "return W * (1 + (W > 3 * W.mean(dim=1, keepdim=True)).float()) * layer.input_mean.abs()",
        "return -(W.max() - W) * torch.maximum(layer.input_norm, layer.input_norm.mean()).rsqrt()",
    ],
)
def test_the_ways_that_models_write_are_read(line):
    text = f"{HEAD}    {line}\n"
    np.testing.assert_allclose(read(text).scores, by_torch(text), rtol=1e-6)


@pytest.mark.parametrize(
    "line",
    [
        "while True: pass",
        "return open('/etc/passwd').read()",
        "return W.__class__",
        "return [w for w in W]",
        "return score(layer)",
        "return W ** 10 ** 10 ** 10 if W else W",
        "return unknown * W",
        "return W.sum(dim=7)",
        "return layer.wait",
        "return 'x' * 10 ** 9",
        "return",
        "return W[0]",
        "return " + "(" * 5000 + "W" + ")" * 5000,
    ],
)
def test_what_cannot_be_followed_is_not_judged(line):
    assert read(f"{HEAD}    {line}\n") is None


def test_helpers_that_multiply_are_given_up():
    helpers = "".join(f"def f{n}(x):\n    return {' + '.join([f'f{n + 1}(x)'] * 50)}\n\n\n" for n in range(6))
    assert read(f"{helpers}def f6(x):\n    return x\n\n\n{HEAD}    return f0(W)\n") is None


def test_published_scores_are_those_of_the_pruning_room():
    layer = SimpleNamespace(**{name: torch.tensor(np.asarray(value)) for name, value in vars(_layer()).items()})
    for name, scores in published_scores().items():
        np.testing.assert_allclose(scores, SCORES[name](layer).numpy(), rtol=1e-12, err_msg=name)
