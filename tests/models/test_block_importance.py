"""Block influence and models without some of their blocks, against hooks and reduced models."""

import math

import pytest
import torch

from autoprune.models.block_importance import block_influence, without_blocks
from autoprune.models.reduce import Reduction, reduced
from autoprune.models.structures import Anatomy

WINDOWS = torch.randint(384, (3, 20), generator=torch.Generator().manual_seed(0))


def test_the_influence_of_a_block_is_that_of_the_states_which_enter_and_leave_it(tiny_target):
    states = []
    hooks = [
        block.register_forward_hook(lambda module, args, output: states.append((args[0], output)))
        for block in tiny_target.model.model.layers
    ]
    with torch.inference_mode():
        tiny_target.model(WINDOWS, use_cache=False)
    for hook in hooks:
        hook.remove()
    steps = []
    measured = block_influence(tiny_target, WINDOWS, lambda: steps.append(1))
    assert len(steps) == 9
    for (before, after), value in zip(states, measured, strict=True):
        after = after[0] if isinstance(after, tuple) else after
        cosines = [
            float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
            for a, b in zip(before.flatten(0, 1).double(), after.flatten(0, 1).double(), strict=True)
        ]
        assert value == pytest.approx(1 - sum(cosines) / len(cosines), abs=1e-6)


@pytest.mark.parametrize("gone", [{1}, {0, 2}])
def test_without_blocks_a_model_computes_what_the_reduced_one_computes(tiny_target, gone):
    model = tiny_target.model
    anatomy = Anatomy(model, "tiny")
    smaller = reduced(anatomy, Reduction(tuple(sorted({0, 1, 2} - gone))))
    with torch.inference_mode():
        before = model(WINDOWS, use_cache=False).logits
        with without_blocks(tiny_target, gone):
            skipped = model(WINDOWS, use_cache=False).logits
        torch.testing.assert_close(skipped, smaller(WINDOWS, use_cache=False).logits, rtol=1e-5, atol=1e-5)
        assert torch.equal(model(WINDOWS, use_cache=False).logits, before)
