"""The table of all candidates that prompts show."""

import numpy as np
import pytest

from autoprune.agents.overview import Overview
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.measurement import Measurement

LOSSES = {"a": [3.0, 3.2, 3.1, 3.3], "b": [3.05, 3.22, 3.2, 3.31], "c": [3.5, 3.5]}
"""In nats, by window; `c` was measured on fewer windows than the others."""


def perplexity(name):
    return float(np.exp(np.mean(LOSSES[name])))


def recorded(name):
    losses = LOSSES[name]
    return Measurement(
        subject=name,
        split="search",
        perplexity=perplexity(name),
        window_losses=losses,
        sparsity=0.6,
        zeros=6,
        weights=10,
        seqlen=8,
        windows=len(losses),
    )


@pytest.fixture
def lines():
    slots = {"g1.c1": "a", "g1.c2": "b", "g2.c1": "c"}
    outcomes = [
        Outcome(slot, 1, name, "measured", data={"perplexity": perplexity(name)}) for slot, name in slots.items()
    ]
    proposals = [Proposal(slot, 0, 1, "explore", "llm", [], {"idea": slot}, name) for slot, name in slots.items()]
    return Overview(outcomes, proposals, recorded, [], 120.0).lines()


def test_a_change_against_the_best_has_the_standard_error_of_the_paired_difference(lines):
    differences = np.subtract(LOSSES["b"], LOSSES["a"])
    error = 100 * np.exp(differences.mean()) * differences.std(ddof=1) / np.sqrt(len(differences))
    change = 100 * (perplexity("b") / perplexity("a") - 1)
    assert f"({change:+.1f} ± {error:.1f} % against the best)" in lines[1]
    assert "(the best)" in lines[0]


def test_without_the_same_windows_no_error_is_told(lines):
    assert "±" not in lines[2]
    assert "% against the best" in lines[2]


def test_a_message_names_other_candidates_as_the_table_does():
    name, other = "0123456789abcdef", "fedcba9876543210"
    message = "raced out after 4 windows; on these 01234567 has 20.00, and feedfeed has 30.00"
    outcomes = [
        Outcome("g1.c1", 1, name, "stopped", "measure", "raced-out", message),
        Outcome("g1.c2", 1, other, "failed", "score", "raised", "no"),
    ]
    proposals = [Proposal(slot, 0, 1, "explore", "llm", [], {}, name) for slot in ("g1.c1", "g1.c2")]
    lines = Overview(outcomes, proposals, lambda name: None, [], 120.0).lines()
    assert "on these g1.c1 has 20.00, and feedfeed has 30.00" in lines[0]


@pytest.fixture
def stopped():
    """The lines of a measured candidate with perplexity 20, and of one that was stopped."""

    def lines(stage, reason, message, **data):
        outcomes = [
            Outcome("g1.c1", 1, "a", "measured", data={"perplexity": 20.0}),
            Outcome("g1.c2", 1, "b", "stopped", stage, reason, message, {"seconds": {"score": 41.7}, **data}),
        ]
        proposals = [Proposal(each.slot, 0, 1, "explore", "llm", [], {}, each.candidate) for each in outcomes]
        return Overview(outcomes, proposals, lambda name: None, [], 120.0).lines()

    return lines


def test_a_raced_out_candidate_has_its_distance_from_the_best_and_its_seconds(stopped):
    message = "raced out after 4 of 8 windows, partial perplexity 26.00"
    best, line = stopped("measure", "raced-out", message, estimated_perplexity=25.0)
    assert best.startswith("- [g1.c1] 20.00 (the best)")
    assert line.startswith(
        f"- [g1.c2] stopped at measure, raced-out: {message}, about 25.00 in all, +25.0 % against the best, 42 of 120 s"
    )


def test_a_candidate_stopped_by_its_layer_error_has_its_ratio_and_its_seconds(stopped):
    sampled = Measurement(
        subject="b",
        split="search",
        perplexity=9.0,
        layer_errors=[0.5, 1.5, 9.0],
        reference_errors=[0.25, 0.25, 0.5],
        sampled_layers=3,
    )
    with pytest.raises(StoppedEarly) as early:
        Ladder(most_error=1.2).check_error(sampled)
    _, line = stopped(early.value.stage, early.value.reason, early.value.message)
    assert (
        "stopped at check, layer-error: after 2 of 3 sampled layers the weighted reconstruction error is 2 times that "
        "of Wanda with as many zeros in each of all 3, where the limit is 1.2, and 4 times in those 2, 42 of 120 s."
    ) in line


def test_without_a_measured_candidate_an_estimate_has_no_distance():
    outcomes = [Outcome("g1.c1", 1, "b", "stopped", "measure", "raced-out", "out", {"estimated_perplexity": 25.0})]
    proposals = [Proposal("g1.c1", 0, 1, "explore", "llm", [], {}, "b")]
    (line,) = Overview(outcomes, proposals, lambda name: None, [], 120.0).lines()
    assert "raced-out: out, about 25.00 in all. explore" in line
