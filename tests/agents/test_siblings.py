import threading

import pytest

from autoprune.agents.siblings import Siblings
from autoprune.runs.archive import Archive, Outcome, Proposal


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive.sqlite")
    yield archive
    archive.close()


def proposal(slot, idea="swaps", revision=0):
    return Proposal(slot, revision, 3, "explore", "llm", [], {"idea": idea}, "c")


def test_the_first_slot_waits_for_nobody(archive):
    assert Siblings(archive).before("g3.c1") == []


def test_a_later_slot_waits_for_what_the_earlier_ones_propose_at_first(archive):
    siblings, told = Siblings(archive), []
    waiting = threading.Thread(target=lambda: told.extend(siblings.before("g3.c3")))
    waiting.start()
    archive.add_proposal(proposal("g3.c2", "second"))
    siblings.answered("g3.c2")
    waiting.join(0.1)
    assert waiting.is_alive()
    archive.add_proposal(proposal("g3.c1", "first"))
    archive.add_proposal(proposal("g3.c1", "first, mended", revision=1))
    siblings.answered("g3.c1")
    waiting.join(10)
    assert told == ["- [g3.c1] explore: first", "- [g3.c2] explore: second"]


def test_a_slot_that_ended_without_a_proposal_keeps_nobody_waiting(archive):
    siblings = Siblings(archive)
    siblings.answered("g3.c1")
    archive.add_outcome(Outcome("g3.c2", 3, None, "unusable"))
    assert siblings.before("g3.c3") == []


def test_a_slot_without_a_model_keeps_nobody_waiting_and_is_not_shown(archive):
    siblings = Siblings(archive)
    siblings.answered("g3.c1")
    assert siblings.before("g3.c2") == []
    archive.add_proposal(Proposal("g3.c1", 0, 3, "polish", "trials", ["g1.c1"], {"idea": "x"}, "c"))
    assert siblings.before("g3.c2") == []
