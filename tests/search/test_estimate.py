"""What is said about a search before it starts: from what earlier runs took, or from assumptions that it names."""

import pytest

from autoprune.config import load_config
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.estimate import estimate, too_few_windows

WORDS = ("model=tiny", "search.max_candidates=10", "agents.symbolic_share=0", "llm.max_reply_tokens=500")


def ended(path, *words, llm="openai", seconds=100.0, tokens=5000, candidates=5):
    run = RunDirectory.create(path, load_config(None, [*WORDS, *words]))
    events = EventLog(run.events_file)
    events.emit("run-started", model="tiny", llm=llm)
    if candidates:
        events.emit("run-ended", stop="s", conclusion="c", seconds=seconds, tokens=tokens, candidates=candidates)
    events.close()


@pytest.fixture
def said(tmp_path):
    def say(*words, llm="openai", **options):
        config = load_config(None, [*WORDS, *words])
        return estimate(config, llm, RunDirectory.create(tmp_path / "new", config), "m", **options)

    return say


def test_earlier_runs_with_the_same_settings_tell_minutes_and_tokens(said, tmp_path):
    ended(tmp_path / "a", "seed=1")
    ended(tmp_path / "b", "search.max_candidates=3", seconds=200.0, tokens=15000)
    line = said()
    assert "about 5 minutes and 20,000 tokens" in line
    assert "2 earlier runs" in line


@pytest.mark.parametrize("words", [("data.seqlen=64",), ("llm.model=other",), ("model=other",)])
def test_runs_with_other_settings_tell_nothing(said, tmp_path, words):
    ended(tmp_path / "a", *words)
    assert "minutes unknown" in said()


def test_runs_that_did_not_end_had_another_engine_or_cannot_be_read_tell_nothing(said, tmp_path):
    ended(tmp_path / "a", candidates=0)
    ended(tmp_path / "b", llm="local")
    ended(tmp_path / "c")
    (tmp_path / "c" / "events.jsonl").write_text("not an event\n")
    assert "minutes unknown" in said()


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": "x"},
        {"seconds": 1e999},
        {"seconds": -5.0},
        {"tokens": 10**400},
        {"tokens": None},
        {"tokens": [1]},
        {"candidates": -1},
        {"candidates": 10**400},
        {"candidates": True},
    ],
)
def test_a_run_that_says_absurd_things_of_itself_tells_nothing_and_breaks_nothing(said, tmp_path, odd):
    ended(tmp_path / "a")
    ended(tmp_path / "b", "seed=1", **odd)
    assert "1 earlier run with" in said()


def test_runs_at_an_address_with_a_password_are_recognised(said, tmp_path):
    ended(tmp_path / "a", "llm.base_url=http://host/v1")
    assert "1 earlier run with" in said("llm.base_url=http://me:pa55@host/v1")


def test_without_earlier_runs_the_assumptions_are_named(said):
    line = said(price=lambda model, read, written: (read + written) / 1e6)
    assert "45,000 to 140,000 tokens, at most 0.14 USD" in line
    assert "3 to 7 calls for each of 10 candidates" in line
    assert "\n" not in line


@pytest.mark.parametrize(("usd", "words"), [(None, "at an unknown price"), (0.0, "which cost nothing")])
def test_an_unknown_price_is_not_nothing(said, usd, words):
    assert words in said(price=lambda *call: usd)


@pytest.mark.parametrize(("llm", "without"), [("openai", "the chat model, tuning"), ("symbolic", "tuning")])
def test_without_earlier_runs_the_time_comes_from_a_plan(said, llm, without):
    line = said(llm=llm, plan=lambda: 600.0)
    assert f"about 10 minutes on this machine (by a probe, without {without} and polishing)" in line


def test_a_plan_that_cannot_be_made_says_why(said):
    assert "minutes unknown" in (line := said(plan=lambda: "no room for a probe"))
    assert line.endswith("; no room for a probe)")


def test_no_plan_is_made_where_earlier_runs_tell_the_time(said, tmp_path):
    ended(tmp_path / "a", "seed=1")
    assert "1 earlier run with" in said(plan=lambda: pytest.fail("a plan was made"))


def test_the_symbolic_engine_needs_no_tokens(said):
    assert "no tokens; minutes unknown" in said(llm="symbolic")


@pytest.mark.parametrize(
    ("windows", "advice"),
    [(2, "take at least 5"), (4, "take at least 5"), (5, ""), (24, "")],
)
def test_windows_that_cannot_show_a_difference_are_warned_about(windows, advice):
    told = too_few_windows(load_config(None, [*WORDS, f"data.report_windows={windows}"]))
    assert advice in told
    assert bool(told) == bool(advice)


def test_so_many_comparisons_that_no_number_of_windows_helps_are_said():
    words = ["baselines.scores=all", "baselines.allocations=all", "confirmation.finalists=10", "data.report_windows=24"]
    assert "compare with fewer baselines" in too_few_windows(load_config(None, words))
