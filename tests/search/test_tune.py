"""A search tunes the free parameters of a candidate between its approval and its measurement."""

import pytest

from autoprune.candidates.parameters import ranges
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from tests.agents.strong_model import Model

CODE = """PARAMS = {"power": (-2.0, 1.0)}


def score(layer):
    return layer.weight.abs() * layer.input_norm.pow(PARAMS["power"])
"""
REPLY = f"IDEA: a power\nWHY: because\nEXPECTED: better\nFORMULA: |W| n^p\n```python\n{CODE}```"
BROKEN = REPLY.replace("layer.input_norm", "layer.input_norm[:3]")
ONE = ("search.max_candidates=1", "search.generation_size=1", "advanced.parameter_trials=6")


@pytest.fixture
def searched(search, chat_server):
    def run(*replies, words=()):
        chat_server.script = model = Model(*replies)
        endpoint = ("llm.provider=openai", f"llm.base_url={chat_server.base_url}", "agents.symbolic_share=0")
        run = search(*endpoint, "agents.critic=rules", *ONE, *words)
        archive = Archive(run.archive_file)
        found = archive.proposals(), archive.outcomes(), archive.approvals.decisions()
        archive.close()
        return run, model, *found

    return run


def test_the_measured_source_holds_numbers_and_the_record_says_how_they_were_found(searched):
    run, _, (draft, tuned), (outcome,), decisions = searched(REPLY)
    assert (outcome.status, outcome.candidate) == ("measured", tuned.candidate)
    assert ranges(run.source(draft.candidate))
    source = run.source(tuned.candidate)
    assert not ranges(source)
    assert source.partition("\n")[2] == CODE.partition("\n")[2]
    assert tuned.thought["tuned"].startswith("power = ")
    assert "(range -2 to 1): weighted reconstruction error from " in tuned.thought["tuned"]
    assert "in 6 trials" in tuned.thought["tuned"]
    assert tuned.thought["formula"] == draft.thought["formula"]
    notices = [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]
    assert f"g1.c1: tuned {tuned.thought['tuned']}" in notices
    assert [(each.candidate, each.who) for each in decisions] == [
        (draft.candidate, "auto"),
        (tuned.candidate, "tuning"),
    ]


def test_what_is_rejected_is_not_tuned(searched, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("otherwise: reject\n")
    words = ("approval=file", f"approval_policy={policy}", "advanced.revisions=0")
    _, _, proposals, (outcome,), _ = searched(REPLY, words=words)
    assert outcome.status == "rejected"
    assert len(proposals) == 1


def test_a_draft_that_fails_goes_back_with_the_failure_and_has_all_its_revisions(searched):
    _, model, proposals, (outcome,), _ = searched(BROKEN, BROKEN, REPLY)
    assert outcome.status == "measured"
    assert len(model.told["proposer"]) == 3
    assert "score: exception: RuntimeError" in model.told["proposer"][1]
    assert "with which it fails" in proposals[1].thought["tuned"]
    assert "in 6 trials" in proposals[-1].thought["tuned"]


def test_without_trials_the_middles_are_taken(searched):
    run, _, (_, tuned), _, _ = searched(REPLY, words=("advanced.parameter_trials=0",))
    assert run.source(tuned.candidate).startswith("PARAMS = {'power': -0.5}")
    assert "advanced.parameter_trials is 0" in tuned.thought["tuned"]


def test_the_next_prompt_shows_the_values_and_their_ranges(searched):
    _, model, *_ = searched(REPLY, words=("search.max_candidates=2",))
    assert "Tuned: power = " in model.told["proposer"][-1]
    assert "up to 6 numbers that your code reads as" in model.told["proposer"][0]
    assert "up to two stages of 6 trials each choose the values" in model.told["proposer"][0]
