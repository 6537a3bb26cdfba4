"""A search that races: what is stopped early counts as evidence, never as a measurement, and chance decides nothing."""

import json

import pytest

from autoprune.gcot.graph import GCoT
from autoprune.report.live import describe
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.search import comparison_pool
from autoprune.tools import evaluate
from tests.search.test_search import llm_words, scripted

SCORES = (
    "layer.weight.abs() * layer.input_norm.pow(0.9)",
    "1 / (layer.weight.abs() + 0.01)",
    "layer.weight.abs() * layer.input_norm.pow(1.1)",
)
WORDS = (
    "data.search_windows=16",
    "search.max_candidates=3",
    "search.generation_size=1",
    "confirmation.finalists=1",
    "advanced.layer_error=null",
    "agents.critic=rules",
    "agents.analyst=rules",
    "advanced.revisions=0",
)


def script():
    """One of the scores after the other."""
    left = iter(SCORES)

    def answer(body):
        return scripted(body) if "response_format" in body else code(next(left))

    return answer


def code(expression):
    return f"```python\ndef score(layer):\n    return {expression}\n```"


@pytest.fixture
def raced(search, chat_server, steady, monkeypatch):
    """A search whose second candidate is stopped: by a lax test, against one candidate."""
    monkeypatch.setattr(evaluate, "ERROR_RATE", 0.2)
    monkeypatch.setattr(comparison_pool, "ELITE", 1)
    places = [f"model={steady['model']}", *(f"data.{key}={path}" for key, path in steady["data"].items())]

    def run(*words, name="run"):
        chat_server.script = script()
        return search(*llm_words(chat_server, *WORDS, *places, *words), name=name)

    return run


def test_a_candidate_that_loses_most_of_a_few_blocks_is_stopped_before_a_window(raced):
    (good, bad, _), gcot, measurements = read(raced("advanced.layer_error=1.1"))
    assert (good.status, bad.status, bad.stage, bad.reason) == ("measured", "stopped", "check", "layer-error")
    assert (bad.data["windows_measured"], bad.data.get("estimated_perplexity"), bad.data.get("gain")) == (0, None, None)
    assert bad.candidate not in {row.subject for row in measurements}
    assert "reconstruction error" in gcot.nodes["g2.c1.evidence"].text
    assert gcot.verdict("g2.c1.idea") is None


@pytest.fixture
def run(raced):
    return raced()


def read(run):
    archive = Archive(run.archive_file)
    found = archive.outcomes(), GCoT(archive.nodes(), archive.edges()), archive.measurements("search")
    archive.close()
    return found


def test_a_bad_candidate_is_stopped_early_and_is_evidence_against_its_idea(run):
    (good, bad, _), gcot, measurements = read(run)
    assert (good.status, bad.status) == ("measured", "stopped")
    assert bad.candidate not in {row.subject for row in measurements}
    assert "perplexity" not in bad.data
    verdict, evidence = gcot.verdict("g2.c1.idea")
    assert bad.data["gain"] < 0
    assert (verdict, evidence.id) == ("refutes", "g2.c1.evidence")
    assert "raced out after" in evidence.text
    assert "did best" in gcot.nodes["g2.lesson"].text
    assert "stopped early" in gcot.nodes["g2.lesson"].text


def test_what_was_stopped_is_no_finalist_and_never_shown_as_measured(run):
    events = list(read_events(run.events_file))
    picture = Picture.of(events)
    candidates = [row["name"] for row in picture.rows if row["kind"] == "candidate"]
    assert candidates
    assert not any(name.startswith("g2.c1") for name in candidates)
    assert (picture.slots["g2.c1"].status, picture.slots["g2.c1"].perplexity) == ("stopped", None)
    told = next(describe(event).plain for event in events if event.key == "ended/g2.c1")
    assert "g2.c1 stopped: measure: raced-out: raced out after" in told
    assert "of 16 windows, partial perplexity" in told


@pytest.mark.long
def test_the_same_seed_stops_the_same_and_without_racing_the_rest_is_the_same(raced):
    def ends(run):
        measured_anew = {"seconds": {}, "memory_bytes": 0}
        return [(o.slot, o.candidate, o.status, o.data | measured_anew, o.message) for o in read(run)[0]]

    first, again, without = (
        ends(raced(*words, name=name)) for name, words in (("a", ()), ("b", ()), ("c", ("advanced.racing=off",)))
    )
    assert first == again
    assert [end[2] for end in without] == ["measured"] * 3
    assert json.dumps(without[0]) == json.dumps(first[0])


def test_a_search_from_the_cache_is_the_search_that_filled_it(raced, facts):
    filled, found = raced("advanced.cache=on", name="a"), raced("advanced.cache=on", name="b")
    assert facts(filled) == facts(found)
    assert all(outcome.data.get("cached") for outcome in read(found)[0])
    assert not any(outcome.data.get("cached") for outcome in read(filled)[0])
    for run, told in ((filled, False), (found, True)):
        opening = [event for event in read_events(run.events_file) if event.kind in ("dense", "baseline")]
        assert len(opening) == 5
        assert all(("(cached)" in describe(event).plain) is told for event in opening)
