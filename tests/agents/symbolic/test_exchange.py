"""The part `exchange` of candidates' sources, against a plain reference."""

from types import SimpleNamespace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.agents.symbolic.parts.exchange import exchange
from autoprune.agents.symbolic.source import source
from autoprune.pruning.masks import make_mask

ROUNDS = 8
GROUPS = st.sampled_from(["row", "matrix"])


def layer(seed, rows=5, columns=16, sparsity=0.5, rank=24):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rank, columns, generator=draw) + torch.randn(columns, generator=draw)
    return SimpleNamespace(
        weight=torch.randn(rows, columns, generator=draw),
        hessian=inputs.T @ inputs / rank,
        sparsity=sparsity,
        pattern="none",
    )


def wanda(view):
    return view.weight.abs() * view.hessian.diagonal().sqrt()


def mask_of(scores, view, group):
    return make_mask(scores, view.weight, round(view.sparsity * view.weight.numel()), group)


def errors(mask, view):
    """p H p^T of each row in double precision, p its pruned part."""
    pruned = (view.weight * ~mask).double()
    return ((pruned @ view.hessian.double()) * pruned).sum(1)


def best_by_hand(mask, view):
    """Row by row the best single exchange, again and again, by trying every pair."""
    mask = mask.clone()
    for row in range(len(mask)):
        one = SimpleNamespace(weight=view.weight[row : row + 1], hessian=view.hessian)
        for _ in range(20):
            best, change = float(errors(mask[row : row + 1], one)), None
            for new in (~mask[row]).nonzero().flatten():
                for old in mask[row].nonzero().flatten():
                    tried = mask[row : row + 1].clone()
                    tried[0, new], tried[0, old] = True, False
                    error = float(errors(tried, one))
                    if error < best - 1e-9:
                        best, change = error, (new, old)
            if change is None:
                break
            mask[row, change[0]], mask[row, change[1]] = True, False
    return mask


@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.25, 0.5, 0.6, 0.75, 0.9]), group=GROUPS)
@settings(max_examples=60, deadline=None)
def test_no_row_gets_worse_and_each_keeps_as_many_weights(seed, share, group):
    view = layer(seed, sparsity=share, columns=20)
    before, after = (mask_of(s, view, group) for s in (wanda(view), exchange(wanda(view), view, group, 2)))
    assert torch.equal(before.sum(1), after.sum(1))
    assert (errors(after, view) <= errors(before, view) * (1 + 1e-4) + 1e-6).all()


@given(
    seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.25, 0.6, 1.0]), group=GROUPS, levels=st.integers(1, 3)
)
@settings(max_examples=60, deadline=None)
def test_of_equal_scores_as_many_are_kept_as_the_sparsity_says(seed, share, group, levels):
    view = layer(seed, sparsity=share, columns=20)
    scores = torch.randint(levels, view.weight.shape, generator=torch.Generator().manual_seed(seed)).float()
    kept = exchange(scores, view, group, 2) > 0.5
    expected = mask_of(scores, view, group)
    assert torch.equal(kept.sum(1), expected.sum(1)) if group == "row" else kept.sum() == expected.sum()


def test_a_score_that_is_not_a_number_does_not_become_one():
    view = layer(0)
    scores = wanda(view)
    scores[1, 2] = torch.nan
    assert exchange(scores, view, "row", 2).isnan().any()


def test_exchanges_lower_the_error_where_inputs_are_correlated():
    view = layer(1, rows=40, columns=64)
    before, after = (mask_of(s, view, "row") for s in (wanda(view), exchange(wanda(view), view, "row", ROUNDS)))
    assert errors(after, view).sum() < 0.8 * errors(before, view).sum()


def test_it_gains_most_of_what_trying_every_pair_gains():
    tried, found, before = 0.0, 0.0, 0.0
    for seed in range(6):
        view = layer(seed, rows=4, columns=12)
        start = mask_of(wanda(view), view, "row")
        before += float(errors(start, view).sum())
        tried += float(errors(best_by_hand(start, view), view).sum())
        found += float(errors(mask_of(exchange(wanda(view), view, "row", ROUNDS), view, "row"), view).sum())
    assert before - found > 0.7 * (before - tried)


def test_a_source_with_it_stands_for_itself_and_names_the_hessian():
    text = source(("exchange", ("mul", "W", "H"), 2.0), "row")
    names = {}
    exec(text, names)
    view = layer(0)
    view.hessian_diag = view.hessian.diagonal()
    expected = exchange(view.weight.abs() * view.hessian_diag, view, "row", 2)
    torch.testing.assert_close(names["score"](view), expected)
    assert "layer.hessian" in text


@given(seed=st.integers(0, 10_000), pattern=st.sampled_from([(2, 4), (4, 8), (1, 4)]))
@settings(max_examples=60, deadline=None)
def test_under_a_pattern_the_pattern_holds_and_no_row_gets_worse(seed, pattern):
    view = layer(seed, columns=24)
    view.pattern = "{}:{}".format(*pattern)
    before = make_mask(wanda(view), view.weight, 0, "row", pattern)
    scores = exchange(wanda(view), view, "row", ROUNDS)
    after = make_mask(scores, view.weight, 0, "row", pattern)
    assert torch.equal(scores > 0.5, after)
    assert (errors(after, view) <= errors(before, view) * (1 + 1e-4) + 1e-6).all()
