"""Allocations with free parameters: what their grids hold, and that a default is what the name alone gives."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.pruning.allocation.choose import choose_allocation
from autoprune.pruning.allocation.families import TUNABLE, Setting, grid, neighbours
from autoprune.pruning.allocation.sdsa import SDSA

SIGNALS = {
    "size": st.integers(1, 10**6),
    "skewness": st.floats(-2, 50),
    "score_skewness": st.floats(-2, 50),
    "outlier_share": st.floats(0, 1),
    "outlier_share_3": st.floats(0, 1),
    "outlier_share_10": st.floats(0, 1),
    "mean_score": st.floats(0, 100),
    "alpha": st.floats(1, 200),
}
UNITS = st.lists(st.fixed_dictionaries(SIGNALS), min_size=1, max_size=12).map(
    lambda units: [{**unit, "depth": i / max(len(units) - 1, 1)} for i, unit in enumerate(units)]
)
SPARSITIES = st.floats(0.01, 0.99)


def made(setting, units, sparsity):
    signal, allocate = setting.made
    return allocate([{key: unit[key] for key in ("size", "depth", signal)} for unit in units], sparsity)


@pytest.mark.parametrize("family", TUNABLE)
@given(units=UNITS, sparsity=SPARSITIES)
def test_the_first_of_a_grid_is_what_the_familys_name_alone_gives(family, units, sparsity):
    default = grid(family, "block", SDSA(), units, sparsity)[0]
    assert made(default, units, sparsity) == choose_allocation(family)(units, sparsity)


@pytest.mark.parametrize("family", TUNABLE)
@given(units=UNITS, sparsity=SPARSITIES)
def test_every_setting_of_a_grid_holds_the_budget(family, units, sparsity):
    weights = sum(unit["size"] for unit in units)
    for setting in grid(family, "block", SDSA(), units, sparsity):
        densities = made(setting, units, sparsity)
        held = sum(unit["size"] * density for unit, density in zip(units, densities, strict=True))
        assert held == pytest.approx((1.0 - sparsity) * weights, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("family", TUNABLE)
@pytest.mark.parametrize("unit", ["block", "module", "projection"])
def test_a_grid_is_small_and_repeats_nothing(family, unit):
    units = [{"size": 10, "depth": depth} for depth in (0.0, 0.5, 1.0)]
    settings = grid(family, unit, SDSA(kappa=0.3), units, 0.6)
    assert 9 <= len(settings) <= 24
    assert len({json.dumps(asdict(setting)) for setting in settings}) == len(settings)
    assert settings[0].unit == unit
    assert all(Setting(**json.loads(json.dumps(asdict(setting)))) == setting for setting in settings)


def test_the_default_of_sdsa_has_the_constants_that_a_run_asks_for():
    first, *others = grid("sdsa", "projection", SDSA(kappa=0.3, tau=2.0, delta=0.1, compress=False), [], 0.6)
    assert str(first) == "projection, skewness, raw, kappa 0.3, tau 2, delta 0.1, static"
    assert {setting.unit for setting in others} == {"block", "module"}
    assert {setting.parameters["mode"] for setting in others} == {"static", "staged"}


def test_only_what_is_made_in_stages_says_so():
    settings = grid("sdsa", "block", SDSA(), [], 0.6)
    assert [setting.in_stages is not None for setting in settings] == [
        setting.parameters["mode"] == "staged" for setting in settings
    ]
    assert Setting("owl", "block", {"lambda": 0.05, "M": 3.0}).in_stages is None
    assert str(Setting("owl", "block", {"lambda": 0.05, "M": 3.0})) == "block, lambda 0.05, M 3"


def test_a_range_of_a_rounding_error_is_a_range():
    units = [{"size": 1, "outlier_share": share, "depth": share} for share in (0.0, 5e-324)]
    assert choose_allocation("owl")(units, 0.5) == pytest.approx([0.42, 0.58])


@pytest.mark.parametrize("family", TUNABLE)
def test_neighbours_are_one_step_away_and_a_setting_is_a_neighbour_of_its_own(family):
    units = [{"size": 10, "depth": depth} for depth in (0.0, 0.5, 1.0)]
    settings = grid(family, "block", SDSA(), units, 0.6)
    for place, setting in enumerate(settings):
        found = neighbours(settings, place)
        assert place not in found
        assert found
        assert all(place in neighbours(settings, each) for each in found)
        assert {settings[each].unit for each in found} == {setting.unit}


def test_a_step_changes_each_number_by_one_of_the_grids_values_at_most():
    settings = grid("owl", "block", SDSA(), [], 0.6)
    middle = settings.index(Setting("owl", "block", {"lambda": 0.08, "M": 3.0}))
    found = [
        (settings[each].parameters["lambda"], settings[each].parameters["M"]) for each in neighbours(settings, middle)
    ]
    assert sorted(found) == [(0.05, 3.0), (0.05, 5.0), (0.08, 5.0), (0.12, 3.0), (0.12, 5.0)]
