"""The trace of one candidate (what a whole one shows is tested by the command: tests/cli/test_trace.py)."""

from autoprune.report.candidate import descent
from autoprune.runs.archive import Outcome, Proposal


def proposal(slot, *parents):
    return Proposal(slot, 0, 1, "structure", "symbolic", list(parents), {"idea": "an idea"}, f"hash of {slot}")


def test_a_line_of_descent_begins_at_the_published_score_that_it_goes_on_from():
    proposals = {each.slot: each for each in (proposal("g1.c1", "seed.ria"), proposal("g2.c1", "g1.c1"))}
    outcomes = {"g1.c1": Outcome("g1.c1", 1, "hash of g1.c1", "measured", data={"perplexity": 2.0, "gain": 0.5})}
    first, second = (line.plain for line in descent(proposals, outcomes, "g2.c1"))
    assert first == "seed.ria: a published score"
    assert second.startswith("g1.c1 structure from seed.ria: an idea measured: perplexity 2.00, gain +0.500")


def test_what_was_made_from_nothing_has_no_line_of_descent():
    assert descent({"g1.c1": proposal("g1.c1")}, {}, "g1.c1") == []
