"""Tuning an allocation for masks that are refined, on the tiny model."""

import json
import math
from dataclasses import asdict
from typing import ClassVar

import pytest

from autoprune.errors import CandidateFailure
from autoprune.evaluation import refined_tuning as module
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.refined_tuning import tune_refined
from autoprune.evaluation.tuning import Tuned, best_setting, default_of, measure_setting
from autoprune.models.identity import checksum
from autoprune.pruning.allocation.table import grid
from autoprune.pruning.allocation.units import LayerZeros
from tests.evaluation.given_scores import baseline


def default(bench, family):
    return default_of(bench, family, "block", 0.6)


def recipe(family):
    return Recipe(0.6, family, refinement="swaps")


def refined(bench, family, plain):
    """How it is tuned with swaps, and what it then measures."""
    measured = tune_refined(bench, "wanda", plain, default(bench, family), recipe(family), "baseline:tuned")
    return Tuned.of(measured), measured


@pytest.fixture
def tuned(bench):
    """A family as it was tuned without and with swaps, and what the latter measures."""

    def tuning(family="dlp"):
        plain = best_setting(bench, "wanda", default(bench, family), 0.6)
        return plain, *refined(bench, family, plain)

    return tuning


@pytest.mark.parametrize("family", ["dlp", "owl"])
def test_it_never_loses_to_the_refined_default_and_is_what_the_baseline_measures(bench, tuned, family):
    plain, found, measured = tuned(family)
    untuned = baseline(bench, "wanda", family, 0.6, "search", refinement="swaps")
    again = measure_setting(bench, "wanda", found.setting, recipe(family))
    assert found.default_loss == pytest.approx(math.log(untuned.perplexity))
    assert found.loss == pytest.approx(math.log(measured.perplexity))
    assert found.loss <= found.default_loss
    assert measured.window_losses == again.window_losses
    assert measured.zeros == round(0.6 * bench.target.weights)
    assert (found.family, found.unit) == (plain.family, plain.unit)
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_it_is_the_same_every_time_and_tries_less_than_the_whole_grid(tuned):
    (_, first, _), (plain, second, _) = tuned("owl"), tuned("owl")
    assert asdict(first) == asdict(second)
    assert first.settings < plain.settings


class Falling:
    """Trials in which the loss falls with the one number of a setting; `tried` holds what was asked."""

    windows, measured = 4, 0
    tried: ClassVar[list[tuple[float, int]]] = []

    def __init__(self, *words):
        self.tried.clear()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def loss(self, number, windows):
        self.tried.append((number, windows))
        return -number


@pytest.fixture
def falling(monkeypatch):
    monkeypatch.setattr(module, "Trials", Falling)

    def number(bench, units, setting, *words):
        return LayerZeros(next(iter(setting.parameters.values())), {})

    monkeypatch.setattr(module, "allocated", number)


def test_it_goes_from_neighbour_to_neighbour_until_none_is_better(bench, falling):
    plain = best_setting(bench, "wanda", default(bench, "atp"), 0.6)
    found, _ = refined(bench, "atp", plain)
    slopes = [number for number, _ in Falling.tried]
    assert len(slopes) == len(set(slopes)) == found.settings
    assert {windows for _, windows in Falling.tried} == {2}
    units = bench.units_by("block").described(("depth",))
    assert max(slopes) == max(each.parameters["beta"] for each in grid("atp", default(bench, "atp"), units, 0.6))


def test_what_has_no_finite_perplexity_loses_and_fails_only_if_nothing_has_one(bench, falling, monkeypatch):
    first = default(bench, "dlp")
    plain = best_setting(bench, "wanda", first, 0.6)

    def tuned(failing):
        def measure(bench, score, setting, *words, **named):
            if failing(setting):
                raise CandidateFailure("measure", "not-finite", "not finite")
            return measure_setting(bench, score, setting, *words, **named)

        monkeypatch.setattr(module, "measure_setting", measure)
        return refined(bench, "dlp", plain)

    with pytest.raises(CandidateFailure, match="not finite"):
        tuned(lambda setting: True)
    found, measured = tuned(lambda setting: setting == first)
    assert found.setting != first
    assert math.isfinite(measured.perplexity)
    assert found.default_loss > 1e300
    json.dumps(asdict(found), allow_nan=False)
    found, _ = tuned(lambda setting: setting != first)
    assert found.setting == first
