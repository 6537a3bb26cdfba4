"""What a measurement depends on, and what it does not."""

import pytest

from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.recipe import Recipe
from autoprune.pruning.allocation.spec import Setting


@pytest.fixture
def spec(bench):
    return MeasurementSpec.of(bench, "baseline:wanda+sdsa", "search", Recipe(0.5, "sdsa"))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0.6, "sdsa"),
        Recipe(0.5, "owl"),
        Recipe(0.5, "sdsa", refinement="swaps"),
        Recipe(0.5, "sdsa", unit="module"),
        Recipe(0.5, "sdsa", own_first=True),
        Recipe(0.5, "sdsa", setting=Setting("sdsa", "block", {"kappa": 0.1})),
    ],
)
def test_another_recipe_is_another_measurement(bench, spec, recipe):
    other = MeasurementSpec.of(bench, spec.subject, "search", recipe)
    assert other.key() != spec.key()
    assert other.cache_key(threads=1) != spec.cache_key(threads=1)


def test_so_is_another_subject_split_or_calibration_sample(bench, spec):
    recipe = Recipe(0.5, "sdsa")
    others = [
        MeasurementSpec.of(bench, "baseline:ria+sdsa", "search", recipe),
        MeasurementSpec.of(bench, spec.subject, "report", recipe),
        MeasurementSpec.of(bench.calibrated(1), spec.subject, "search", recipe),
    ]
    assert len({each.key() for each in (spec, *others)}) == 4


def test_equal_specs_have_one_key_and_the_cache_also_asks_where_it_was_measured(bench, spec):
    assert MeasurementSpec.of(bench, spec.subject, "search", Recipe(0.5, "sdsa")).key() == spec.key()
    assert spec.cache_key(threads=1) == spec.cache_key(threads=1) != spec.cache_key(threads=2)


def test_nothing_that_is_pruned_decides_about_the_dense_model(bench):
    first, second = (MeasurementSpec.of(each, "dense", "report", None) for each in (bench, bench.calibrated(1)))
    assert first.key() == second.key()
    assert first.calibration is None
    assert not first.layer_errors
