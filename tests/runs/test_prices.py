import datetime

import pytest

from autoprune.runs.prices import cost, free, prices


def test_price_file_has_a_date_a_source_and_positive_prices() -> None:
    known = prices()
    assert isinstance(known.as_of, datetime.date)
    assert known.source.startswith("https://")
    assert all(0 < read <= written for read, written in known.models.values())


def test_cost_is_per_million_tokens_read_and_written() -> None:
    assert cost("gpt-4o-mini", 1_000_000, 500_000) == pytest.approx(0.15 + 0.30)


def test_dated_snapshot_costs_what_its_model_costs() -> None:
    assert cost("gpt-4o-2024-08-06", 1000, 1000) == cost("gpt-4o", 1000, 1000)
    assert cost("gpt-4-0613", 1000, 1000) is None


@pytest.mark.parametrize("model", ["", "qwen", "gpt-4o-mini-tts", "GPT-4o"])
def test_unknown_model_has_an_unknown_price(model: str) -> None:
    assert cost(model, 10, 10) is None


def test_own_machine_is_free() -> None:
    assert free("anything", 10**9, 10**9) == 0.0
