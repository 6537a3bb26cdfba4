"""Trials of a candidate's allocation, in the real sandbox on the tiny model."""

import math

import pytest

from autoprune.candidates.composition import composed
from autoprune.evaluation.polish import starting_zeros
from autoprune.measuring.allocation_trials import allocation_trials, losses_by_allocation

REFINED = """
from autoprune import kit


def score(layer):
    return layer.weight.abs() * layer.input_norm


def refine(layer, mask):
    return kit.swaps(layer.weight, mask, layer.hessian, 8)
"""
SPREAD = "def allocate(units, sparsity):\n    return [1 - sparsity + {0} * (unit.depth - 0.5) for unit in units]\n"
GENTLE, HARSH, WRONG = (composed(REFINED, SPREAD.format(slope)) for slope in ("-0.05", "-0.9", "[]"))
NONE = f"{REFINED}\n\nallocate = None\n"


@pytest.fixture
def workbench(new_workbench):
    workbench = new_workbench()
    workbench.candidate(workbench.run.save_source(GENTLE), "search")
    return workbench


def loss_of(workbench, scorings):
    bench = workbench.bench
    with allocation_trials(workbench, GENTLE, scorings) as candidate:
        zeros = starting_zeros(bench, candidate.scoring, workbench.sparsity)
        return candidate.trials.loss(zeros, candidate.trials.windows), candidate.masks


def test_what_is_tried_is_the_whole_candidate_as_it_was_measured(workbench):
    measured = workbench.candidate(workbench.run.save_source(GENTLE), "search")
    loss, masks = loss_of(workbench, 2)
    assert masks == "its own masks with its refine"
    assert math.exp(loss) == pytest.approx(measured.perplexity, rel=1e-3)


def test_other_masks_stand_in_where_its_own_would_take_too_long(workbench):
    own, _ = loss_of(workbench, 2)
    stand_in, masks = loss_of(workbench, 1e9)
    assert masks == "masks of wanda and 4 rounds of swaps in place of its own"
    assert stand_in != own
    assert math.isfinite(stand_in)


def test_allocations_of_one_algorithm_are_ranked_and_one_that_fails_is_last(workbench):
    losses, masks = losses_by_allocation(workbench, GENTLE, [WRONG, HARSH, GENTLE, NONE])
    assert losses[0] == losses[3] == math.inf
    assert losses[2] < losses[1] < math.inf
    assert masks == "its own masks with its refine"
