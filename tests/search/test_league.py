"""A whole search in the league with updates: its baselines, and a candidate that updates what it keeps."""

import pytest

from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from tests.search.test_search import llm_words, scripted

SOURCE = """def score(layer):
    return layer.weight.abs() * layer.input_norm.pow(0.9)


def update(layer, mask):
    return layer.weight * mask * 1.01
"""
REPLY = f"IDEA: grow what is kept\nWHY: it makes up\nEXPECTED: better\n```python\n{SOURCE}```"
WORDS = (
    "search.max_candidates=1",
    "search.generation_size=1",
    "confirmation.finalists=1",
    "confirmation.seeds=1",
    "advanced.layer_error=null",
    "agents.critic=rules",
    "agents.analyst=rules",
    "agents.symbolic_share=0",
    "advanced.revisions=1",
    "baselines.scores=[wanda]",
    "baselines.allocations=[uniform]",
    "llm.profile=strong",
)


def answer(body):
    return scripted(body) if "response_format" in body else REPLY


@pytest.fixture
def words(chat_server):
    chat_server.script = answer
    return [*llm_words(chat_server), *WORDS]


def test_updates_are_measured_confirmed_and_held_against_updated_baselines(search, words):
    run = search(*words, "search.league=update")
    events = list(read_events(run.events_file))
    confirmed = next(event for event in events if event.kind == "confirmed")
    leagues = {row["name"]: row.get("league", "mask") for row in confirmed.data["rows"] if row["kind"] == "baseline"}
    assert leagues == {"wanda+uniform": "mask", "sparsegpt+obs+uniform": "update", "wanda+obs+uniform": "update"}
    [candidate] = [row for row in confirmed.data["rows"] if row["kind"] == "candidate"]
    assert candidate["league"] == "update"
    conclusion = next(event for event in events if event.kind == "run-ended").data["conclusion"]
    assert "of its league (with update)" in conclusion


def test_a_search_for_masks_sends_an_update_back(search, words):
    run = search(*words)
    archive = Archive.of(run)
    try:
        [outcome] = archive.outcomes()
    finally:
        archive.close()
    assert outcome.status == "rejected"
    assert "search.league=mask" in outcome.message
