"""The tool `try_layers` in whole searches: a scripted model behind a real server, the tiny model, the real sandbox."""

import json

import pytest

from autoprune.agents.approval import Approver
from autoprune.agents.drafts import MOST_DRAFTS, Drafts, written_draft
from autoprune.agents.lookups import TOOL_ROUNDS, lookups
from autoprune.agents.population import Algorithm
from autoprune.agents.proposer import Request
from autoprune.errors import RunPaused
from autoprune.measuring.layer_trials import LayerTrials
from autoprune.runs.approvals import Switch
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from tests.agents.strong_model import Model, archived, draft, kind_of, strong  # noqa: F401
from tests.llm.replies import Calls, Status

GOOD = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
FAILS = "def score(layer):\n    return layer.weight / layer.unknown\n"
SHAPE = "def score(layer):\n    return layer.weight[:1]\n"
FORBIDDEN = "import os\n\n\ndef score(layer):\n    return layer.weight.abs()  # as large as they are\n"
ALLOCATION = "def allocate(units, sparsity):\n    return [1.0 - sparsity for unit in units]\n"


class Trying(Model):
    """Calls the tool with the drafts of each round before it answers as ever."""

    def __init__(self, *rounds):
        super().__init__()
        self.rounds = list(rounds)
        self.results = []

    def __call__(self, body):
        if kind_of(body) != "proposer":
            return super().__call__(body)
        self.results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if self.rounds:
            return Calls(tuple(("try_layers", json.dumps({"source": source})) for source in self.rounds.pop(0)))
        return super().__call__({**body, "messages": body["messages"][:2]})


def turns_of(run):
    archive = Archive(run.archive_file)
    try:
        return archive.calls()["g1.c1.propose.0.draft"]["turns"]
    finally:
        archive.close()


ONE = ("search.max_candidates=1", "search.generation_size=1")


def test_trials_change_nothing_that_is_measured_and_a_replay_does_not_repeat_them(
    strong,  # noqa: F811
    search,
    facts,
    monkeypatch,
):
    model = Trying([GOOD, FAILS], [f"```python\n{FORBIDDEN}```"], [GOOD])
    run = strong(model, *ONE, "llm.record=true", name="tried")
    good, failed, refused, late = model.results
    lines = good.splitlines()
    assert lines[0].startswith("weighted reconstruction error (no perplexity) with as many zeros in each")
    assert ": 1 times Wanda's" in lines[0]
    assert "a candidate has 120 s for all 21 layers" in lines[1]
    assert len(lines) == 3 + 14
    assert failed.startswith("the draft failed: score: exception: ")
    assert "unknown" in failed
    assert "line 2" in failed
    assert refused.startswith("the draft failed: screen: forbidden: import of 'os' is not allowed")
    assert late == "try_layers can be called 3 times before an answer, and was; answer now"
    assert "you may try drafts: `try_layers` takes the whole file" in model.told["proposer"][0]
    called = [event.data["tools"] for event in read_events(run.events_file) if event.kind == "called"]
    assert called[0] == [f"try_layers(source={len(source)} characters)" for source in (GOOD, FAILS)]
    assert called[1] == [f"try_layers(source={len(FORBIDDEN) + 13} characters)"]

    plain = strong(Trying(), *ONE, name="plain")
    assert facts(plain) == facts(run)
    assert [len(turn["calls"]) for turn in turns_of(run)] == [2, 1, 1, 0]
    assert [len(turn["calls"]) for turn in turns_of(plain)] == [0]

    monkeypatch.setattr(LayerTrials, "try_draft", None)  # from here on no draft can be tried
    played = search(
        "llm.provider=replay",
        f"llm.recording={run.recording_file}",
        "llm.profile=strong",
        "agents.tools=on",
        "agents.symbolic_share=0",
        "advanced.layer_error=null",
        *ONE,
        name="played",
    )
    for part in ("outcomes", "measurements", "calls"):  # a replay does not measure what density is worth
        assert facts(played)[part] == facts(run)[part]
    results = [[call["result"] for call in turn["calls"]] for turn in turns_of(played)]
    assert results == [[call["result"] for call in turn["calls"]] for turn in turns_of(run)]


def test_a_resumed_run_goes_on_with_the_calls_that_are_left(strong):  # noqa: F811
    model = Trying([GOOD, GOOD], [SHAPE, GOOD])
    replies = iter([True])

    def until_down(body):
        return model(body) if next(replies, False) else Status(503)

    with pytest.raises(RunPaused, match="resume"):
        strong(until_down, *ONE)
    run = strong(model, *ONE)
    results = [[call["result"] for call in turn["calls"]] for turn in turns_of(run)]
    assert [len(calls) for calls in results] == [2, 2, 0]
    assert "shape: " in results[1][0]
    assert "answer now" in results[1][1]


EDIT = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Let me see.\n\nTRY\n```python\nx = 1\n```\n", "```python\nx = 1\n```\n"),
        (f"**TRY:**\n\n{EDIT}", EDIT),
        (f"TRY\nEDITS: [g1.c1]\n```\n{EDIT}\n```", f"EDITS: [g1.c1]\n```\n{EDIT}\n```"),
        ("I could TRY\nthis:\n```python\nx = 1\n```", None),
        ("TRY\n```python\nx = 1\n```\nNo: at once.\nIDEA: a score\n```python\ny = 1\n```", None),
        ("TRY", None),
        ("TRY\n" * 30_000, None),
    ],
)
def test_a_trial_is_asked_for_in_words_by_a_line_of_its_own_before_code(text, source):
    assert written_draft(text) == (source and {"source": source})


class Writing(Model):
    """Cannot call tools: writes its drafts before it answers as ever."""

    def __init__(self, *drafts):
        super().__init__()
        self.replies = list(drafts)
        self.bodies = []

    def __call__(self, body):
        if kind_of(body) != "proposer":
            return super().__call__(body)
        self.bodies.append(body)
        if "tools" in body:
            return Status(400, message="this model does not support tools", param="tools")
        if self.replies:
            return f"Thinking.\n\nTRY\n```python\n{self.replies.pop(0)}```\n"
        return super().__call__({**body, "messages": body["messages"][:2]})


def test_a_model_without_tool_calls_tries_drafts_by_turns_of_the_conversation(strong):  # noqa: F811
    model = Writing(GOOD, FAILS, GOOD)
    run = strong(model, *ONE)
    assert "If you cannot call tools, reply with the line TRY" in model.bodies[0]["messages"][0]["content"]
    told = [message["content"] for message in model.bodies[-1]["messages"] if message["role"] == "user"]
    assert len(told) == 4
    assert "1 times Wanda's" in told[1]
    assert told[2].startswith("the draft failed: score: exception: ")
    assert [len(turn["calls"]) for turn in turns_of(run)] == [1, 1, 1, 0]
    assert [outcome.status for outcome in archived(run)[0]] == ["measured"]
    called = [event.data["tools"] for event in read_events(run.events_file) if event.kind == "called"]
    assert called[0][0].startswith("try_layers(source=")


def request(*parents):
    parents = [Algorithm(name, name, source, 10.0) for name, source in parents]
    plan = {"slot": "g1.c1", "generation": 1, "operator": "mutate", "engine": "llm", "parents": []}
    return Request(plan, "0", 0, parents, [], [], frozenset(), [], None)


@pytest.fixture
def drafts_of(new_workbench):
    def make(**groups):
        workbench = new_workbench(**groups)
        approver = Approver(workbench.config, workbench.run, workbench.archive.approvals)
        return workbench, Drafts(workbench, approver, {})

    return make


def names(toolbox):
    return [tool.name for tool in toolbox.tools]


def test_the_tool_is_offered_for_a_draft_alone_and_with_rounds_of_its_own(drafts_of):
    workbench, drafts = drafts_of()
    offered = lookups(workbench, workbench.config.agents, "openai", drafts)
    assert names(offered(1)) == ["inspect_target", "recall"]
    assert names(offered(1, request())) == ["inspect_target", "recall", "try_layers"]
    assert offered(1).rounds == TOOL_ROUNDS
    assert offered(1, request()).rounds == TOOL_ROUNDS + MOST_DRAFTS
    assert lookups(workbench, workbench.config.agents, "local", drafts)(1, request()) is None


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"approval": "human"}, "a draft runs unapproved, and approval is human"),
        ({"approval": "file", "approval_policy": {"otherwise": "approve"}}, "approval is file"),
        ({"executor": {"kind": "processes"}}, "drafts would compete with the workers of the executor processes"),
        ({"executor": {"kind": "ray"}}, "the executor ray"),
    ],
    ids=["human", "file", "processes", "ray"],
)
def test_it_is_not_offered_where_a_person_approves_or_workers_measure(drafts_of, caplog, groups, reason):
    workbench, drafts = drafts_of(**groups)
    with caplog.at_level("INFO"):
        offered = lookups(workbench, workbench.config.agents, "openai", drafts)
    assert names(offered(1, request())) == ["inspect_target", "recall"]
    assert "the tool try_layers is not offered: " in caplog.text
    assert reason in caplog.text


def test_no_draft_runs_once_a_person_has_switched_approval_on(drafts_of):
    workbench, drafts = drafts_of()
    tool = drafts.tool(request())
    workbench.archive.approvals.switch(Switch(approval="human", who="ada"))
    told = tool.run(tool.takes(source=GOOD))
    assert told == "no draft can be tried now: approval is human, so that no code runs unapproved"


def test_a_draft_may_leave_a_part_to_its_parent(drafts_of):
    tool = drafts_of()[1].tool(request(("g0.c1", GOOD)))
    told = tool.run(tool.takes(source=ALLOCATION))
    assert "1 times Wanda's, 1 times the parent's" in told


def test_a_draft_that_is_too_slow_is_told_how_long_it_has(drafts_of, monkeypatch):
    monkeypatch.setattr("autoprune.measuring.layer_trials.SECONDS", 1.0)
    tool = drafts_of()[1].tool(request())
    told = tool.run(tool.takes(source="def score(layer):\n    while layer:\n        pass\n"))
    assert told.startswith("the draft failed: score: timeout: no answer within 1 s")
    assert told.endswith("; a draft has 1 s for a few layers, a candidate has 120 s for all 21 layers")
