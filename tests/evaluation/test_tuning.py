"""Tuning on the tiny model, and the rungs of the halving on losses that are made up."""

import math
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.layer_zeros import allocated, zeros_beforehand
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.tuning import Tuned, _halved, default_of, measure_setting, tune
from autoprune.models.identity import checksum
from autoprune.pruning.allocation import owl
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import TUNABLE, grid
from tests.evaluation.given_scores import baseline

LOSSES = st.lists(st.lists(st.floats(0, 10), min_size=6, max_size=6), min_size=1, max_size=24)


def made_up(losses):
    """Trials whose settings have these losses by window, and what was asked of them."""
    asked = []
    trials = SimpleNamespace(windows=6, measured=0)

    def loss(zeros, windows):
        asked.append((zeros["layer"], windows))
        trials.measured += windows
        return math.fsum(losses[zeros["layer"]][:windows]) / windows

    settings = [(Setting("made-up", "block", {"place": place}), {"layer": place}) for place in range(len(losses))]
    trials.loss = loss
    return trials, settings, asked


def tuned(bench, family, score="wanda"):
    """As it is tuned at a sparsity of 0.6."""
    default = default_of(bench, family, "block", 0.6)
    return tune(bench, score, default, Recipe(0.6, family), "baseline:tuned")


@pytest.mark.parametrize("family", TUNABLE)
def test_tuning_never_loses_to_the_default_and_leaves_the_model_alone(bench, family):
    measured = tuned(bench, family)
    found = Tuned.of(measured)
    default = baseline(bench, "wanda", family, 0.6, "search")
    again = measure_setting(bench, "wanda", found.setting, Recipe(0.6, family))
    assert again.window_losses == measured.window_losses
    assert found.loss == pytest.approx(math.log(measured.perplexity))
    assert found.default_loss == pytest.approx(math.log(default.perplexity))
    assert found.loss <= found.default_loss
    assert measured.zeros == round(0.6 * bench.target.weights)
    assert checksum(bench.target.model) == bench.target.fingerprint
    assert tuned(bench, family).tuning == measured.tuning == asdict(found)


def test_settings_that_give_the_same_zeros_are_measured_once(bench, monkeypatch):
    monkeypatch.setattr(owl, "LAMBDAS", (0.05, 0.05 + 1e-12))
    settings = grid("owl", default_of(bench, "owl", "block", 0.6), bench.units, 0.6)
    units = bench.units_by("block")
    zeros = [tuple(allocated(bench, units, setting, 0.6).zeros.values()) for setting in settings]
    assert len(set(zeros)) < len(settings)  # the two widths differ by less than a weight
    assert Tuned.of(tuned(bench, "owl", "magnitude")).settings == len(set(zeros))


@pytest.mark.parametrize("mode", ["static", "staged"])
def test_zeros_are_exact_and_what_is_told_is_the_sparsity_of_the_settings_own_units(bench, mode):
    skew = {"signal": "score_skewness", "skew": "compressed", "kappa": 0.5, "tau": 1.0, "delta": 0.15, "mode": mode}
    recipe = Recipe(0.6, "sdsa", setting=Setting("sdsa", "module", skew), allocated_by="wanda")
    zeros, told = zeros_beforehand(bench, Published.named("magnitude"), recipe)
    assert sum(zeros.values()) == round(0.6 * bench.target.weights)
    assert told == {layer.name: zeros[layer.name] / layer.size for layer in bench.layers}
    assert len(set(told.values())) > 3


@given(losses=LOSSES)
def test_what_wins_is_no_worse_than_the_default_on_all_windows(losses):
    trials, settings, asked = made_up(losses)
    found = _halved(trials, settings)
    assert (found.settings, found.windows) == (len(losses), sum(windows for _, windows in asked))
    assert found.loss <= found.default_loss == trials.loss({"layer": 0}, 6)


@given(losses=LOSSES, data=st.data())
def test_what_is_best_on_every_window_wins(losses, data):
    best = data.draw(st.integers(0, len(losses) - 1))
    losses[best] = [min(column) - 1.0 for column in zip(*losses, strict=True)]
    trials, settings, _ = made_up(losses)
    assert _halved(trials, settings).parameters == {"place": best}


def test_the_best_third_goes_on_to_half_of_the_windows_and_the_best_two_to_all():
    trials, settings, asked = made_up([[10.0 - place] * 6 for place in range(12)])
    assert _halved(trials, settings).parameters == {"place": 11}
    by_windows = {windows: [place for place, at in asked if at == windows] for windows in (2, 3, 6)}
    assert by_windows == {2: list(range(12)), 3: [11, 10, 9, 8], 6: [0, 11, 10]}


def test_the_default_stays_where_no_loss_is_finite():
    trials, settings, _ = made_up([[math.inf] * 6] * 5)
    assert _halved(trials, settings).parameters == {"place": 0}
