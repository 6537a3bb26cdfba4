"""What people read: drawn from events alone, safe with any text."""

import io
from datetime import datetime

import hypothesis.strategies as some
import pytest
from hypothesis import given
from rich.console import Console

from autoprune.config_sections import SearchSettings
from autoprune.report.live import LiveView, counted, describe
from autoprune.report.picture import Picture
from autoprune.report.quality import quality
from autoprune.report.tables import age, final_table, run_row, runs_table, shortened
from autoprune.report.text import duration, one_line, plain, visible
from autoprune.runs.events import Event
from autoprune.runs.quality import COSTS, Niche, Placed

HOSTILE = "[/foo] [bold]i, j[0] \x1b[2J\x1b]0;title\x07 \x00 \u202e \u2028 <script>alert(1)</script>"
PLAN = {"slot": "g1.c1", "generation": 1, "operator": "explore", "engine": "llm", "parents": ["seed.wanda"]}


def event(kind, **data):
    return Event(key="k", time="2026-01-02T03:04:05.678+00:00", kind=kind, data=data)


def proposed(**thought):
    return event("proposed", slot="g1.c1", revision=0, candidate="abc", engine="llm", thought=thought, problem="")


EXPLAINED = {"slot": "g1.c1", "candidate": "abc", "text": "It keeps large weights.", "by": "analyst"}


def ended(status="measured", **data):
    facts = {
        "slot": "g1.c1",
        "generation": 1,
        "candidate": "abc",
        "status": status,
        "stage": "",
        "reason": "",
        "message": "",
    }
    return event("ended", **{**facts, **data})


def story(text="an idea"):
    return [
        event("run-started", model="m", sparsity=0.6, llm="local", record={}),
        event("dense", perplexity=15.9),
        event("baseline", name="wanda+uniform", perplexity=65.6, sparsity=0.6),
        event("planned", generation=1, slots=[PLAN]),
        event("working", slot="g1.c1", agent="proposer"),
        event(
            "proposed",
            slot="g1.c1",
            revision=0,
            operator="explore",
            engine="llm",
            candidate="abc",
            thought={"idea": text, "why": text},
            problem="",
        ),
        event("reviewed", slot="g1.c1", revision=0, verdict="accept", comments=[text], by="rules"),
        event("lesson", generation=1, text=text, by="statistics"),
    ]


def shown(*renderables, width=80, colour=False):
    console = Console(file=io.StringIO(), width=width, force_terminal=colour)
    for renderable in renderables:
        console.print(renderable)
    return console.file.getvalue()


def test_a_picture_follows_a_candidate_to_its_measurement():
    picture = Picture.of([*story(), ended(perplexity=60.0, gain=0.1)])
    assert picture.best.perplexity == 60.0
    assert picture.best_baseline == ("wanda+uniform", 65.6)
    assert (picture.done, picture.slots["g1.c1"].agent) == (1, "")
    assert run_row("r", picture, 1)["state"] == "unfinished"


def test_a_planned_slot_may_have_more_facts_than_are_shown():
    plan = {**PLAN, "operator": "deepen", "rounds": {"of": "code", "factor": 4}}
    picture = Picture.of([event("planned", generation=1, slots=[plan])])
    assert picture.slots["g1.c1"].operator == "deepen"


def test_a_failure_is_shown_with_stage_and_reason():
    line = describe(ended("failed", stage="score", reason="timeout", message="no scores after 5 s")).plain
    assert "failed: score: timeout: no scores after 5 s" in line


def test_what_was_stopped_early_is_shown_as_such_and_has_no_perplexity():
    message = "raced out after 4 of 16 windows, partial perplexity 90.00; on these abc has 60.00"
    facts = {"partial_perplexity": 90.0, "estimated_perplexity": 88.0, "windows_measured": 4, "gain": -0.3}
    end = ended("stopped", stage="measure", reason="raced-out", message=message, **facts)
    assert f"g1.c1 stopped: measure: raced-out: {message}" in describe(end).plain
    picture = Picture.of([*story(), end])
    assert picture.best is None
    assert (picture.slots["g1.c1"].status, picture.slots["g1.c1"].perplexity) == ("stopped", None)


def test_what_was_found_in_the_cache_says_so():
    assert "(cached)" in describe(ended(perplexity=60.0, gain=0.1, cached=True)).plain


def test_a_result_better_than_dense_is_flagged():
    line = describe(ended(perplexity=3.0, gain=2.0, flags=["better than the dense model: suspect"])).plain
    assert "[better than the dense model: suspect]" in line


@pytest.mark.parametrize("width", [20, 60, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_hostile_text_is_shown_as_text(width, colour):
    events = [*story(HOSTILE), ended("failed", stage="score", reason="exception", message=HOSTILE)]
    text = shown(*(line for line in map(describe, events) if line is not None), width=width, colour=colour)
    assert "\x1b[2J" not in text
    assert "\x1b]0;" not in text
    assert "\u202e" not in text
    assert "[/foo]" in text


def test_megabytes_are_cut():
    assert len(visible("x" * 5_000_000)) <= 4001
    assert len(one_line("word " * 1_000_000)) <= 200
    assert "…" in plain("y" * 10_000).plain


def test_the_live_view_survives_the_whole_story_and_prints_plain_lines_off_a_terminal():
    console = Console(file=io.StringIO(), width=60)
    with LiveView(console, SearchSettings(max_candidates=4)) as view:
        for each in [*story(HOSTILE), ended(perplexity=60.0, gain=0.1)]:
            view.on_event(each)
        drawn = shown(view._draw(), width=60)
    text = console.file.getvalue()
    assert "03:04:05 baseline wanda+uniform: perplexity 65.60" in text
    assert "\x1b" not in text
    assert "candidates 1/4" in drawn
    assert "best so far: g1.c1 60.00" in drawn


def test_what_is_spent_is_shown_live_beside_its_limit():
    limits = SearchSettings(max_candidates=4, max_minutes=30, max_tokens=5000, max_usd=1.5)
    view = LiveView(Console(file=io.StringIO(), width=200), limits)
    assert "0/5,000 tokens, 0.00/1.50 USD" in shown(view._draw(), width=200)
    view.catch_up(event("spent", seconds=125.2, candidates=1, tokens=1200, usd=0.25, agents={}))
    view.on_event(event("called", tokens_in=100, tokens_out=34, usd=0.5))
    assert "elapsed 2:05/30:00   1,334/5,000 tokens, 0.75/1.50 USD" in shown(view._draw(), width=200)
    view.on_event(event("called", tokens_in=1, tokens_out=1, usd=None))
    assert "1,336/5,000 tokens, price unknown" in shown(view._draw(), width=200)


def test_the_final_table_is_sorted_and_ends_with_the_conclusion():
    rows = [
        {"name": "worse", "kind": "baseline", "search": 2.0, "report": 9.0, "sparsity": 0.6},
        {"name": "broken", "kind": "candidate", "search": 2.0, "report": None, "sparsity": 0.6, "problem": "gone"},
        {"name": "better", "kind": "candidate", "search": 1.0, "report": 3.0, "sparsity": 0.6},
    ]
    picture = Picture.of([event("confirmed", rows=rows), event("run-ended", stop="s", conclusion="better beat it.")])
    text = shown(final_table(picture))
    assert text.index("better") < text.index("worse") < text.index("broken")
    assert text.rstrip().endswith("better beat it.")


def test_a_tuned_baseline_is_told_with_its_parameters():
    told = event("baseline", name="wanda+dlp tuned", perplexity=9.0, sparsity=0.6, parameters="block, width 0.1")
    assert describe(told).plain == "baseline wanda+dlp tuned (block, width 0.1): perplexity 9.00"


RUNS = [(f"20261130-21{minute}00-smollm2-135m-60", Picture.of(story()), 3, minute == 11) for minute in (10, 11, 12)]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_runs_are_listed_one_a_line_with_their_whole_name(width):
    text = shown(runs_table(RUNS, width), width=width)
    head, *lines, legend = text.rstrip().splitlines()
    assert head.split()[:5] == ["run", "state", "best", "ratio", "age"]
    assert [line.split()[0] for line in lines] == [name for name, *_ in RUNS]
    assert [line.split()[1] for line in lines] == ["unfinished", "running", "unfinished"]
    assert legend.strip() == "best: search perplexity; ratio: best / best baseline"
    assert ("model" in head) == (width == 200)


def test_long_names_are_shown_as_unique_prefixes():
    names = [f"{'x' * 40}-{letter}-{'y' * 60}" for letter in "abc"] + ["other" + "z" * 90]
    text = shown(runs_table([(name, Picture.of(story()), 0) for name in names], 200), width=200)
    words = [line.split()[0] for line in text.splitlines()[1:5]]
    assert words == [f"{'x' * 40}-a", f"{'x' * 40}-b", f"{'x' * 40}-c", "othe"]


@given(some.lists(some.text("ab-", min_size=1, max_size=8), unique=True, max_size=6), some.integers(0, 9))
def test_a_shortened_name_stands_for_no_other_run(names, longest):
    for name, short in zip(names, shortened(names, longest), strict=True):
        assert name.startswith(short)
        assert short == name or [other for other in names if other.startswith(short)] == [name]


@pytest.mark.parametrize(
    ("started", "shown_age"),
    [
        ("2026-11-30T12:00:00+00:00", "now"),
        ("2026-11-30T11:55:00+00:00", "5 min"),
        ("2026-11-30T09:00:00+00:00", "3 h"),
        ("2026-11-29T11:00:00+00:00", "1 day"),
        ("2026-11-01T12:00:00+00:00", "29 days"),
        ("", ""),
    ],
)
def test_the_age_of_a_run_is_in_one_unit(started, shown_age):
    assert age(started, datetime.fromisoformat("2026-11-30T12:00:30+00:00")) == shown_age


def test_the_ratio_is_that_of_the_best_to_the_best_baseline():
    row = run_row("r", Picture.of([*story(), ended(perplexity=60.0, gain=0.1)]), 1)
    assert row["ratio"] == pytest.approx(60.0 / 65.6)
    assert run_row("r", Picture.of(story()), 1)["ratio"] is None


@pytest.mark.parametrize(("done", "text"), [(0, "0/4"), (4, "4/4"), (6, "4/4 and 2 to finish")])
def test_candidates_beyond_the_limit_are_counted_apart(done, text):
    assert counted(done, 4) == text


def test_the_map_keeps_its_labels_on_a_narrow_screen_and_its_columns_in_order():
    cells = [(("norm", "hessian"), "heavy", "row"), ((), "light", "row"), (("norm",), "medium", "matrix")]
    placed = [Placed(f"g1.c{n}", "abc", 50.0 + n, Niche(*cell), n or None, 1 << 20) for n, cell in enumerate(cells)]
    for width in (100, 60):
        text = " ".join(shown(*quality(placed), width=width).split())
        assert [word for word in text.split() if word in COSTS] == ["medium", "light", "heavy"]
        for told in (
            "norm + hessian",
            "none",
            "50.00 g1.c0",
            "51.00 g1.c1",
            "1 of 3 measured candidates are not on the front",
        ):
            assert told in text
    assert quality([]) == []


def test_a_run_whose_sources_are_gone_has_a_front_and_no_map():
    text = shown(*quality([Placed("g1.c1", "abc", 50.0, None, 1.0, 1 << 20)]))
    assert "Pareto front" in text
    assert "Best of each kind" not in text
    assert "1 of 1 measured candidates are not in the map" in text


def test_durations_read_as_people_write_them():
    assert (duration(125), duration(3725)) == ("2:05", "1:02:05")


def test_the_end_says_what_was_found_as_mathematics_and_in_a_sentence():
    told = [*story(), proposed(expression=["mul", "W", ["pow", "X", 0.5]]), event("explained", **EXPLAINED)]
    lines = [line.rstrip() for line in shown(final_table(Picture.of(told)), width=100).splitlines()]
    start = lines.index("What was found: g1.c1")
    assert lines[start + 1 : start + 5] == [
        "  |W| · ‖X‖^0.5",
        "    |W|: absolute weight",
        "    ‖X‖: norm of each input",
        "  It keeps large weights. (analyst)",
    ]
    assert lines[start + 5] == lines[-1]


def test_without_formula_and_sentence_the_end_says_nothing_of_what_was_found():
    assert "What was found" not in shown(final_table(Picture.of(story())), width=100)


def test_a_sentence_without_a_formula_and_a_formula_without_a_sentence_are_enough():
    sentence = shown(final_table(Picture.of([*story(), event("explained", **EXPLAINED)])), width=100)
    assert "It keeps large weights. (analyst)" in sentence
    formula = shown(
        final_table(Picture.of([*story(), proposed(formula="S = |W|"), ended(perplexity=60.0, gain=0.1)])), width=100
    )
    assert "S = |W|" in formula


def test_an_explanation_is_one_line_of_the_live_view_and_obeys_nothing():
    line = describe(event("explained", **{**EXPLAINED, "text": HOSTILE * 1000}))
    assert line.plain.startswith("g1.c1 explained (analyst): [/foo] [bold]")
    assert len(line.plain) < 500
    assert "\x1b" not in line.plain


def test_a_formula_that_takes_a_parents_score_names_the_parent_and_its_formula():
    plan = {**PLAN, "slot": "g2.c1", "generation": 2, "parents": ["g1.c1"]}
    child = {"slot": "g2.c1", "revision": 0, "candidate": "def", "engine": "symbolic", "problem": ""}
    thought = {"expression": ["exchange", ["code", "def score(layer): ..."], 16.0]}
    told = [*story(), proposed(formula="S = |W|"), event("planned", generation=2, slots=[plan])]
    picture = Picture.of([*told, event("proposed", **child, thought=thought)])
    assert picture.slots["g2.c1"].formula == "s(W), then 16 rounds of mask swaps"
    assert picture.slots["g2.c1"].symbols == [("s(W)", "score of g1.c1, S = |W|")]
