"""The table of allocations: their names, what their grids hold, and that a default is what the name alone gives."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import (
    ALLOCATIONS,
    NAMES,
    OWN,
    STATIC,
    TUNABLE,
    default_setting,
    grid,
    made,
    neighbours,
    spec_of,
)

SIGNALS = {
    "size": st.integers(1, 10**6),
    "skewness": st.floats(-2, 50),
    "score_skewness": st.floats(-2, 50),
    "outlier_share": st.floats(0, 1),
    "outlier_share_3": st.floats(0, 1),
    "outlier_share_10": st.floats(0, 1),
    "mean_score": st.floats(0, 100),
    "alpha": st.floats(1, 200),
    "greedy_error": st.floats(0, 100),
}
UNITS = st.lists(st.fixed_dictionaries(SIGNALS), min_size=1, max_size=12).map(
    lambda units: [{**unit, "depth": i / max(len(units) - 1, 1)} for i, unit in enumerate(units)]
)
SPARSITIES = st.floats(0.01, 0.99)


def settings_of(family, unit="block", units=(), sparsity=0.6):
    """The grid of a family."""
    return grid(family, default_setting(family, unit, units, sparsity), units, sparsity)


def densities(setting, units, sparsity):
    """From no more than what the setting says that it reads."""
    making = made(setting)
    return making.densities([{key: unit[key] for key in ("size", *making.reads)} for unit in units], sparsity)


def in_stages(setting):
    """Made from scores, in stages; all other settings follow from unit statistics."""
    return setting.parameters.get("mode") == "staged"


def test_every_allocation_is_named_once_in_the_order_of_what_it_takes():
    assert len(NAMES) == len(set(NAMES)) == len(ALLOCATIONS)
    assert {name: spec_of(name).stage for name in NAMES} == {
        **dict.fromkeys(("uniform", "sdsa", "sdsa-paper", "owl", "dlp", "alphapruning", "atp", "lsa"), "statistics"),
        **dict.fromkeys(("global", "sdsa-staged"), "scores"),
        **dict.fromkeys(("atp-searched", "searched"), "trials"),
        "sdsa-online": "walk",
    }
    stages = [spec_of(name).stage for name in NAMES]
    assert stages == sorted(stages, key=("statistics", "scores", "trials", "walk").index)
    assert set(STATIC) == {"uniform", "sdsa", "owl", "dlp", "alphapruning", "atp", "lsa"}
    assert set(TUNABLE) == set(STATIC) - {"uniform"}


@pytest.mark.parametrize("name", NAMES)
def test_an_allocation_is_made_in_the_one_way_that_its_stage_says(name):
    making, stage = made(name), spec_of(name).stage
    assert (making.densities is not None) == (stage == "statistics")
    assert (making.zeros is not None) == (stage in ("scores", "trials"))
    assert (making.online is not None) == (stage == "walk")
    assert making.reads == () or making.densities is not None


@pytest.mark.parametrize("asked", ["luck", Setting("luck", "block", {})])
def test_an_unknown_name_is_refused_with_those_that_there_are(asked):
    with pytest.raises(UsageError, match="unknown allocation 'luck'; there are ") as refused:
        made(asked)
    assert str(refused.value).partition("there are ")[2] == ", ".join((*NAMES, OWN))


def test_the_table_is_read_without_torch():
    code = (
        "import sys; from autoprune.pruning.allocation.table import made; made('sdsa'); print('torch' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == "False\n"


@pytest.mark.parametrize("family", TUNABLE)
@given(units=UNITS, sparsity=SPARSITIES)
def test_the_first_of_a_grid_is_what_the_familys_name_alone_gives(family, units, sparsity):
    default = settings_of(family, units=units, sparsity=sparsity)[0]
    assert densities(default, units, sparsity) == made(family).densities(units, sparsity)


@pytest.mark.parametrize("family", TUNABLE)
@given(units=UNITS, sparsity=SPARSITIES)
def test_every_setting_of_a_grid_holds_the_budget(family, units, sparsity):
    weights = sum(unit["size"] for unit in units)
    for setting in settings_of(family, units=units, sparsity=sparsity):
        if in_stages(setting):  # see test_dynamic
            continue
        found = densities(setting, units, sparsity)
        held = sum(unit["size"] * density for unit, density in zip(units, found, strict=True))
        assert held == pytest.approx((1.0 - sparsity) * weights, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("family", TUNABLE)
@pytest.mark.parametrize("unit", ["block", "module", "projection"])
def test_a_grid_is_small_and_repeats_nothing(family, unit):
    units = [{"size": 10, "depth": depth} for depth in (0.0, 0.5, 1.0)]
    settings = settings_of(family, unit, units)
    assert 9 <= len(settings) <= 24
    assert len({json.dumps(asdict(setting)) for setting in settings}) == len(settings)
    assert settings[0].unit == unit
    assert all(Setting(**json.loads(json.dumps(asdict(setting)))) == setting for setting in settings)


def test_the_grid_of_sdsa_begins_with_its_constants():
    first, *others = settings_of("sdsa", "projection")
    assert str(first) == "projection, skewness, compressed, kappa 0.5, tau 1, delta 0.15, static"
    assert {setting.unit for setting in others} == {"block", "module"}
    assert {setting.parameters["mode"] for setting in others} == {"static", "staged"}
    assert {setting.parameters["skew"] for setting in others} == {"compressed"}


def test_only_what_is_made_in_stages_takes_scores():
    settings = settings_of("sdsa")
    assert any(map(in_stages, settings))
    for setting in settings:
        assert (made(setting).zeros is not None) == in_stages(setting)
        assert (made(setting).densities is None) == in_stages(setting)
    setting = Setting("owl", "block", {"lambda": 0.05, "M": 3.0})
    assert made(setting).zeros is None
    assert str(setting) == "block, lambda 0.05, M 3"


def test_a_range_of_a_rounding_error_is_a_range():
    units = [{"size": 1, "outlier_share": share, "depth": share} for share in (0.0, 5e-324)]
    assert made("owl").densities(units, 0.5) == pytest.approx([0.42, 0.58])


@pytest.mark.parametrize("family", TUNABLE)
def test_neighbours_are_one_step_away_and_a_setting_is_a_neighbour_of_its_own(family):
    units = [{"size": 10, "depth": depth} for depth in (0.0, 0.5, 1.0)]
    settings = settings_of(family, units=units)
    for place, setting in enumerate(settings):
        found = neighbours(settings, place)
        assert place not in found
        assert found
        assert all(place in neighbours(settings, each) for each in found)
        assert {settings[each].unit for each in found} == {setting.unit}


def test_a_step_changes_each_number_by_one_of_the_grids_values_at_most():
    settings = settings_of("owl")
    middle = settings.index(Setting("owl", "block", {"lambda": 0.08, "M": 3.0}))
    found = [
        (settings[each].parameters["lambda"], settings[each].parameters["M"]) for each in neighbours(settings, middle)
    ]
    assert sorted(found) == [(0.05, 3.0), (0.05, 5.0), (0.08, 5.0), (0.12, 3.0), (0.12, 5.0)]
