import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from pydantic import ValidationError

from autoprune.config import Config
from autoprune.runs.approvals import ApprovalRequest, Decision, Switch
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory

REQUEST = ApprovalRequest(slot="g1.c1", candidate="abc", revision=0, operator="explore", engine="llm")
APPROVED = Decision(slot="g1.c1", candidate="abc", decision="approve", who="ann")


def test_a_request_waits_until_it_is_decided(archive):
    approvals = archive.approvals
    approvals.ask(REQUEST)
    approvals.ask(REQUEST)
    assert approvals.pending() == [REQUEST]
    assert approvals.decide(APPROVED) == APPROVED
    assert approvals.pending() == []
    assert approvals.request("g1.c1", "abc") == REQUEST


def test_the_first_decision_stands_and_is_seen_by_another_process(archive, place):
    archive.approvals.decide(APPROVED)
    other = Archive(place)
    late = Decision(slot="g1.c1", candidate="abc", decision="reject", who="bob")
    assert other.approvals.decide(late) == APPROVED
    other.close()


def test_of_decisions_at_the_same_time_one_stands_for_all(place):
    people = [f"person {number}" for number in range(8)]

    def decide(who):
        with closing(Archive(place)) as archive:
            return archive.approvals.decide(APPROVED.model_copy(update={"who": who}))

    with ThreadPoolExecutor(len(people)) as pool:
        decided = list(pool.map(decide, people))
    assert len({decision.who for decision in decided}) == 1


def test_requests_wait_in_the_order_in_which_they_were_asked(archive):
    for slot in ("g1.c2", "g1.c1", "g1.c10"):
        archive.approvals.ask(REQUEST.model_copy(update={"slot": slot}))
    assert [request.slot for request in archive.approvals.pending()] == ["g1.c2", "g1.c1", "g1.c10"]


@pytest.mark.parametrize(
    ("decision", "replacement", "runs"),
    [("approve", None, ["abc"]), ("reject", None, []), ("modify", "def", ["def"])],
)
def test_only_the_very_source_that_was_approved_may_run(archive, decision, replacement, runs):
    facts = {"slot": "g1.c1", "candidate": "abc", "who": "ann", "replacement": replacement}
    archive.approvals.decide(Decision(decision=decision, **facts))
    assert [name for name in ("abc", "def", "ghi") if archive.approvals.may_run("g1.c1", name)] == runs
    assert not archive.approvals.may_run("g1.c2", "abc")


def test_of_two_sources_of_one_name_only_the_approved_one_may_run(archive):
    """A name is the beginning of a hash; a record of before the whole hash was kept goes by the name alone."""
    for slot, whole in (("g1.c1", "abc1"), ("g1.c2", "")):
        archive.approvals.decide(Decision(slot=slot, candidate="abc", decision="approve", who="ann", sha256=whole))
    asked = [(slot, whole) for slot in ("g1.c1", "g1.c2") for whole in ("abc1", "abc2")]
    runs = [(slot, whole) for slot, whole in asked if archive.approvals.may_run(slot, "abc", whole)]
    assert runs == [("g1.c1", "abc1"), ("g1.c2", "abc1"), ("g1.c2", "abc2")]


@pytest.mark.parametrize(("decision", "replacement"), [("approve", "def"), ("modify", None)])
def test_a_replacement_belongs_to_modify_alone(decision, replacement):
    with pytest.raises(ValidationError, match="replacement"):
        Decision(slot="s", candidate="abc", decision=decision, who="ann", replacement=replacement)


def test_the_last_switch_holds(archive):
    assert archive.approvals.switched() is None
    for mode in ("human", "auto"):
        archive.approvals.switch(Switch(approval=mode, who="ann"))
    assert archive.approvals.switched().approval == "auto"


ELSEWHERE = """
import sys
from pathlib import Path
from autoprune.runs.approvals import Decision
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.directory import RunDirectory

archive = Archive.of(RunDirectory.open(Path(sys.argv[1])))
archive.approvals.decide(Decision(slot="g1.c1", candidate="abc", decision="approve", who="bob"))
archive.close()
"""


def test_a_decision_of_another_process_reaches_one_that_opened_the_archive_twice(tmp_path):
    """A search on a terminal does: once for itself, once for its dialog."""
    run = RunDirectory.create(tmp_path / "run", Config())
    with closing(Archive.of(run)) as searching, closing(Archive.of(run)) as asking:
        searching.approvals.ask(REQUEST)
        subprocess.run([sys.executable, "-c", ELSEWHERE, str(run.path)], check=True)
        for archive in (searching, asking):
            assert archive.approvals.decision("g1.c1", "abc") is not None
