"""A run as spans: nested, with the events' times, whatever became of the run."""

from datetime import datetime, timedelta

import pytest

from autoprune.report.spans import Spans
from autoprune.runs.events import Event

PLAN = {"slot": "g1.c1", "generation": 1, "operator": "explore", "engine": "llm", "parents": ["seed.wanda"]}
CALL = {
    "generation": 1,
    "agent": "proposer",
    "model": "asked",
    "answered_by": "answered",
    "tokens_in": 30,
    "tokens_out": 7,
    "estimated": False,
    "usd": None,
    "seconds": 2.0,
    "truncated": False,
    "problem": "",
    "tools": [],
}
TOTALS = {"seconds": 9.0, "candidates": 1, "tokens": 37, "usd": None, "agents": {}}
START = datetime.fromisoformat("2026-01-02T03:00:00+00:00")


def events(*told):
    """Events a second apart, from (kind, data)."""
    return [
        Event(key=f"k{place}", time=(START + timedelta(seconds=place)).isoformat(), kind=kind, data=data)
        for place, (kind, data) in enumerate(told)
    ]


def at(seconds):
    return START + timedelta(seconds=seconds)


BEGINNING = (
    ("run-started", {"model": "m", "sparsity": 0.6, "llm": "openai", "record": {"sandbox": "local"}}),
    ("spent", TOTALS),
    ("planned", {"generation": 1, "slots": [PLAN]}),
    ("working", {"slot": "g1.c1", "agent": "proposer"}),
    ("called", {**CALL, "slot": "g1.c1"}),
)
PROPOSED = ("proposed", {"slot": "g1.c1", "revision": 0, "candidate": "abc", "thought": {"idea": "i"}, "problem": ""})
MEASURED = {
    "slot": "g1.c1",
    "generation": 1,
    "candidate": "abc",
    "status": "measured",
    "stage": "",
    "reason": "",
    "message": "",
    "perplexity": 60.0,
    "seconds": {"score": 0.25, "mask": 0.25, "eval": 0.5},
}
DECIDED = {"slot": "g1.c1", "candidate": "abc", "decision": "approve", "who": "ann", "comment": "", "replacement": None}
END = (
    PROPOSED,
    ("asked", {"slot": "g1.c1", "candidate": "abc"}),
    ("decided", DECIDED),
    ("working", {"slot": "g1.c1", "agent": "sandbox"}),
    ("ended", MEASURED),
    ("called", {**CALL, "agent": "analyst"}),
    ("lesson", {"generation": 1, "text": "t", "by": "statistics"}),
    ("spent", TOTALS),
    ("working", {"slot": "g1.c1", "agent": "confirmation"}),
    ("confirmed", {"rows": []}),
    ("run-ended", {"stop": "s", "conclusion": "c", **TOTALS}),
)


def spans_of(story):
    spans = Spans("r")
    ended = [span for event in story for span in spans.take(event)]
    return {span.name: span for span in [*ended, *spans.rest()]}


def test_spans_are_nested_as_the_work_was():
    spans = spans_of(events(*BEGINNING, *END))
    names = {span.path: name for name, span in spans.items()}
    assert {name: names.get(span.parent) for name, span in spans.items()} == {
        "autoprune search": None,
        "generation 1": "autoprune search",
        "candidate g1.c1": "generation 1",
        "invoke_agent proposer": "candidate g1.c1",
        "approval": "candidate g1.c1",
        "evaluate": "candidate g1.c1",
        "sandbox": "evaluate",
        "masks": "evaluate",
        "measurement": "evaluate",
        "chat asked": "generation 1",  # the analyst's, which came last
        "confirmation": "autoprune search",
    }


def test_spans_have_the_times_of_events_and_their_facts():
    spans = spans_of(events(*BEGINNING, *END))
    times = {name: (span.start, span.end) for name, span in spans.items()}
    assert times["autoprune search"] == (at(0), at(15))
    assert times["generation 1"] == (at(2), at(12))
    assert times["approval"] == (at(6), at(7))
    assert times["measurement"] == (at(8.5), at(9))
    assert times["sandbox"] == (at(8), at(8.25))
    assert times["chat asked"] == (at(8), at(10))
    assert spans["candidate g1.c1"].attributes["autoprune.perplexity"] == 60.0
    assert spans["approval"].attributes["autoprune.who"] == "ann"
    assert spans["chat asked"].attributes["gen_ai.usage.input_tokens"] == 30
    assert [name for _, name, _ in spans["generation 1"].remarks] == ["lesson"]


def test_a_call_of_an_agent_lies_under_its_step():
    spans = spans_of(events(*BEGINNING, PROPOSED))
    assert spans["chat asked"].parent == spans["invoke_agent proposer"].path
    assert spans["chat asked"].attributes["gen_ai.request.model"] == "asked"


def test_what_has_not_ended_is_cut_off_at_the_last_event_and_says_so():
    spans = spans_of(events(*BEGINNING))
    for name in ("autoprune search", "generation 1", "candidate g1.c1", "invoke_agent proposer"):
        assert spans[name].attributes["autoprune.unfinished"] is True
        assert spans[name].end == at(4)


@pytest.mark.parametrize(
    ("status", "said"), [("failed", "score: exception: boom"), ("rejected", ""), ("duplicate", "")]
)
def test_only_a_failure_is_an_error(status, said):
    ended = {**MEASURED, "status": status, "stage": "score", "reason": "exception", "message": "boom"}
    assert spans_of(events(*BEGINNING, ("ended", ended)))["candidate g1.c1"].failed == said


def test_a_step_done_again_after_a_crash_is_one_span():
    again = ("working", {"slot": "g1.c1", "agent": "proposer"})
    spans = Spans("r")
    story = events(*BEGINNING, ("run-resumed", {}), again, PROPOSED)
    ended = [span for event in story for span in spans.take(event)]
    steps = [span for span in [*ended, *spans.rest()] if span.name == "invoke_agent proposer"]
    assert [(step.start, step.end) for step in steps] == [(at(3), at(7))]


def test_a_fork_begins_with_what_its_origin_did():
    forked = events(("forked", {"origin": "o", "generation": 1, "changed": {}}))[0]
    later = forked.model_copy(update={"time": at(100).isoformat(), "key": "forked"})
    spans = spans_of([later, *events(*BEGINNING, *END)])
    assert spans["autoprune search"].start == at(0)


def test_a_long_reasoning_is_no_attribute_of_a_span():
    thought = {"idea": "an idea", "why": "because", "reasoning": "It depends. " * 9000}
    told = {"slot": "g1.c1", "revision": 0, "candidate": "abc", "thought": thought, "problem": ""}
    spans = Spans("r")
    working = ("working", {"slot": "g1.c1", "agent": "proposer"})
    taken = [
        span
        for event in events(("planned", {"generation": 1, "slots": [PLAN]}), working, ("proposed", told))
        for span in spans.take(event)
    ]
    sent = str([span.attributes for span in [*taken, *spans.rest()]])
    assert "an idea" in sent
    assert "It depends" not in sent
