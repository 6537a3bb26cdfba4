"""Swaps: the same budget, never a larger error, the best swap where one is taken."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.masks import make_mask
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.pruning.refinements.swaps import swaps

SEEDS = st.integers(0, 10_000)
SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.9, 1.0])


def made_up(seed, rows=5, inputs=20, tokens=24):
    """A weight, the Hessian of correlated inputs, and random numbers for scores."""
    draw = torch.Generator().manual_seed(seed)
    activations = torch.randn(tokens, inputs, generator=draw) + torch.randn(inputs, generator=draw)
    weight = torch.randn(rows, inputs, generator=draw)
    return weight, activations.T @ activations / tokens, torch.rand(rows, inputs, generator=draw)


def errors(weight, hessian, mask):
    """p H p^T of each row in double precision, p its pruned part."""
    pruned = (weight * ~mask).double()
    return ((pruned @ hessian.double()) * pruned).sum(1)


def no_worse(weight, hessian, before, after):
    return bool((errors(weight, hessian, after) <= errors(weight, hessian, before) * (1 + 1e-4) + 1e-5).all())


@given(seed=SEEDS, share=SHARES, rounds=st.sampled_from([1, 2, SWAP_ROUNDS]), group=st.sampled_from(["row", "matrix"]))
@settings(max_examples=60, deadline=None)
def test_every_row_keeps_as_many_weights_and_no_row_gets_worse(seed, share, rounds, group):
    weight, hessian, score = made_up(seed)
    before = make_mask(score, weight, round(share * weight.numel()), group)
    given_mask = before.clone()
    after = swaps(weight, before, hessian, rounds)
    assert after.dtype == torch.bool
    assert torch.equal(before, given_mask)
    assert torch.equal(after.sum(1), before.sum(1))
    assert no_worse(weight, hessian, before, after)
    assert torch.equal(after, swaps(weight, before, hessian, rounds))


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_many_pairs_at_a_time_never_make_a_row_worse(seed):
    weight, hessian, score = made_up(seed, rows=3, inputs=288 * 4)
    before = make_mask(score, weight, weight.numel() // 2, "row")
    after = swaps(weight, before, hessian, 2)
    assert torch.equal(after.sum(1), before.sum(1))
    assert no_worse(weight, hessian, before, after)
    assert not torch.equal(after, before)


@given(seed=SEEDS, pattern=st.sampled_from([(2, 4), (4, 8), (1, 4)]))
@settings(max_examples=40, deadline=None)
def test_under_a_pattern_every_group_keeps_its_number(seed, pattern):
    weight, hessian, score = made_up(seed, inputs=24)
    before = make_mask(score, weight, 0, "row", pattern)
    after = swaps(weight, before, hessian, pattern=pattern)
    assert (after.view(-1, pattern[1]).sum(1) == pattern[0]).all()
    assert no_worse(weight, hessian, before, after)


@given(seed=SEEDS, share=st.sampled_from([0.25, 0.5, 0.75]))
@settings(max_examples=40, deadline=None)
def test_with_independent_inputs_one_round_makes_the_best_of_all_single_swaps(seed, share):
    """A pair's two terms are then its whole effect, and a row this short has one pair a round."""
    weight, hessian, score = made_up(seed, inputs=8)
    hessian = torch.diag(hessian.diagonal())
    before = make_mask(score, weight, round(share * weight.numel()), "row")
    after = swaps(weight, before, hessian, 1)
    expected = [best_single_swap(weight, hessian, before, row) for row in range(len(weight))]
    torch.testing.assert_close(errors(weight, hessian, after), torch.stack(expected), rtol=1e-4, atol=1e-6)


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_one_round_changes_the_error_by_the_formula_or_leaves_a_pair_that_would_not_lower_it(seed):
    weight, hessian, score = made_up(seed, inputs=8)
    before = make_mask(score, weight, weight.numel() // 2, "row")
    after = swaps(weight, before, hessian, 1)
    g = (weight * ~before) @ hessian
    own = weight.square() * hessian.diagonal()
    for row in range(len(weight)):
        back, out = own[row] - 2 * weight[row] * g[row], own[row] + 2 * weight[row] * g[row]
        j = int(back.masked_fill(before[row], torch.inf).argmin())
        k = int(out.masked_fill(~before[row], torch.inf).argmin())
        change = float(back[j] + out[k] - 2 * weight[row, j] * weight[row, k] * hessian[j, k])
        made = float(errors(weight, hessian, after)[row] - errors(weight, hessian, before)[row])
        assert made == pytest.approx(min(change, 0.0), rel=1e-3, abs=1e-4)


def test_many_rounds_gain_most_of_what_trying_every_pair_gains():
    before, found, best = 0.0, 0.0, 0.0
    for seed in range(6):
        weight, hessian, _ = made_up(seed, rows=4, inputs=12)
        mask = make_mask(weight.abs() * hessian.diagonal().sqrt(), weight, 24, "row")
        before += float(errors(weight, hessian, mask).sum())
        found += float(errors(weight, hessian, swaps(weight, mask, hessian)).sum())
        best += float(errors(weight, hessian, by_brute_force(weight, hessian, mask)).sum())
    assert before - found > 0.7 * (before - best)


@pytest.mark.parametrize("pattern", [None, (2, 4)])
def test_weights_that_are_zero_anyway_stay_pruned(pattern):
    weight, hessian, score = made_up(3, inputs=24)
    weight[:, ::3] = 0.0
    weight[0, :4] = 0.0
    before = make_mask(score, weight, weight.numel() // 2, "row", pattern)
    after = swaps(weight, before, hessian, pattern=pattern)
    assert int((weight * after == 0).sum()) == int((weight * before == 0).sum())
    assert not torch.equal(after, before)


def test_a_weight_in_16_bits_is_refined_as_its_values_in_float32():
    weight, hessian, score = made_up(1)
    weight = weight.bfloat16()
    mask = make_mask(score, weight, weight.numel() // 2, "row")
    assert torch.equal(swaps(weight, mask, hessian), swaps(weight.float(), mask, hessian))


def test_without_rounds_the_mask_is_as_it_was_and_shapes_that_do_not_fit_are_refused():
    weight, hessian, score = made_up(1)
    mask = make_mask(score, weight, weight.numel() // 2, "row")
    assert torch.equal(swaps(weight, mask, hessian, 0), mask)
    for wrong in ((weight, mask, hessian[:-1]), (weight, mask[:, :-1], hessian)):
        with pytest.raises(UsageError, match="do not have the shapes"):
            swaps(*wrong)


@given(seed=SEEDS, share=st.sampled_from([0.25, 0.5, 0.75]), group=st.sampled_from(["row", "matrix"]))
@settings(max_examples=40, deadline=None)
def test_without_a_limit_of_rounds_no_single_swap_improves_a_row(seed, share, group):
    weight, hessian, score = made_up(seed, inputs=12)
    before = make_mask(score, weight, round(share * weight.numel()), group)
    after = swaps(weight, before, hessian, None)
    assert torch.equal(after.sum(1), before.sum(1))
    assert no_worse(weight, hessian, before, after)
    assert no_worse(weight, hessian, swaps(weight, before, hessian), after)
    assert torch.equal(after, swaps(weight, before, hessian, None))
    left = errors(weight, hessian, after)
    for row in range(len(weight)):
        assert best_single_swap(weight, hessian, after, row) >= left[row] * (1 - 1e-4) - 1e-4


@given(seed=SEEDS, pattern=st.sampled_from([(2, 4), (1, 4), (3, 6)]))
@settings(max_examples=40, deadline=None)
def test_without_a_limit_no_swap_within_a_group_of_the_pattern_improves_a_row(seed, pattern):
    weight, hessian, score = made_up(seed, inputs=12)
    n, m = pattern
    after = swaps(weight, make_mask(score, weight, 0, "row", pattern), hessian, None, pattern)
    assert (after.view(-1, m).sum(1) == n).all()
    for row in range(len(weight)):
        within = [each for each in neighbours(after[row]) if (each.view(-1, m).sum(1) == n).all()]
        least = min(float(errors(weight[row : row + 1], hessian, each[None])) for each in within)
        assert least >= float(errors(weight, hessian, after)[row]) * (1 - 1e-4) - 1e-4


def test_without_a_limit_weights_that_are_zero_stay_pruned_and_full_rows_stay_as_they_are():
    weight, hessian, score = made_up(4, inputs=24)
    weight[:, ::3] = 0.0
    before = make_mask(score, weight, weight.numel() // 2, "row")
    before[0], before[1] = True, False
    after = swaps(weight, before, hessian, None)
    assert torch.equal(after[:2], before[:2])
    assert not bool((after & (weight == 0))[1:].any())


def best_single_swap(weight, hessian, mask, row):
    """The least error of a row that one swap of its mask, or none, gives."""
    return min(errors(weight[row : row + 1], hessian, each[None])[0] for each in neighbours(mask[row]))


def by_brute_force(weight, hessian, mask):
    """Row by row the best single swap, again and again."""
    mask = mask.clone()
    for row in range(len(mask)):
        while True:
            tried = [
                (float(errors(weight[row : row + 1], hessian, each[None])), each) for each in neighbours(mask[row])
            ]
            least, best = min(tried, key=lambda each: each[0])
            if least >= tried[0][0] - 1e-9:
                break
            mask[row] = best
    return mask


def neighbours(row):
    """A row's mask, and all that one swap makes of it."""
    found = [row]
    for new in (~row).nonzero().flatten():
        for old in row.nonzero().flatten():
            other = row.clone()
            other[new], other[old] = True, False
            found.append(other)
    return found
