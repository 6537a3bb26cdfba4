import pytest

from autoprune.config_sections import SearchSettings
from autoprune.errors import BudgetSpent
from autoprune.search.budget import Budget, Spent


def stop(spent, **limits):
    return Budget(SearchSettings(max_candidates=10, **limits)).stop(spent)


def test_nothing_stops_a_run_within_its_limits():
    assert stop(Spent(9, 59, 99, 0.9), max_minutes=1, max_tokens=100, max_usd=1) is None


@pytest.mark.parametrize(
    ("spent", "limits", "reason"),
    [
        (Spent(candidates=10), {}, "10 candidates tried"),
        (Spent(seconds=60), {"max_minutes": 1}, "1 minutes spent"),
        (Spent(tokens=100), {"max_tokens": 100}, "100 tokens spent"),
        (Spent(usd=2.0), {"max_usd": 1.5}, "1.5 USD spent"),
        (Spent(usd=None), {"max_usd": 1.5}, "price is unknown"),
    ],
)
def test_each_limit_stops_the_run_and_says_why(spent, limits, reason):
    assert reason in stop(spent, **limits)


def test_an_unknown_price_is_fine_without_a_limit_in_usd():
    assert stop(Spent(usd=None)) is None


def test_a_call_beyond_a_limit_is_refused_but_candidates_do_not_count_there():
    budget = Budget(SearchSettings(max_candidates=1, max_tokens=100))
    budget.check(Spent(candidates=5, tokens=99))
    with pytest.raises(BudgetSpent, match="100 tokens"):
        budget.check(Spent(tokens=100))
