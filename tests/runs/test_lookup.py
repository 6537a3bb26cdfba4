"""What a user calls a candidate."""

import pytest

from autoprune.errors import UsageError
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.lookup import best_slot, find_candidate


def propose(archive, slot, revision, candidate):
    archive.add_proposal(Proposal(slot, revision, 1, "explore", "llm", [], {}, candidate))


def end(archive, slot, candidate, perplexity):
    archive.add_outcome(Outcome(slot, 1, candidate, "measured", data={"perplexity": perplexity}))


def test_a_slot_is_the_candidate_that_it_ended_with(archive):
    for revision, candidate in enumerate(("aa11", "bb22", "cc33")):
        propose(archive, "g1.c1", revision, candidate)
    assert find_candidate(archive, "g1.c1").candidate == "cc33"
    end(archive, "g1.c1", "bb22", 50.0)
    assert find_candidate(archive, "g1.c1").candidate == "bb22"


def test_the_start_of_a_hash_finds_a_revision_that_was_given_up_too(archive):
    propose(archive, "g1.c1", 0, "aa11")
    propose(archive, "g1.c1", 1, "bb22")
    found = find_candidate(archive, "aa")
    assert (found.slot, found.candidate) == ("g1.c1", "aa11")


def test_best_is_the_lowest_perplexity_on_the_search_split(archive):
    with pytest.raises(UsageError, match="no candidate of this run has been measured"):
        best_slot(archive)
    for slot, candidate, perplexity in (("g1.c1", "aa11", 50.0), ("g1.c2", "bb22", 40.0)):
        propose(archive, slot, 0, candidate)
        end(archive, slot, candidate, perplexity)
    assert find_candidate(archive, "best").candidate == "bb22"


def test_what_is_not_there_is_told_with_what_is(archive):
    propose(archive, "g1.c1", 0, "aa11")
    propose(archive, "g1.c2", 0, None)
    for wanted in ("g9.c9", "g1.c2", "zz", ""):
        with pytest.raises(UsageError, match=r"in this run; there are: g1\.c1$"):
            find_candidate(archive, wanted)
