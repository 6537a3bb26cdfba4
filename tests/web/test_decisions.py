"""Decisions from the live page: bound to the code that was shown, the first one stands."""

import pytest

from autoprune.api.decisions import person
from autoprune.runs.approvals import Decision
from autoprune.runs.directory import full_hash
from tests.cli.approve.waiting import PARENT, SHOWN
from tests.web.conftest import HOSTILE, words_of


def decide(client, words):
    reply = client.post("/api/decide", json=words)
    assert reply.status_code == 200
    return reply.json()


def test_a_request_is_shown_with_thought_code_difference_and_findings(shown):
    request = shown("g1.c1")
    assert request["sha256"] == full_hash(SHOWN + "# g1.c1\n")
    assert dict(request["thought"]) == {"idea": HOSTILE.replace("\x1b", "").replace("\u202e", "")}
    assert (request["reasoning"], request["review"], request["findings"]) == ("because", ["fine"], [])
    assert "+    return layer.weight.abs() * layer.input_norm" in request["difference"]
    assert request["decision"] == ""


def test_an_approval_is_stored_as_the_terminals_is(client, archive, shown):
    assert decide(client, words_of(shown("g1.c1"), decision="approve"))["decision"].startswith("g1.c1 approved by ")
    stored = archive.approvals.decision("g1.c1", shown_hash := archive.approvals.decisions()[0].candidate)
    assert (stored.decision, stored.who) == ("approve", f"{person()} on the live page")
    assert archive.approvals.may_run("g1.c1", shown_hash, full_hash(SHOWN + "# g1.c1\n"))


def test_a_rejection_has_its_reason(client, archive, shown):
    decide(client, words_of(shown("g1.c2"), decision="reject", comment=HOSTILE))
    assert archive.approvals.decisions()[0].comment == HOSTILE


def test_the_second_of_two_approvers_learns_who_was_first(client, archive, shown):
    words = words_of(shown("g1.c1"), decision="reject", comment="no")
    first = {"slot": "g1.c1", "candidate": words["candidate"], "decision": "approve", "who": "ann"}
    archive.approvals.decide(Decision(**first))
    assert decide(client, words)["problem"].startswith("already decided: g1.c1 approved by ann at ")
    assert [decision.who for decision in archive.approvals.decisions()] == ["ann"]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"candidate": "0" * 16}, {"slot": "g1.c2"}])
def test_a_decision_on_other_code_than_was_shown_is_refused(client, archive, shown, change):
    problem = decide(client, {**words_of(shown("g1.c1"), decision="approve"), **change})["problem"]
    assert "not the code that this page showed" in problem or "not submitted for approval" in problem
    assert archive.approvals.decisions() == []


def test_code_that_was_changed_on_disk_is_not_approved(client, archive, run, shown):
    words = words_of(shown("g1.c1"), decision="approve")
    (run.candidates / f"{words['candidate']}.py").write_text("import os\n")
    assert "was changed after it was recorded" in decide(client, words)["problem"]
    assert archive.approvals.decisions() == []


def test_edited_code_is_checked_then_runs_under_its_own_hash(client, archive, run, shown):
    words = words_of(shown("g1.c1"))
    source = PARENT + "# mine\n"
    checked = client.post("/api/check", json={**words, "source": source}).json()
    assert "+# mine" in checked["difference"]
    assert (checked["findings"], checked["refused"]) == ([], False)
    decide(client, {**words, "decision": "modify", "source": source, "edited_sha256": checked["sha256"]})
    [decision] = archive.approvals.decisions()
    assert (decision.decision, decision.sha256) == ("modify", full_hash(source))
    assert run.source(decision.replacement) == source


def test_edited_code_that_was_not_checked_or_cannot_run_is_refused(client, archive, shown):
    words = words_of(shown("g1.c1"))
    checked = client.post("/api/check", json={**words, "source": PARENT}).json()
    for source, sha256, problem in (
        (PARENT + "# more\n", checked["sha256"], "not the code that was checked"),
        ("import os\n" + PARENT, full_hash("import os\n" + PARENT), "line 1: import of 'os'"),
    ):
        body = {**words, "decision": "modify", "source": source, "edited_sha256": sha256}
        assert problem in decide(client, body)["problem"]
    refused = client.post("/api/check", json={**words, "source": "import os\n" + PARENT}).json()
    assert refused["refused"] is True
    same = client.post("/api/check", json={**words, "source": shown("g1.c1")["source"]}).json()
    assert same == {"problem": "the code was not changed"}
    assert archive.approvals.decisions() == []


def test_the_rest_is_approved_and_the_mode_switched(client, archive):
    assert client.post("/api/rest", json={}).json() == {"approved": 2}
    assert archive.approvals.pending() == []
    assert archive.approvals.switched().approval == "auto"
