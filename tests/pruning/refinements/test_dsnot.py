"""DSnoT: plain loops, the same budget, never a larger expected error."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.masks import make_mask
from autoprune.pruning.refinements.dsnot import dsnot

SEEDS = st.integers(0, 10_000)
PATTERNS = st.sampled_from([None, (2, 4), (1, 4), (4, 6)])


def made_up(seed, rows=6, inputs=24):
    """A weight, the mean, variance and mean square of its inputs, and random numbers for scores."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, inputs, generator=draw)
    mean, variance = torch.randn(inputs, generator=draw), torch.rand(inputs, generator=draw) + 0.1
    return weight, (mean, variance, mean.square() + variance), torch.rand(rows, inputs, generator=draw)


def dsnot_by_loops(weight, mask, moments, pattern, cycles):
    mean, variance, square = (vector.double().tolist() for vector in moments)
    kept = mask.tolist()
    for row, values in enumerate(weight.double().tolist()):
        effect = [value * average for value, average in zip(values, mean, strict=True)]
        wanda = [abs(value) * power**0.5 for value, power in zip(values, square, strict=True)]
        moved = set()
        for _ in range(cycles):
            error = sum(each for each, keep in zip(effect, kept[row], strict=True) if not keep)
            sign = 1 if error > 0 else -1
            places = [j for j in range(len(values)) if j not in moved]
            grow = [j for j in places if not kept[row][j] and effect[j] * sign > 0]
            if not grow:
                break
            grown = max(grow, key=lambda j: abs(effect[j]) / variance[j])
            if pattern is None:
                prune = [j for j in places if kept[row][j] and effect[j] * sign < 0]
            else:
                prune = [j for j in places if kept[row][j] and j // pattern[1] == grown // pattern[1]]
            if not prune:
                break
            pruned = min(prune, key=lambda j: wanda[j])
            if abs(error + effect[pruned] - effect[grown]) >= abs(error):
                break
            kept[row][grown], kept[row][pruned] = True, False
            moved |= {grown, pruned}
    return torch.tensor(kept)


def expected_error(weight, mask, moments):
    return (weight.double() * moments[0] * ~mask).sum(1).abs()


@given(
    seed=SEEDS, share=st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), pattern=PATTERNS, cycles=st.sampled_from([1, 3, 50])
)
@settings(max_examples=80, deadline=None)
def test_equals_plain_loops(seed, share, pattern, cycles):
    weight, moments, score = made_up(seed)
    before = make_mask(score, weight, round(share * weight.numel()), "matrix", pattern)
    after = dsnot(weight, before, *moments, pattern, cycles)
    assert torch.equal(after, dsnot_by_loops(weight, before, moments, pattern, cycles))


@given(seed=SEEDS, share=st.sampled_from([0.25, 0.5, 0.75]), group=st.sampled_from(["row", "matrix"]), pattern=PATTERNS)
@settings(max_examples=60, deadline=None)
def test_every_row_keeps_as_many_weights_and_no_expected_error_grows(seed, share, group, pattern):
    weight, moments, score = made_up(seed)
    before = make_mask(score, weight, round(share * weight.numel()), group, pattern)
    given_mask = before.clone()
    after = dsnot(weight, before, *moments, pattern)
    assert after.dtype == torch.bool
    assert torch.equal(before, given_mask)
    assert torch.equal(after.sum(1), before.sum(1))
    if pattern is not None:
        assert (after.view(-1, pattern[1]).sum(1) == pattern[0]).all()
    assert bool((expected_error(weight, after, moments) <= expected_error(weight, before, moments) + 1e-5).all())
    assert torch.equal(after, dsnot(weight, before, *moments, pattern))


def test_a_typical_row_ends_with_a_much_smaller_expected_error():
    weight, moments, score = made_up(1, rows=32, inputs=96)
    before = make_mask(score, weight, weight.numel() // 2, "row")
    after = dsnot(weight, before, *moments)
    assert float(expected_error(weight, after, moments).mean()) < 0.1 * float(
        expected_error(weight, before, moments).mean()
    )


def test_weights_that_are_zero_and_inputs_that_were_never_active_stay_as_they_are():
    weight, (mean, variance, square), score = made_up(2)
    weight[:, ::4] = 0.0
    for vector in (mean, variance, square):
        vector[1::4] = 0.0
    before = make_mask(score, weight, weight.numel() // 2, "row")
    after = dsnot(weight, before, mean, variance, square)
    assert torch.equal(after[:, ::4], before[:, ::4])
    assert torch.equal(after[:, 1::4], before[:, 1::4])
    assert not torch.equal(after, before)


def test_a_weight_in_16_bits_is_refined_as_its_values_in_float32():
    weight, moments, score = made_up(3)
    weight = weight.bfloat16()
    mask = make_mask(score, weight, weight.numel() // 2, "row")
    assert torch.equal(dsnot(weight, mask, *moments), dsnot(weight.float(), mask, *moments))


def test_shapes_that_do_not_fit_are_refused():
    weight, moments, _ = made_up(1)
    mask = torch.ones_like(weight, dtype=torch.bool)
    with pytest.raises(UsageError, match="do not have the shapes"):
        dsnot(weight, mask[:, :-1], *moments)
    with pytest.raises(UsageError, match="do not have the shapes"):
        dsnot(weight, mask, moments[0][:-1], *moments[1:])
