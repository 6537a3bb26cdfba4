"""Free parameters are tuned by real candidates in the real sandbox on the tiny model."""

from dataclasses import replace

import pytest

from autoprune.candidates.parameters import with_values
from autoprune.errors import CandidateFailure
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.recipe import Recipe
from autoprune.measuring.parameter_tuning import ParameterTuner
from autoprune.sandbox.algorithm import Candidate

POWER = """
PARAMS = {"power": (-2.0, 1.0)}


def score(layer):
    return layer.weight.abs() * layer.input_norm.pow(PARAMS["power"])
"""
BOTH = (
    POWER.replace("}", ', "slope": (0.0, 0.4)}')
    + """

def allocate(units, sparsity):
    return [1 - sparsity + PARAMS["slope"] * (unit.depth - 0.5) for unit in units]
"""
)
FAILS = POWER.replace("return", "if PARAMS['power'] > -0.4:\n        raise ValueError('too large')\n    return")


@pytest.fixture
def tuner(new_workbench):
    workbench = new_workbench()

    def of(source, **options):
        return replace(ParameterTuner.of(workbench, source), **{"trials": 8, "seconds": 60.0, **options})

    return of


def test_a_parameter_of_the_score_lowers_the_reconstruction_error(tuner):
    values, (stage,) = tuner(POWER).tune()
    assert stage.names == ("power",)
    assert stage.by == "weighted reconstruction error"
    assert stage.trials == 8
    assert stage.after < stage.before
    assert values["power"] > -0.5  # the middle: to divide by the norm of the inputs is worse than Wanda


def test_a_parameter_of_the_allocation_is_judged_by_losses(tuner):
    values, stages = tuner(BOTH).tune()
    assert [(stage.names, stage.by) for stage in stages] == [
        (("power",), "weighted reconstruction error"),
        (("slope",), "loss on 4 windows"),
    ]
    assert all(stage.after <= stage.before for stage in stages)
    assert 0.0 <= values["slope"] <= 0.4


def test_under_a_pattern_no_parameter_is_of_the_allocation(tuner):
    _, stages = tuner(BOTH, recipe=Recipe(0.5, pattern="2:4"), trials=2).tune()
    assert [stage.names for stage in stages] == [("power", "slope")]


def test_the_same_seed_finds_the_same_values(tuner):
    assert tuner(BOTH).tune() == tuner(BOTH).tune()


def test_a_stage_ends_when_another_trial_would_take_too_long(tuner):
    _, (stage,) = tuner(POWER, seconds=1e-6).tune()
    assert (stage.trials, stage.after) == (1, stage.before)


def test_wanda_stands_in_for_a_candidate_that_is_too_slow_to_be_scored_in_every_trial(tuner):
    by_itself, stood_in = (tuner(BOTH, trials=2, seconds=seconds).tune()[1][-1] for seconds in (600.0, 1e-6))
    assert by_itself.by == "loss on 4 windows"
    assert stood_in.by == "loss on 4 windows with masks of wanda and 4 rounds of swaps"
    assert stood_in.after <= stood_in.before


def test_a_parameter_whose_ends_fail_in_allocate_is_tuned_between_them(tuner):
    fails = "    if PARAMS['slope'] > 0.39:\n        raise ValueError('end')\n    return [1"
    values, stages = tuner(BOTH.replace("    return [1", fails)).tune()
    assert ("slope",) in [stage.names for stage in stages]
    assert values["slope"] <= 0.39


def test_a_parameter_without_effect_stays_in_the_middle_of_its_range(tuner):
    values, (stage,) = tuner(POWER.replace("}", ', "unused": (0.0, 3.0)}').replace('PARAMS["power"]', "0.5")).tune()
    assert stage.before == stage.after
    assert values == {"power": -0.5, "unused": 1.5}


def test_values_that_fail_are_discarded_and_a_failure_of_the_middles_is_the_candidates(tuner):
    values, (stage,) = tuner(FAILS).tune()
    assert values["power"] <= -0.4
    assert stage.trials == 8
    with pytest.raises(CandidateFailure, match="too large"):
        tuner(FAILS.replace("-0.4", "-0.6")).tune()


def test_the_weights_are_whole_again_and_a_source_with_ranges_is_measured_at_their_middles(tuner, sandbox):
    bench = (tuned := tuner(BOTH, trials=2)).bench
    tuned.tune()
    bench.target.verify()
    middles = with_values(POWER, {"power": -0.5})
    one, other = (
        measure(bench, Candidate("draft", source, sandbox), Recipe(0.5), "search") for source in (POWER, middles)
    )
    assert one.window_losses == other.window_losses
