import pytest

from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.trials import Trials
from autoprune.models.identity import checksum
from autoprune.pruning.allocation.table import ALLOCATIONS
from tests.evaluation.given_scores import baseline


@pytest.mark.parametrize("unit", ["block", "module", "projection"])
@pytest.mark.parametrize(
    "name", [name for name, spec in ALLOCATIONS.items() if spec.stage != "walk" and name != "searched"]
)
def test_every_allocation_is_exact_and_leaves_the_model_alone(bench, name, unit):
    algorithm = Published.named("wanda")
    with algorithm.open(bench.readable()) as scoring:
        zeros = allocated(bench, bench.units_by(unit), name, 0.6, scoring).zeros
    assert list(zeros) == [layer.name for layer in bench.layers]
    assert sum(zeros.values()) == round(0.6 * bench.target.weights)
    assert checksum(bench.target.model) == bench.target.fingerprint


@pytest.mark.parametrize("name", ["sdsa", "sdsa-staged", "global"])
def test_an_allocation_counts_the_zeros_that_a_model_has_already(holed_bench, name):
    already = {layer.name: holed_bench.target.zeros(layer.name) for layer in holed_bench.layers}
    with Published.named("wanda").open(holed_bench.readable()) as scoring:
        zeros = allocated(holed_bench, holed_bench.units_by("module"), name, 0.3, scoring).zeros
    assert sum(zeros.values()) == round(0.3 * holed_bench.target.weights)
    assert all(zeros[name] >= already[name] for name in zeros)
    assert sum(already.values()) > 0


def test_a_searched_allocation_is_exact_and_no_worse_than_uniform_on_search_text(bench):
    units = bench.units_by("block")
    with Published.named("wanda").open(bench.readable()) as scoring:
        found = allocated(bench, units, "searched", 0.6, scoring).zeros
        uniform = allocated(bench, units, "uniform", 0.6, scoring).zeros
        with Trials(bench, units, scoring) as trials:
            losses = [trials.loss(zeros, 4) for zeros in (found, uniform)]
    assert sum(found.values()) == round(0.6 * bench.target.weights)
    assert losses[0] <= losses[1]
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_a_trial_measures_what_the_bench_measures_and_each_window_once(bench):
    units = bench.units_by("block")
    algorithm = Published.named("magnitude")
    with algorithm.open(bench.readable()) as scoring, Trials(bench, units, scoring) as trials:
        zeros = {name: allocated(bench, units, name, 0.5, scoring).zeros for name in ("sdsa", "uniform")}
        few = trials.loss(zeros["sdsa"], 2)
        losses = {name: trials.loss(each, 4) for name, each in reversed(zeros.items())}  # sdsa again after uniform
        assert few == trials.loss(zeros["sdsa"], 2) != losses["sdsa"]
        assert trials.measured == 2 * 4
    for name, loss in losses.items():
        measured = baseline(bench, "magnitude", name, 0.5, "search")
        assert loss == pytest.approx(sum(measured.window_losses) / 4)


def test_an_unknown_allocation_is_named_with_those_that_exist(bench):
    with Published.named("wanda").open(bench.readable()) as scoring, pytest.raises(UsageError, match=r"'best'.*sdsa"):
        allocated(bench, bench.units_by("block"), "best", 0.5, scoring)


def test_an_unknown_kind_of_unit_is_named(bench):
    with pytest.raises(UsageError, match="'head'"):
        bench.units_by("head")
