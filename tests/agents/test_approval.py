"""Who lets a candidate run: by a policy's rules, and by people, whom the state machine waits for."""

import json

import pytest

from autoprune.agents.approval import rule_on
from autoprune.config import load_config
from autoprune.config_agents import ApprovalPolicy
from autoprune.errors import AutoPruneError, RunPaused, UsageError
from autoprune.gcot.graph import GCoT
from autoprune.runs.approvals import ApprovalRequest, Decision, Switch
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from autoprune.search.session import finished
from tests.search.test_search import code, llm_words, scripted

REQUEST = ApprovalRequest(slot="g1.c1", candidate="abc", revision=0, operator="cross", engine="llm")
WARNED = REQUEST.model_copy(update={"findings": [{"severity": "warning", "line": 3, "message": "random"}]})
PLAIN = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs()\n"
MATHS = "import math\n" + PLAIN
COSTLY = PLAIN.replace("weight", "gradient")
HAND_WRITTEN = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs() * layer.input_norm.sqrt()\n"


@pytest.mark.parametrize(
    ("rule", "fits", "does_not"),
    [
        ({"findings": "none"}, (REQUEST, PLAIN), (WARNED, PLAIN)),
        ({"findings": "any"}, (WARNED, PLAIN), (REQUEST, PLAIN)),
        ({"findings": "warning"}, (WARNED, PLAIN), (REQUEST, PLAIN)),
        ({"imports": ["math"]}, (REQUEST, MATHS), (REQUEST, PLAIN)),
        ({"operators": ["cross"]}, (REQUEST, PLAIN), (REQUEST.model_copy(update={"operator": "explore"}), PLAIN)),
        ({"engines": ["llm"]}, (REQUEST, PLAIN), (REQUEST.model_copy(update={"engine": "symbolic"}), PLAIN)),
        ({"expensive": True}, (REQUEST, COSTLY), (REQUEST, PLAIN)),
        ({"longer_than": len(PLAIN)}, (REQUEST, MATHS), (REQUEST, PLAIN)),
        ({"findings": "any", "imports": ["math"]}, (WARNED, MATHS), (WARNED, PLAIN)),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(rule, fits, does_not):
    policy = ApprovalPolicy.model_validate({"rules": [{**rule, "decision": "reject", "comment": "no"}]})
    assert rule_on(policy, *fits) == ("reject", "no", "policy, rule 1")
    assert rule_on(policy, *does_not) == ("ask", "", "policy, otherwise")


def test_the_first_rule_that_fits_decides():
    rules = [{"engines": ["symbolic"], "decision": "reject"}, {"decision": "approve"}, {"decision": "reject"}]
    assert rule_on(ApprovalPolicy.model_validate({"rules": rules}), REQUEST, PLAIN)[0] == "approve"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [{decision: maybe}]", "approval_policy.rules.0.decision"),
        ("rules: [{imports: math, decision: ask}]", "approval_policy.rules.0.imports"),
        ("rulez: []", "approval_policy.rulez"),
        ("- decision: ask", "must hold a mapping"),
        ("rules: [", "is not YAML"),
    ],
)
def test_a_policy_that_cannot_be_used_is_one_clear_line(tmp_path, text, complaint):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        load_config(None, ["approval=file", f"approval_policy={tmp_path / 'policy.yaml'}"])


@pytest.mark.parametrize("words", [["approval=file"], ["approval=file", "approval_policy=nowhere.yaml"]])
def test_a_policy_that_is_missing_is_one_clear_line(words):
    with pytest.raises(UsageError, match="policy"):
        load_config(None, words)


class Office:
    """Everything between a paused run and a person: the run's archive, opened for one answer."""

    def __init__(self, path):
        self.run = RunDirectory(path)

    def _archive(self, use):
        archive = Archive(self.run.archive_file)
        try:
            return use(archive)
        finally:
            archive.close()

    def pending(self):
        return {request.slot: request for request in self._archive(lambda archive: archive.approvals.pending())}

    def answer(self, slot, decision, **facts):
        candidate = self.pending()[slot].candidate
        answer = Decision(slot=slot, candidate=candidate, decision=decision, who="ann", **facts)
        self._archive(lambda archive: archive.approvals.decide(answer))
        return candidate

    def switch(self, mode):
        self._archive(lambda archive: archive.approvals.switch(Switch(approval=mode, who="ann")))

    def outcomes(self):
        return {outcome.slot: outcome for outcome in self._archive(lambda archive: archive.outcomes())}

    def decisions(self):
        return [event.data for event in read_events(self.run.events_file) if event.kind == "decided"]


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "run")


def test_several_wait_and_are_answered_in_any_order_while_the_others_go_on(search, office):
    words = ("approval=human", "search.max_candidates=2")
    with pytest.raises(RunPaused, match=r"approval of g1\.c1, g1\.c2"):
        search(*words)
    assert set(office.pending()) == {"g1.c1", "g1.c2"}
    second = office.answer("g1.c2", "approve", comment="go")
    with pytest.raises(RunPaused, match=r"approval of g1\.c1;"):
        search(*words)
    assert {slot: outcome.candidate for slot, outcome in office.outcomes().items()} == {"g1.c2": second}
    office.answer("g1.c1", "reject")
    run = search(*words)
    assert finished(run)
    assert (office.outcomes()["g1.c1"].status, office.outcomes()["g1.c1"].stage) == ("rejected", "approve")
    told = [(said["slot"], said["decision"], said["who"], said["comment"]) for said in office.decisions()]
    assert told == [("g1.c2", "approve", "ann", "go"), ("g1.c1", "reject", "ann", "")]
    assert all(said["time"] for said in office.decisions())


def test_what_a_person_wrote_instead_is_what_runs(search, office):
    words = ("approval=human", "search.max_candidates=1")
    with pytest.raises(RunPaused):
        search(*words)
    written = office.run.save_source(HAND_WRITTEN)
    shown = office.answer("g1.c1", "modify", replacement=written)
    search(*words)
    assert office.outcomes()["g1.c1"].candidate == written != shown
    last = office._archive(lambda archive: archive.proposal("g1.c1"))
    assert (last.engine, last.candidate, last.revision) == ("human", written, 1)
    assert "expression" not in last.thought


def test_a_rejections_comment_reaches_the_proposer_and_the_reasoning_graph(search, office, chat_server):
    asked = []

    def script(body):
        asked.append(body["messages"][-1]["content"])
        if "response_format" in body:
            return scripted(body)
        return code("layer.input_var" if "TOO TIMID" in asked[-1] else "layer.input_norm.sqrt()")

    chat_server.script = script
    words = llm_words(chat_server, "approval=human", "search.max_candidates=1", "agents.critic=rules")
    with pytest.raises(RunPaused):
        search(*words)
    first = office.answer("g1.c1", "reject", comment="TOO TIMID")
    with pytest.raises(RunPaused):
        search(*words)
    assert any("TOO TIMID" in words for words in asked)
    again = office.pending()["g1.c1"]
    assert (again.candidate != first, again.revision) == (True, 1)
    office.answer("g1.c1", "approve")
    search(*words)
    nodes, edges = office._archive(lambda archive: (archive.nodes(), archive.edges()))
    gcot = GCoT(nodes, edges)
    lesson = next(node for node in gcot.of_kind("lesson") if "TOO TIMID" in node.text)
    assert gcot.ground(lesson.id) is None
    assert gcot.graph.has_edge("g1.c1.idea", lesson.id)


def test_the_mode_may_change_in_mid_run(search, office):
    words = ("approval=human", "search.max_candidates=4")
    with pytest.raises(RunPaused):
        search(*words)
    office.switch("auto")
    run = search(*words)
    assert len(office.outcomes()) == 4
    assert {said["who"] for said in office.decisions()} == {"auto (switched on by ann)"}
    assert [event.data["who"] for event in read_events(run.events_file) if event.kind == "approval-switched"] == ["ann"]


def test_a_policy_decides_and_says_by_which_rule(search, office, tmp_path):
    (tmp_path / "policy.yaml").write_text("rules: [{engines: [symbolic], decision: approve}]\notherwise: reject\n")
    search("approval=file", f"approval_policy={tmp_path / 'policy.yaml'}", "search.max_candidates=2")
    assert {said["who"] for said in office.decisions()} == {"policy, rule 1"}
    assert json.loads(office.run.settings()[0].model_dump_json())["approval_policy"]["otherwise"] == "reject"


def test_nothing_runs_that_was_not_approved(search, office, monkeypatch):
    from autoprune.runs.approvals import Approvals

    monkeypatch.setattr(Approvals, "may_run", lambda *_: False)
    with pytest.raises(AutoPruneError, match="was not approved"):
        search("search.max_candidates=1")
    assert office.outcomes() == {}
